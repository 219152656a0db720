/**
 * How long this device has run, over all its starts: the only time that decides when something
 * old may go. The wall clock may jump; this one only ever counts too little.
 */
import type { Clock } from '../base/clock.js'
import type { Change } from '../union/changes.js'
import type { Index } from '../union/index-store.js'

const KEY = 'run'
/** It is noted at least this often, so that a crash takes no more of it. */
const NOTE_MS = 3_600_000

/** See the file's head. */
export class RunTime {
  #beforeMs = 0
  #startedMs = 0
  #notedMs = 0

  constructor(
    private readonly index: Pick<Index, 'meta'>,
    private readonly clock: Clock
  ) {
    this.load()
  }

  /** Reads what was noted last, after recovery has changed the index. */
  load(): void {
    this.#beforeMs = this.index.meta(KEY)?.readUIntLE(0, 6) ?? 0
    this.#startedMs = this.clock.monotonicMs()
    this.#notedMs = this.#beforeMs
  }

  /** Whole ms. */
  nowMs(): number {
    return Math.floor(this.#beforeMs + this.clock.monotonicMs() - this.#startedMs)
  }

  /** Whether it should be noted although nothing is stamped by it. */
  get isNoteDue(): boolean {
    return this.nowMs() - this.#notedMs >= NOTE_MS
  }

  /** What notes it; to be journaled with whatever is stamped by it. */
  note(): Change {
    const value = Buffer.alloc(6)
    this.#notedMs = this.nowMs()
    value.writeUIntLE(this.#notedMs, 0, 6)
    return { kind: 'meta', key: KEY, value }
  }
}
