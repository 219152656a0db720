/**
 * The inviting side of pairing. Default deny: the first joiner that answers is the only one, and it
 * is admitted when a person types on the inviting device the six digits that the joining one shows,
 * at the first attempt. `pairing-format.ts` says why that holds.
 *
 * Nothing of an invite is kept: a restart cancels it. The swarm must have a key pair of its own and
 * serve nothing else: who pairs is no member yet, and a member's key would tell strangers who asks.
 */
import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises'
import type { Clock } from '../base/clock.js'
import { FsError } from '../base/errors.js'
import { grantSignable } from '../format/group-body.js'
import type { Role } from '../format/group-body.js'
import { toPublicKey } from '../format/group-keys.js'
import type { EpochRing } from '../keys/epoch-ring.js'
import { recordVerifier } from '../keys/record-signing.js'
import { admit } from './duties.js'
import type { Group } from './group.js'
import { freeName } from './names.js'
import { type JoinRequest, type Offer, type Verdict, decodeRequest } from './pairing-format.js'
import { digitsOf, encodeCode, encodeOffer, rendezvousKey } from './pairing-format.js'
import { tellVerdict } from './verdict.js'
import BlindPairing from 'blind-pairing'
import { randomBytes } from 'node:crypto'

/** How long an invite is open by default, ms. */
export const INVITE_MS = 15 * 60 * 1000
/** How often the DHT is asked where the two do not meet directly, ms. */
export const POLL_MS = 10_000
/** How long a close waits for look-ups that are under way, ms; each may take many seconds. */
const CLOSE_MS = 300
/** How long an announcement is waited for, ms; without a DHT that answers it never comes. */
const ANNOUNCED_MS = 3000
/** How long the joiner can still hear what became of it, ms: several looks at the DHT. */
const LINGER_MS = 60_000

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
  /** The only role that is admitted; default: the joiner's choice. */
  readonly role?: Role | null
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
  /** Resolves when it is over and its joiner had time to hear so: the swarm may go. */
  readonly closed: Promise<void>
  readonly #options: InviteOptions
  readonly #invite: BlindPairing.Invite
  readonly #offer: Buffer
  readonly #key: Buffer
  readonly #pairing: BlindPairing
  readonly #deadlineMs: number
  readonly #timer: NodeJS.Timeout
  readonly #verdict: Promise<Verdict>
  #lingering: NodeJS.Timeout | undefined
  #request: { readonly bytes: Buffer; readonly joiner: JoinRequest } | null = null
  #isOver = false
  #closing: Promise<void> | null = null
  #answer: (joiner: Joiner) => void = () => undefined
  #fail: (error: Error) => void = () => undefined
  #decide: (verdict: Verdict) => void = () => undefined
  #onClosed: () => void = () => undefined

  private constructor(options: InviteOptions) {
    const { group, ring, clock, swarm, openMs = INVITE_MS, role = null } = options
    const offer: Offer = {
      drive: group.membership.drive,
      identity: group.membership.identity,
      inviter: toPublicKey(ring.keyring.noise.publicKey),
      isBearer: options.isBearer ?? false,
      openS: Math.ceil(openMs / 1000),
      nonce: randomBytes(32)
    }
    this.#options = options
    this.isBearer = offer.isBearer
    this.#offer = encodeOffer(offer)
    this.#key = rendezvousKey(this.#offer)
    this.#invite = BlindPairing.createInvite(this.#key, { data: this.#offer })
    this.code = encodeCode({ invite: this.#invite.invite, role })
    this.#pairing = new BlindPairing(swarm, { poll: POLL_MS })
    this.#deadlineMs = clock.monotonicMs() + openMs
    this.answered = new Promise<Joiner>((resolve, reject) => {
      this.#answer = resolve
      this.#fail = reject
    })
    // Who does not ask is not told.
    this.answered.catch(() => undefined)
    this.#verdict = new Promise<Verdict>((resolve) => (this.#decide = resolve))
    this.closed = new Promise<void>((resolve) => (this.#onClosed = resolve))
    this.#timer = setTimeout(() => this.end({ kind: 'over' }), openMs)
    this.#timer.unref()
  }

  /**
   * Opens an invite.
   * @returns when joiners can find it by the DHT, or that does not answer
   * @throws {FsError} EPERM when this device may not admit others
   */
  static async open(options: InviteOptions): Promise<Invite> {
    const { group } = options
    if (!group.isActive || group.device?.role !== 'personal') {
      throw new FsError('EPERM', 'only a personal device that is a member invites others')
    }
    const invite = new Invite(options)
    try {
      const member = invite.#pairing.addMember({
        discoveryKey: invite.#invite.discoveryKey,
        onadd: (request) => invite.#onRequest(request)
      })
      await Promise.race([member.flushed(), sleep(ANNOUNCED_MS, undefined, { ref: false })])
      return invite
    } catch (error) {
      await invite.close().catch(() => undefined)
      throw error
    }
  }

  /** Milliseconds that are left; 0: it has ended. */
  get leftMs(): number {
    if (this.#isOver) return 0
    return Math.max(0, this.#deadlineMs - this.#options.clock.monotonicMs())
  }

  /**
   * Admits the joiner that answered, if these are its digits. The invite is over either way.
   * @param digits as the joining device shows them; ignored for a bearer invite
   * @returns the joiner with the name that it got: another one when its own was taken
   * @throws {FsError} EACCES when they are others; ETIMEDOUT when it is too late; EAGAIN when
   *   nobody has answered yet; as `Group.append`
   */
  async confirm(digits: string): Promise<Joiner> {
    if (this.leftMs === 0) throw over()
    if (this.#request === null) throw new FsError('EAGAIN', 'no device has answered yet')
    this.#isOver = true
    const { bytes, joiner } = this.#request
    const { grant, witness } = joiner
    const typed = digits.replaceAll(/[\s-]/g, '')
    if (!this.isBearer && typed !== digitsOf(this.#offer, bytes)) {
      this.end({ kind: 'refused' })
      throw new FsError('EACCES', 'these are not the digits of the device: it was not admitted')
    }
    const { group, ring } = this.#options
    try {
      const name = freeName(joiner.name, group.membership, ring.epochs)
      await admit(group, ring, { grant, witness, name })
      this.end({ kind: 'admitted', name })
      return { name, role: grant.role }
    } catch (error) {
      this.end({ kind: 'over' })
      throw error
    }
  }

  /** Ends the invite: nobody is admitted by it any more; its joiner is told for a while yet. */
  end(verdict: Verdict): void {
    this.#isOver = true
    clearTimeout(this.#timer)
    this.#decide(verdict)
    this.#fail(over())
    const isWaitedFor = this.#request !== null
    this.#lingering ??= setTimeout(
      () => {
        this.close().catch(() => undefined)
      },
      isWaitedFor ? LINGER_MS : 0
    )
    this.#lingering.unref()
  }

  /** Ends it at once. Idempotent. The swarm stays. */
  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async #close(): Promise<void> {
    this.end({ kind: 'over' })
    clearTimeout(this.#lingering)
    // A joiner that is connected and waits gets the verdict out of this turn.
    await nextTurn()
    await closeSoon(this.#pairing).finally(this.#onClosed)
  }

  async #onRequest(request: BlindPairing.MemberRequest): Promise<void> {
    const bytes = this.#open(request)
    if (bytes === null) return
    const joiner = readRequest(bytes)
    const { role = null } = this.#options
    if (joiner === null || (role !== null && role !== joiner.grant.role)) {
      request.deny({ status: 1 })
      return
    }
    const isSame = this.#request?.bytes.equals(bytes) === true
    // The same joiner may ask again, if the answer was lost on its way.
    if (this.#request !== null && !isSame) {
      request.deny({ status: 2 })
      return
    }
    if (this.leftMs === 0 && !isSame) {
      request.deny({ status: 3 })
      return
    }
    const isFirst = this.#request === null
    // From here on the offer is known to somebody: there must not be another attempt.
    this.#request ??= { bytes: Buffer.from(bytes), joiner }
    if (isFirst) {
      const round = { offer: this.#offer, request: this.#request.bytes }
      await tellVerdict(this.#pairing, round, this.#verdict)
    }
    request.confirm({ key: this.#key, additional: this.#invite.additional })
    if (isFirst) this.#answer({ name: joiner.name, role: joiner.grant.role })
  }

  #open(request: BlindPairing.MemberRequest): Buffer | null {
    try {
      return request.open(this.#invite.publicKey)
    } catch {
      return null // it does not know the code
    }
  }
}

/** Closes a pairing; what then still waits for the DHT ends with the swarm. */
export async function closeSoon(pairing: BlindPairing): Promise<void> {
  const closed = pairing.close().catch(() => undefined)
  await Promise.race([closed, sleep(CLOSE_MS, undefined, { ref: false })])
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
