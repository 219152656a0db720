/**
 * The joining side of pairing: asks with a code, learns its drive and the digits to be shown, then
 * what became of it. It is a member when the group's records say so, not before.
 *
 * Everything is made of the device's keys and what it said of itself, so a device that was stopped
 * half way asks again as the same one.
 */
import { FsError } from '../base/errors.js'
import type { Role } from '../format/group-body.js'
import { keyBytes, toCoreKey } from '../format/group-keys.js'
import type { DeviceKeys } from '../keys/identity.js'
import type { Keyring } from '../keys/keyring.js'
import { grantOf, signGrant } from '../keys/record-signing.js'
import { POLL_MS, type PairingSwarm, closeSoon } from './invite.js'
import { type Verdict, decodeCode, decodeOffer, digitsOf } from './pairing-format.js'
import { encodeRequest, rendezvousKey } from './pairing-format.js'
import { hearVerdict } from './verdict.js'
import BlindPairing from 'blind-pairing'

/** What a device joins with. */
export interface CandidacyOptions {
  readonly code: string
  readonly swarm: PairingSwarm
  /** Made for this drive; the keyring that comes back has them. */
  readonly keys: DeviceKeys
  readonly deviceName: string
  readonly role: Role
  /** The key of the core that a public key alone signs (`store/`'s `coreKey`). */
  readonly coreKeyOf: (publicKey: Buffer) => Buffer
  /** The offer, when an earlier life has got it already; nobody is asked then. */
  readonly offer?: Buffer | null
  /** How long it waits for the inviting device. */
  readonly ms: number
  readonly signal?: AbortSignal
}

/** What a joining device knows. */
export interface Candidacy {
  /** To be kept for a life that goes on after this one. */
  readonly offer: Buffer
  /** Without epochs: they come with the group's records once it is admitted. */
  readonly keyring: Keyring
  /** To be shown until it is admitted; null: a bearer invite, of which the person is to be told. */
  readonly digits: string | null
  /** The inviter's Noise key: a member that can be reached now. */
  readonly inviter: Buffer
  /** Nobody decides later than this after the offer, ms. */
  readonly openMs: number
  /** Comes when the inviting device has told it; it may never come. */
  readonly verdict: Promise<Verdict>
  /** Ends it. The swarm stays. */
  readonly close: () => Promise<void>
}

/**
 * Asks to be admitted; resolves when the inviting device has answered.
 * @throws {FsError} EINVAL when the code is mistyped, for another role, or the name too long;
 *   EACCES when it was used or refused; ETIMEDOUT when no inviting device answers, or the code is
 *   over; the signal's reason
 */
export async function openCandidacy(options: CandidacyOptions): Promise<Candidacy> {
  const { keys, coreKeyOf, deviceName, role, swarm } = options
  const code = decodeCode(options.code)
  if (code.role !== null && code.role !== role) {
    throw new FsError('EINVAL', `this code admits a ${code.role} device, not a ${role} one`)
  }
  const grant = grantOf(keys, { role, name: null, coreKeyOf })
  const witness = signGrant(grant, keys.signing)
  const request = encodeRequest({ grant, witness, name: deviceName })
  const pairing = new BlindPairing(swarm, { poll: POLL_MS })
  const close = (): Promise<void> => closeSoon(pairing)
  try {
    const question = { invite: code.invite, userData: request }
    const offer = options.offer ?? (await ask(pairing, question, options))
    const { drive, identity, isBearer, inviter, openS } = decodeOffer(offer)
    const verdict = hearVerdict(pairing, { offer, request })
    // Who does not wait for it is not told.
    verdict.catch(() => undefined)
    return {
      offer,
      keyring: {
        ...keys,
        drive: keyBytes(toCoreKey(drive)),
        identity: keyBytes(identity),
        deviceName,
        role,
        origin: [],
        epochs: [],
        currentEpoch: null
      },
      digits: isBearer ? null : digitsOf(offer, request),
      inviter: keyBytes(inviter),
      openMs: openS * 1000,
      verdict,
      close
    }
  } catch (error) {
    await close()
    throw error
  }
}

/** The offer behind an invite, checked against what the code committed to. */
function ask(
  pairing: BlindPairing,
  what: { readonly invite: Buffer; readonly userData: Buffer },
  { ms, signal }: CandidacyOptions
): Promise<Buffer> {
  return new Promise<Buffer>((resolve, reject) => {
    const end = (): void => {
      clearTimeout(timer)
      signal?.removeEventListener('abort', onAbort)
    }
    const fail = (error: Error): void => {
      end()
      reject(error)
    }
    const onAbort = (): void => {
      fail(signal?.reason instanceof Error ? signal.reason : new FsError('EINTR', 'ended'))
    }
    const timer = setTimeout(() => {
      const seconds = Math.round(ms / 1000)
      fail(new FsError('ETIMEDOUT', `the inviting device did not answer for ${seconds} s`))
    }, ms)
    if (signal?.aborted === true) return onAbort()
    signal?.addEventListener('abort', onAbort, { once: true })
    const candidate = openCandidate(pairing, what, ({ key, data }) => {
      if (data === null || !rendezvousKey(data).equals(key)) {
        fail(new FsError('EACCES', 'what answered is not the device that made this code'))
        return
      }
      end()
      resolve(Buffer.from(data))
    })
    candidate.request.on('rejected', (error: Error) => {
      const refusal = refusalOf(error)
      if (refusal !== null) fail(refusal)
    })
  })
}

/** What an answer that is no offer means; null: it is no answer of who made the code. */
function refusalOf(error: Error): FsError | null {
  const code = 'code' in error ? error.code : null
  const cause = { cause: error }
  switch (code) {
    case 'INVITE_EXPIRED':
      return new FsError('ETIMEDOUT', 'the code is over: ask for a new one', cause)
    case 'INVITE_USED':
      return new FsError('EACCES', 'the code was used already: ask for a new one', cause)
    case 'PAIRING_REJECTED':
      return new FsError('EACCES', 'the inviting device refused this one', cause)
    default:
      return null
  }
}

function openCandidate(
  pairing: BlindPairing,
  what: { readonly invite: Buffer; readonly userData: Buffer },
  onPaired: (paired: BlindPairing.Paired) => void
): BlindPairing.Candidate {
  try {
    return pairing.addCandidate({
      ...what,
      onadd: (paired) => {
        onPaired(paired)
        return Promise.resolve()
      }
    })
  } catch (cause) {
    throw new FsError('EINVAL', 'this code is of another version of pcfs', { cause })
  }
}
