/**
 * Reads of blocks that are not on this device: they wait for whichever peer has the block, and end
 * in a bounded time when none does.
 *
 * A read ends sooner than its deadline when for some seconds no connected peer has said that it has
 * the block: whoever opens a file that is on a sleeping laptop is told so at once, and one that is
 * slow to come is waited for.
 */
import { FsError } from '../base/errors.js'
import type Hypercore from 'hypercore'

/** How often waiting reads are looked at, ms. */
const TICK_MS = 100

/**
 * Ticks without a peer that has the block, after which a read is given up: 2.5 s. Long enough for a
 * connection to come back after a short cut and for a far peer to answer what it has.
 */
const LONELY_TICKS = 25

interface Waiting {
  readonly block: number
  readonly requests: unknown[]
  /** Peers that have sent it and it was not genuine; Hypercore asks them no more. */
  readonly liars: Set<Hypercore.Peer>
  lonelyTicks: number
  failure: FsError | null
}

/** The waiting reads of one core. */
export class WaitingReads {
  readonly #session: Hypercore
  readonly #waiting = new Set<Waiting>()
  #timer: NodeJS.Timeout | null = null
  #isListening = false

  /** @param session closed by its owner; a closed one ends all reads */
  constructor(session: Hypercore) {
    this.#session = session
  }

  /**
   * A block from a peer, as `Hypercore.get` returns it.
   * @throws {FsError} EHOSTUNREACH when no peer has it; EIO when only peers that lie have it;
   *   ECANCELED by the signal; otherwise what Hypercore throws
   */
  async get(block: number, timeoutMs: number, signal?: AbortSignal): Promise<Buffer | null> {
    const liars = new Set<Hypercore.Peer>()
    const waiting: Waiting = { block, requests: [], liars, lonelyTicks: 0, failure: null }
    const abort = (): void => {
      this.#giveUp(waiting, new FsError('ECANCELED', 'the read was called off'))
    }
    signal?.addEventListener('abort', abort, { once: true })
    this.#add(waiting)
    try {
      const { requests } = waiting
      return await this.#session.get(block, { timeout: timeoutMs, activeRequests: requests })
    } catch (cause) {
      throw waiting.failure ?? cause
    } finally {
      signal?.removeEventListener('abort', abort)
      this.#remove(waiting)
    }
  }

  #giveUp(waiting: Waiting, failure: FsError): void {
    waiting.failure = failure
    this.#session.clearRequests(waiting.requests, failure)
  }

  #add(waiting: Waiting): void {
    this.#waiting.add(waiting)
    if (!this.#isListening) {
      this.#isListening = true
      this.#session.on('verification-error', (_err, _request, answer, from) => {
        this.#noteLie(answer, from)
      })
    }
    if (this.#timer !== null) return
    this.#timer = setInterval(() => {
      this.#tick()
    }, TICK_MS)
    this.#timer.unref()
  }

  #remove(waiting: Waiting): void {
    this.#waiting.delete(waiting)
    if (this.#waiting.size > 0 || this.#timer === null) return
    clearInterval(this.#timer)
    this.#timer = null
  }

  #noteLie(answer: Hypercore.DataMessage, from: Hypercore.Peer): void {
    for (const { block, liars } of this.#waiting) {
      if (answer.block?.index === block) liars.add(from)
    }
  }

  #tick(): void {
    const { peers, key } = this.#session
    for (const waiting of this.#waiting) {
      const { block, liars } = waiting
      const hasIt = (peer: Hypercore.Peer): boolean =>
        !peer.paused && !liars.has(peer) && peer._remoteHasBlock(block)
      if (peers.some(hasIt)) {
        waiting.lonelyTicks = 0
        continue
      }
      const place = `block ${block} of core ${key.toString('hex')}`
      if (liars.size > 0) {
        const what = 'is not on this device, and what was sent for it is not genuine'
        this.#giveUp(waiting, new FsError('EIO', `${place} ${what}`))
      } else if (++waiting.lonelyTicks >= LONELY_TICKS) {
        const what = 'is not on this device, and no device that is connected has it'
        this.#giveUp(waiting, new FsError('EHOSTUNREACH', `${place} ${what}`))
      }
    }
  }
}
