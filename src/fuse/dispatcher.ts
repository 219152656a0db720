/**
 * Takes requests and events from the native session and hands them on. Exactly one answer for each
 * request: a handler's own, or the errno of what it threw.
 */
import { constants } from 'node:os'
import { errnoOf } from '../base/errors.js'
import type { Logger } from '../base/log.js'
import type { Filesystem } from '../vfs/filesystem.js'
import type { AttachedHandlers } from './attached-handlers.js'
import { HANDLERS, type HandlerContext } from './handlers.js'
import { EVENT, type Session } from './native.js'
import { RequestView } from './request.js'

const BATCH = 64
/** How often one request may be prepared and tried again before it is given up. */
const MAX_ATTEMPTS = 16

/** What a dispatcher is made of. */
export interface DispatcherParts {
  readonly session: Session
  readonly now: () => bigint
  readonly log: Logger
  /** The mount has ended: unmounted, aborted, or failed. */
  readonly onEnded: (reason: number) => void
}

/** See the file's head. */
export class Dispatcher {
  /** Asked first; set by who attaches drives. */
  attached: AttachedHandlers | null = null
  #filesystem: Filesystem | null = null
  #serving = false
  readonly #view: RequestView
  readonly #slots = new Uint32Array(BATCH)
  readonly #events = new Float64Array(BATCH * 3)
  /** How often a slot came back without having been answered. */
  readonly #attempts = new Map<number, { unique: number; count: number }>()

  constructor(private readonly parts: DispatcherParts) {
    this.#view = new RequestView(parts.session.slab, parts.session.slotBytes)
  }

  /** From now on the filesystem hears of events; requests wait while it recovers. */
  attach(filesystem: Filesystem): void {
    this.#filesystem = filesystem
    filesystem.hearEvents = () => this.#takeEvents()
  }

  /** From now on requests are served; those that came before have waited. */
  serve(): void {
    this.#serving = true
    this.work()
  }

  /** Takes all there is to do. Called by the session; never throws. */
  work(): void {
    this.#takeEvents()
    if (!this.#serving || !this.#filesystem) return
    for (;;) {
      const count = this.parts.session.takeRequests(this.#slots)
      for (let i = 0; i < count; i++) this.#serve(this.#slots[i] ?? 0, this.#filesystem)
      if (count < BATCH) return
    }
  }

  #takeEvents(): void {
    for (;;) {
      const count = this.parts.session.takeEvents(this.#events)
      for (let i = 0; i < count; i++) {
        this.#event(this.#events[i * 3] ?? 0, this.#events[i * 3 + 1] ?? 0)
      }
      if (count < BATCH) return
    }
  }

  #event(type: number, value: number): void {
    const filesystem = this.#filesystem
    switch (type) {
      case EVENT.marked:
        filesystem?.onMarked(value)
        return
      case EVENT.ended:
        this.parts.onEnded(value)
        return
      case EVENT.dirtied:
        filesystem?.onDirtied(value)
        return
      case EVENT.journalLow:
        filesystem?.onJournalLow()
        return
      case EVENT.orphanGone:
        filesystem?.onOrphanGone(value)
        return
      case EVENT.syncFailed:
        this.parts.log.error({ errno: value }, 'the home could not be synced to the disk')
        return
      default:
    }
  }

  #serve(slot: number, filesystem: Filesystem): void {
    const request = this.#view.select(slot)
    const handler = HANDLERS.get(request.opcode)
    if (!handler) {
      this.parts.session.replyError(slot, constants.errno.ENOSYS)
      return
    }
    if (this.#isStuck(slot, request.unique)) {
      this.parts.log.error(
        { opcode: request.opcode, ino: request.ino },
        'a request can not be served'
      )
      this.parts.session.replyError(slot, constants.errno.EIO)
      return
    }
    const context: HandlerContext = { session: this.parts.session, filesystem, now: this.parts.now }
    try {
      const isAttached = this.attached?.serve(request, slot) ?? false
      const done = isAttached === false ? handler(request, slot, context) : isAttached
      if (done instanceof Promise) done.catch((error: unknown) => this.#fail(slot, error))
    } catch (error) {
      this.#fail(slot, error)
    }
  }

  /** A request that comes back again and again would go round for ever. */
  #isStuck(slot: number, unique: number): boolean {
    const attempts = this.#attempts.get(slot)
    if (attempts?.unique !== unique) {
      this.#attempts.set(slot, { unique, count: 1 })
      return false
    }
    return ++attempts.count > MAX_ATTEMPTS
  }

  #fail(slot: number, error: unknown): void {
    const errno = errnoOf(error)
    if (errno === constants.errno.EIO) {
      this.parts.log.error({ err: error, opcode: this.#view.select(slot).opcode }, 'EIO answered')
    }
    this.parts.session.replyError(slot, errno)
  }
}
