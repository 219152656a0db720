/**
 * Pairing: a device that holds a code asks, a member admits it. Default deny: the first joiner that
 * answers is the only one, and it is admitted when a person types on the inviting device the six
 * digits that the joining one shows, at the first attempt. `pairing-format.ts` says why that holds.
 *
 * Nothing of an invite is kept: a restart cancels it. The swarm must have a key pair of its own and
 * serve nothing else: who pairs is no member yet, and a member's key would tell strangers who asks.
 */
import type { Clock } from '../base/clock.js'
import { FsError } from '../base/errors.js'
import { grantSignable } from '../format/group-body.js'
import type { Role } from '../format/group-body.js'
import { keyBytes, toCoreKey, toPublicKey } from '../format/group-keys.js'
import type { EpochRing } from '../keys/epoch-ring.js'
import type { DeviceKeys } from '../keys/identity.js'
import type { Keyring } from '../keys/keyring.js'
import { grantOf, recordVerifier, signGrant } from '../keys/record-signing.js'
import { admit } from './duties.js'
import type { Group } from './group.js'
import { type JoinRequest, type Offer, decodeCode, decodeOffer } from './pairing-format.js'
import { decodeRequest, digitsOf, encodeCode, encodeOffer } from './pairing-format.js'
import { encodeRequest, rendezvousKey } from './pairing-format.js'
import BlindPairing from 'blind-pairing'
import { randomBytes } from 'node:crypto'

/** How long an invite is open by default, ms. */
export const INVITE_MS = 15 * 60 * 1000
/** How often the DHT is asked where the two do not meet directly, ms. */
const POLL_MS = 10_000

/** A Hyperswarm for pairing alone; it stays its owner's. */
export type PairingSwarm = object

/** What an invite is opened with. */
export interface InviteOptions {
  readonly group: Group
  readonly ring: EpochRing
  readonly swarm: PairingSwarm
  readonly clock: Clock
  /** true: whoever holds the code is admitted, and both sides have to be told so. */
  readonly isBearer?: boolean
  /** Default: `INVITE_MS`. */
  readonly openMs?: number
}

/** Who asks to be admitted. */
export interface Joiner {
  readonly name: string
  readonly role: Role
}

/** An open invite. One joiner, one attempt. */
export class Invite {
  /** For the person who sets up the other device. */
  readonly code: string
  readonly isBearer: boolean
  /** Resolves when a joiner has answered; rejects when the invite ends before. */
  readonly answered: Promise<Joiner>
  readonly #options: InviteOptions
  readonly #invite: BlindPairing.Invite
  readonly #offer: Buffer
  readonly #key: Buffer
  readonly #pairing: BlindPairing
  readonly #deadlineMs: number
  readonly #timer: NodeJS.Timeout
  #member: BlindPairing.Member | null = null
  #request: { readonly bytes: Buffer; readonly joiner: JoinRequest } | null = null
  #isUsed = false
  #closing: Promise<void> | null = null
  #resolve: (joiner: Joiner) => void = () => undefined
  #reject: (error: Error) => void = () => undefined

  private constructor(options: InviteOptions) {
    const { group, ring, clock, swarm, openMs = INVITE_MS } = options
    const offer: Offer = {
      drive: group.membership.drive,
      identity: group.membership.identity,
      inviter: toPublicKey(ring.keyring.noise.publicKey),
      isBearer: options.isBearer ?? false,
      nonce: randomBytes(32)
    }
    this.#options = options
    this.isBearer = offer.isBearer
    this.#offer = encodeOffer(offer)
    this.#key = rendezvousKey(this.#offer)
    this.#invite = BlindPairing.createInvite(this.#key, { data: this.#offer })
    this.code = encodeCode(this.#invite.invite)
    this.#pairing = new BlindPairing(swarm, { poll: POLL_MS })
    this.#deadlineMs = clock.monotonicMs() + openMs
    this.answered = new Promise<Joiner>((resolve, reject) => {
      this.#resolve = resolve
      this.#reject = reject
    })
    // Who does not ask is not told.
    this.answered.catch(() => undefined)
    this.#timer = setTimeout(() => {
      this.close().catch(() => undefined)
    }, openMs)
    this.#timer.unref()
  }

  /**
   * Opens an invite.
   * @returns when joiners can find it
   * @throws {FsError} EPERM when this device may not admit others
   */
  static async open(options: InviteOptions): Promise<Invite> {
    const { group } = options
    if (!group.isActive || group.device?.role !== 'personal') {
      throw new FsError('EPERM', 'only a personal device that is a member invites others')
    }
    const invite = new Invite(options)
    try {
      invite.#member = invite.#pairing.addMember({
        discoveryKey: invite.#invite.discoveryKey,
        onadd: (request) => invite.#onRequest(request)
      })
      await invite.#member.flushed()
      return invite
    } catch (error) {
      await invite.close().catch(() => undefined)
      throw error
    }
  }

  /** Milliseconds that are left; 0: it has ended. */
  get leftMs(): number {
    if (this.#closing !== null) return 0
    return Math.max(0, this.#deadlineMs - this.#options.clock.monotonicMs())
  }

  /**
   * Admits the joiner that answered, if these are its digits. The invite is over either way.
   * @param digits as the joining device shows them; ignored for a bearer invite
   * @throws {FsError} EACCES when they are others; ETIMEDOUT when it is too late; EAGAIN when
   *   nobody has answered yet; as `Group.append`
   */
  async confirm(digits: string): Promise<Joiner> {
    if (this.leftMs === 0 || this.#isUsed) throw over()
    if (this.#request === null) throw new FsError('EAGAIN', 'no device has answered yet')
    this.#isUsed = true
    const { bytes, joiner } = this.#request
    const { grant, witness, name } = joiner
    const typed = digits.replaceAll(/[\s-]/g, '')
    if (!this.isBearer && typed !== digitsOf(this.#offer, bytes)) {
      await this.close()
      throw new FsError('EACCES', 'these are not the digits of the device: it was not admitted')
    }
    const { group, ring } = this.#options
    await admit(group, ring, { grant, witness, name })
    return { name, role: grant.role }
  }

  /** Ends the invite: nobody is admitted by it any more. Idempotent. The swarm stays. */
  close(): Promise<void> {
    clearTimeout(this.#timer)
    this.#reject(over())
    this.#closing ??= this.#pairing.close()
    return this.#closing
  }

  async #onRequest(request: BlindPairing.MemberRequest): Promise<void> {
    const bytes = this.#open(request)
    if (bytes === null) return
    const joiner = readRequest(bytes)
    if (joiner === null || this.leftMs === 0) {
      request.deny({ status: this.leftMs === 0 ? 3 : 1 })
      return
    }
    // The same joiner may ask again, if the answer was lost on its way.
    if (this.#request !== null && !this.#request.bytes.equals(bytes)) {
      request.deny({ status: 2 })
      return
    }
    // From here on the offer is known to somebody: there must not be another attempt.
    const isFirst = this.#request === null
    this.#request ??= { bytes: Buffer.from(bytes), joiner }
    request.confirm({ key: this.#key, additional: this.#invite.additional })
    if (isFirst) this.#resolve({ name: joiner.name, role: joiner.grant.role })
  }

  #open(request: BlindPairing.MemberRequest): Buffer | null {
    try {
      return request.open(this.#invite.publicKey)
    } catch {
      return null // it does not know the code
    }
  }
}

function over(): FsError {
  return new FsError('ETIMEDOUT', 'the invitation is over: make a new one')
}

/** A request that its device signed; null: anything else. */
function readRequest(bytes: Buffer): JoinRequest | null {
  try {
    const joiner = decodeRequest(bytes)
    const { grant, witness } = joiner
    const isOwn = recordVerifier.signature(grant.signing, grantSignable(grant), witness)
    return isOwn ? joiner : null
  } catch {
    return null
  }
}

/** What a device joins with. */
export interface JoinOptions {
  readonly code: string
  readonly swarm: PairingSwarm
  /** Made for this drive; the keyring that comes back has them. */
  readonly keys: DeviceKeys
  readonly deviceName: string
  readonly role: Role
  /** The key of the core that a public key alone signs (`store/`'s `coreKey`). */
  readonly coreKeyOf: (publicKey: Buffer) => Buffer
  /** How long it waits for the inviting device. */
  readonly ms: number
  readonly signal?: AbortSignal
}

/** What pairing leaves a joining device with. */
export interface Joined {
  /** Without epochs: they come with the group's records once it is admitted. */
  readonly keyring: Keyring
  /** To be shown until it is admitted; null: a bearer invite, of which the person is to be told. */
  readonly digits: string | null
  /** The inviter's Noise key: a member that can be reached now. */
  readonly inviter: Buffer
}

/**
 * Asks to be admitted. When it resolves the device knows its drive; it is a member when the group's
 * records say so.
 * @throws {FsError} EINVAL when the code is mistyped or the name too long; EACCES when it was used
 *   or refused; ETIMEDOUT when no inviting device answers; the signal's reason
 */
export async function join(options: JoinOptions): Promise<Joined> {
  const { keys, coreKeyOf, deviceName, role, swarm } = options
  const invite = decodeCode(options.code)
  const grant = grantOf(keys, { role, name: null, coreKeyOf })
  const witness = signGrant(grant, keys.signing)
  const request = encodeRequest({ grant, witness, name: deviceName })
  const pairing = new BlindPairing(swarm, { poll: POLL_MS })
  try {
    const bytes = await ask(pairing, { invite, userData: request }, options)
    const offer = decodeOffer(bytes)
    const keyring: Keyring = {
      ...keys,
      drive: keyBytes(toCoreKey(offer.drive)),
      identity: keyBytes(offer.identity),
      deviceName,
      role,
      origin: [],
      epochs: [],
      currentEpoch: null
    }
    const digits = offer.isBearer ? null : digitsOf(bytes, request)
    return { keyring, digits, inviter: keyBytes(offer.inviter) }
  } finally {
    await pairing.close()
  }
}

/** The offer behind an invite, checked against what the code committed to. */
function ask(
  pairing: BlindPairing,
  what: { readonly invite: Buffer; readonly userData: Buffer },
  { ms, signal }: JoinOptions
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
      const isAnswer = 'code' in error
      if (isAnswer) fail(new FsError('EACCES', 'the code was used or refused', { cause: error }))
    })
  })
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
