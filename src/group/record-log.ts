/**
 * The records in one group core: read as they come, at most so many a second, never beyond a cut.
 *
 * Invariant: a record is told once, in the order of its blocks; what can not be read as one is
 * counted and skipped, for its writer may be hostile and the records behind it are not.
 */
import type { Clock } from '../base/clock.js'
import { FsError } from '../base/errors.js'
import { Mutex } from '../base/mutex.js'
import { type GroupRecord, MAX_SEQUENCE, decodeGroupRecord } from '../format/group-record.js'
import type { Log } from '../store/log.js'

/** Records of one core that are taken at once: a whole group's history of years. */
const BURST_RECORDS = 2_000
/** Records a second from then on. */
const RECORDS_PER_SECOND = 20
/** How soon a core that said too much is read on, ms. */
const PATIENCE_MS = 1_000
/** Blocks of one core that are looked at: its owner's records, and as many carried for others. */
const MAX_BLOCKS = 2 * (MAX_SEQUENCE + 1)

/** What reading a log calls back. */
export interface RecordLogEvents {
  readonly onRecords: (records: readonly GroupRecord[]) => void
  /** Two signed heads of the core disagree. */
  readonly onConflict: () => void
}

/** See the file's head. */
export class RecordLog {
  /** The log underneath. */
  readonly log: Log
  readonly #clock: Clock
  readonly #events: RecordLogEvents
  readonly #mutex = new Mutex()
  #next = 0
  #upTo: number | null = null
  #tokens = BURST_RECORDS
  #filledAtMs: number
  #timer: NodeJS.Timeout | null = null
  #isClosed = false
  #unreadable = 0
  #newer = 0

  /** @param log open; closed by `close` */
  constructor(log: Log, clock: Clock, events: RecordLogEvents) {
    this.log = log
    this.#clock = clock
    this.#events = events
    this.#filledAtMs = clock.monotonicMs()
  }

  /** The first block that was not read yet. */
  get nextBlock(): number {
    return this.#next
  }

  /** Blocks so far that are no records. */
  get unreadable(): number {
    return this.#unreadable
  }

  /** Blocks so far that a newer pcfs wrote. */
  get newer(): number {
    return this.#newer
  }

  /** Reads what is on this disk before anything is fetched; see `limit` and `read`. */
  async readHere(upTo: number | null): Promise<void> {
    this.#upTo = upTo
    await this.read(true)
  }

  /** Fetches and reads from now on; see `limit`. */
  follow(upTo: number | null): void {
    this.#upTo = upTo
    const onChange = (): void => {
      // A read that fails is tried again at the next change; nobody waits for it here.
      this.read().catch(() => undefined)
    }
    this.log.follow(upTo, onChange, this.#events.onConflict)
    onChange()
  }

  /** Reads nothing beyond a block any more; null: everything. */
  limit(upTo: number | null): void {
    if (upTo === this.#upTo || this.#isClosed) return
    this.#upTo = upTo
    this.log.limit(upTo)
    this.read().catch(() => undefined)
  }

  /**
   * Reads what is here, up to the first block that is not.
   * @param isTrusted no bound: our own records, and what was on this disk before
   * @throws {FsError} EIO when a block is damaged
   */
  read(isTrusted = false): Promise<void> {
    return this.#mutex.run(() => this.#read(isTrusted))
  }

  /** Ends reading and closes the log. */
  async close(): Promise<void> {
    this.#isClosed = true
    if (this.#timer !== null) clearTimeout(this.#timer)
    await this.#mutex.run(() => Promise.resolve())
    await this.log.close()
  }

  async #read(isTrusted: boolean): Promise<void> {
    const end = Math.min(this.log.length, this.#upTo ?? MAX_BLOCKS, MAX_BLOCKS)
    const found: GroupRecord[] = []
    try {
      while (this.#next < end && !this.#isClosed && this.log.has(this.#next)) {
        if (!isTrusted && !this.#take()) break
        const block = await this.log.get(this.#next)
        if (block === null) break
        this.#next++
        const record = this.#decode(block)
        if (record !== null) found.push(record)
      }
    } finally {
      if (found.length > 0 && !this.#isClosed) this.#events.onRecords(found)
    }
  }

  #decode(block: Buffer): GroupRecord | null {
    try {
      return decodeGroupRecord(block)
    } catch (error) {
      if (error instanceof FsError && error.code === 'EPROTO') this.#newer++
      else this.#unreadable++
      return null
    }
  }

  /** One record's worth of patience with this core; false: it is read on later. */
  #take(): boolean {
    const now = this.#clock.monotonicMs()
    const gained = ((now - this.#filledAtMs) / 1000) * RECORDS_PER_SECOND
    this.#tokens = Math.min(BURST_RECORDS, this.#tokens + gained)
    this.#filledAtMs = now
    if (this.#tokens >= 1) {
      this.#tokens--
      return true
    }
    this.#timer ??= setTimeout(() => {
      this.#timer = null
      this.read().catch(() => undefined)
    }, PATIENCE_MS)
    this.#timer.unref()
    return false
  }
}
