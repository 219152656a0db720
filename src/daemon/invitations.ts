/**
 * Invitations, in the store's thread: at most one is open, and the network that serves it is open
 * only as long. Nothing of it is kept: a restart cancels it.
 */
import type { Clock } from '../base/clock.js'
import { FsError } from '../base/errors.js'
import type { Logger } from '../base/log.js'
import { Mutex } from '../base/mutex.js'
import type { Role } from '../format/group-body.js'
import type { Group } from '../group/group.js'
import { INVITE_MS, Invite, type Joiner } from '../group/invite.js'
import { decodeCode, lanTopicOf } from '../group/pairing-format.js'
import type { EpochRing } from '../keys/epoch-ring.js'
import { PairingSwarm } from '../swarm/pairing-swarm.js'
import type { NetworkOptions } from '../swarm/swarm.js'

/** A device was admitted by a bearer invite: whoever held the code. */
export interface BearerNews {
  readonly type: 'bearer'
  readonly joiner: Joiner
}

/** What it works with. */
export interface InvitationsOptions {
  readonly group: Group
  readonly ring: EpochRing
  /** null: no network, and so no invitations. */
  readonly network: NetworkOptions | null
  readonly tell: (news: BearerNews) => void
  readonly clock: Clock
  readonly log: Logger
}

/** How an invitation is wanted. */
export interface InvitationRequest {
  /** Whoever holds the code first is admitted. */
  readonly isBearer: boolean
  /** null: 15 minutes. */
  readonly openMs: number | null
  /** The only role that is admitted; null: the joiner's choice. */
  readonly role: Role | null
}

/** An open invitation. */
export interface Invitation {
  readonly code: string
  /** When it ends; wall clock, ms since 1970. What counts is a clock that nobody sets. */
  readonly expiresMs: number
}

/** See the file's head. */
export class Invitations {
  readonly #options: InvitationsOptions
  readonly #opening = new Mutex()
  #invite: Invite | null = null
  #isClosed = false
  /** All that are not gone yet: one that is over is heard for a while. */
  readonly #lingering = new Map<Invite, Promise<void>>()

  constructor(options: InvitationsOptions) {
    this.#options = options
  }

  /**
   * Opens an invitation; one that was open ends.
   * @throws {FsError} ENETDOWN without a network; EPERM when this device may not admit others
   */
  open(request: InvitationRequest): Promise<Invitation> {
    return this.#opening.run(() => this.#open(request))
  }

  /**
   * Who answered; waits for it.
   * @throws {FsError} ETIMEDOUT when the invitation is over
   */
  answered(code: string): Promise<Joiner> {
    return this.#of(code).answered
  }

  /**
   * Admits who answered if these are its digits; the invitation is over either way.
   * @throws {FsError} as `Invite.confirm`
   */
  confirm(code: string, digits: string): Promise<Joiner> {
    return this.#of(code).confirm(digits)
  }

  /** Takes an invitation back; nothing when it is over already. */
  cancel(code: string): void {
    if (this.#invite?.code === code) this.#invite.end({ kind: 'over' })
  }

  /** Ends what is open. Idempotent. */
  async close(): Promise<void> {
    this.#isClosed = true
    await this.#opening.run(async () => {
      for (const [invite, gone] of this.#lingering) {
        await invite.close()
        await gone
      }
    })
  }

  async #open({ isBearer, openMs, role }: InvitationRequest): Promise<Invitation> {
    const { group, ring, network, clock, log } = this.#options
    if (network === null || this.#isClosed) {
      throw new FsError('ENETDOWN', 'pcfs runs without a network: PCFS_BOOTSTRAP is empty')
    }
    this.#invite?.end({ kind: 'over' })
    const swarm = await PairingSwarm.open({ network, clock, log })
    try {
      const ms = openMs ?? INVITE_MS
      const what = { group, ring, clock, isBearer, role, openMs: ms, swarm: swarm.swarm }
      const invite = await Invite.open(what)
      swarm.lookOnLan(lanTopicOf(decodeCode(invite.code)), false)
      this.#invite = invite
      const gone = invite.closed
        .then(() => swarm.close())
        .finally(() => this.#lingering.delete(invite))
      this.#lingering.set(invite, gone)
      if (isBearer) void this.#admitFirst(invite)
      log.info({ op: 'invite', role, bearer: isBearer }, 'an invitation is open')
      return { code: invite.code, expiresMs: clock.nowMs() + invite.leftMs }
    } catch (error) {
      await swarm.close()
      throw error
    }
  }

  async #admitFirst(invite: Invite): Promise<void> {
    const { log, tell } = this.#options
    try {
      await invite.answered
      const joiner = await invite.confirm('')
      log.warn({ op: 'invite', ...joiner }, 'a device was admitted by a bearer invitation')
      tell({ type: 'bearer', joiner })
    } catch (err) {
      log.info({ op: 'invite', err }, 'a bearer invitation has ended without a device')
    }
  }

  #of(code: string): Invite {
    if (this.#invite?.code === code) return this.#invite
    throw new FsError('ETIMEDOUT', 'the invitation is over: make a new one')
  }
}
