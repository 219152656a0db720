/**
 * Blocks that no file uses any more, kept for a while as history, then cleared so that they really
 * leave the disk.
 *
 * An entry's history is over when the device has run for `keepRunMs` since (the wall clock decides
 * nothing), or when all history together is over its budget: oldest first. Entries are in the
 * index's book-keeping, written with the commit that superseded the blocks, so that no crash leaks
 * a block: `dead:<ino>` is the content map of a removed file whose blocks are still to be listed,
 * `hist:<n>` a list of runs, `run` how long the device has run.
 */
import type { Clock } from '../base/clock.js'
import type { Logger } from '../base/log.js'
import { BLOCK_BYTES } from '../format/content-map.js'
import type { BlockRun } from '../generation/types.js'
import type { Change } from '../union/changes.js'
import type { Index } from '../union/index-store.js'
import type { ContentStore } from './content-store.js'

const DEAD = 'dead:'
const HISTORY = 'hist:'
const RUN = 'run'
/** Removed files looked at in one go. */
const DEAD_BATCH = 256
/** Cleared bytes that are worth a compaction. */
const COMPACT_BYTES = 64 * 1024 * 1024

/** How long history is kept. */
export interface HistoryLimits {
  /** Bytes of superseded blocks, at most. */
  readonly budgetBytes: number
  /** Running time of this device, ms. */
  readonly keepRunMs: number
}

/** The parts it works with. */
export interface HistoryParts {
  readonly index: Index
  readonly store: ContentStore
  readonly clock: Clock
  readonly log: Logger
  readonly limits: HistoryLimits
  /** Whether a removed file is still open, so that its blocks may still be read. */
  readonly isOpen: (ino: number) => boolean
  /**
   * Whether old blocks may go. Not while other devices may still use them: a version of theirs, or
   * a conflict copy, can point into this device's blocks, and what they have seen is not known yet.
   */
  readonly mayClear: () => boolean
  /** Journals and applies changes. */
  readonly apply: (changes: readonly Change[]) => void
}

interface Entry {
  readonly key: string
  readonly bytes: number
  readonly atRunMs: number
}

/** Book-keeping key of a removed file's content map. */
export function deadKey(ino: number): string {
  return DEAD + ino
}

/** u48 running time, then u48 first block and u32 count for each run. */
function encodeEntry(atRunMs: number, runs: readonly BlockRun[]): Buffer {
  const bytes = Buffer.alloc(6 + runs.length * 10)
  bytes.writeUIntLE(Math.floor(atRunMs), 0, 6)
  for (const [i, run] of runs.entries()) {
    bytes.writeUIntLE(run.block, 6 + i * 10, 6)
    bytes.writeUInt32LE(run.count, 12 + i * 10)
  }
  return bytes
}

function decodeRuns(bytes: Buffer): BlockRun[] {
  const runs: BlockRun[] = []
  for (let at = 6; at + 10 <= bytes.length; at += 10) {
    runs.push({ block: bytes.readUIntLE(at, 6), count: bytes.readUInt32LE(at + 6) })
  }
  return runs
}

function bytesOf(runs: readonly BlockRun[]): number {
  return runs.reduce((sum, run) => sum + run.count, 0) * BLOCK_BYTES
}

/**
 * What a rebuilt index has to know of blocks: those that no file uses are history from now on.
 * @param used runs that some file uses, in any order
 * @param blobsLength length of the blobs core
 */
export function noteUnused(used: readonly BlockRun[], blobsLength: number): Change[] {
  const unused: BlockRun[] = []
  let next = 0
  for (const { block, count } of [...used].sort((a, b) => a.block - b.block)) {
    if (block > next) unused.push({ block: next, count: block - next })
    next = Math.max(next, block + count)
  }
  if (blobsLength > next) unused.push({ block: next, count: blobsLength - next })
  const changes: Change[] = [blobsLengthChange(blobsLength)]
  if (unused.length === 0) return changes
  const key = HISTORY + '1'.padStart(12, '0')
  return [...changes, { kind: 'meta', key, value: encodeEntry(0, unused) }]
}

/** Book-keeping key of the blobs core's length: blocks beyond it are in no row's map. */
export const BLOBS_KEY = 'blobs'

/** The note of the blobs core's length that goes with a commit. */
export function blobsLengthChange(length: number): Change {
  const value = Buffer.alloc(6)
  value.writeUIntLE(length, 0, 6)
  return { kind: 'meta', key: BLOBS_KEY, value }
}

/** See the file's head. */
export class History {
  #entries: Entry[] = []
  #bytes = 0
  #next = 1
  #runMs = 0
  #startedMs = 0
  #clearedBytes = 0
  #tending: Promise<void> | null = null
  #isClosed = false

  constructor(private readonly parts: HistoryParts) {
    this.load()
  }

  /** Reads the entries again, after recovery has changed the index. */
  load(): void {
    this.#entries = this.parts.index.metaRange(HISTORY).map(({ key, value }) => ({
      key,
      bytes: bytesOf(decodeRuns(value)),
      atRunMs: value.readUIntLE(0, 6)
    }))
    this.#bytes = this.#entries.reduce((sum, entry) => sum + entry.bytes, 0)
    const last = this.#entries.at(-1)
    this.#next = last ? Number(last.key.slice(HISTORY.length)) + 1 : 1
    this.#runMs = this.parts.index.meta(RUN)?.readUIntLE(0, 6) ?? 0
    this.#startedMs = this.parts.clock.monotonicMs()
  }

  /** Bytes of superseded blocks that are kept. */
  get bytes(): number {
    return this.#bytes
  }

  /** Notes superseded blocks. @returns the changes to be journaled with what superseded them */
  supersede(runs: readonly BlockRun[]): Change[] {
    if (runs.length === 0) return []
    const atRunMs = this.#nowRunMs()
    const key = HISTORY + String(this.#next++).padStart(12, '0')
    const bytes = bytesOf(runs)
    this.#entries.push({ key, bytes, atRunMs })
    this.#bytes += bytes
    const run = Buffer.alloc(6)
    run.writeUIntLE(Math.floor(atRunMs), 0, 6)
    return [
      { kind: 'meta', key, value: encodeEntry(atRunMs, runs) },
      { kind: 'meta', key: RUN, value: run }
    ]
  }

  /**
   * Lists the blocks of removed files, clears what is over, compacts when that pays. Called after
   * commits and now and then; at most one runs.
   */
  tend(): Promise<void> {
    this.#tending ??= this.#tend()
      .catch((error: unknown) => {
        this.parts.log.warn({ err: error }, 'clearing old blocks failed and will be tried again')
      })
      .finally(() => {
        this.#tending = null
      })
    return this.#tending
  }

  /** Begins nothing more, and waits for what is under way; the next start goes on with it. */
  async close(): Promise<void> {
    this.#isClosed = true
    await this.#tending
  }

  async #tend(): Promise<void> {
    if (this.#isClosed) return
    await this.#bury()
    await this.#clearOld()
    if (this.#isClosed) return
    await this.parts.store.sweepRecords()
    if (!this.#isClosed && this.#clearedBytes >= COMPACT_BYTES) {
      if (await this.parts.store.compact(COMPACT_BYTES)) this.#clearedBytes = 0
    }
  }

  /** Turns removed files' maps into history. */
  async #bury(): Promise<void> {
    const dead = this.parts.index
      .metaRange(DEAD)
      .filter(({ key }) => !this.parts.isOpen(Number(key.slice(DEAD.length))))
    for (let at = 0; at < dead.length && !this.#isClosed; at += DEAD_BATCH) {
      const batch = dead.slice(at, at + DEAD_BATCH)
      const runs: BlockRun[] = []
      for (const { value } of batch) runs.push(...(await this.parts.store.runsOf(value)))
      const gone = batch.map(({ key }): Change => ({ kind: 'meta', key, value: null }))
      this.parts.apply([...gone, ...this.supersede(runs)])
    }
  }

  async #clearOld(): Promise<void> {
    if (!this.parts.mayClear()) return
    const { budgetBytes, keepRunMs } = this.parts.limits
    const nowRunMs = this.#nowRunMs()
    for (;;) {
      const [oldest] = this.#entries
      if (!oldest || this.#isClosed) return
      if (this.#bytes <= budgetBytes && nowRunMs - oldest.atRunMs < keepRunMs) return
      const value = this.parts.index.meta(oldest.key)
      if (value) await this.parts.store.clear(decodeRuns(value))
      this.parts.apply([{ kind: 'meta', key: oldest.key, value: null }])
      this.#entries.shift()
      this.#bytes -= oldest.bytes
      this.#clearedBytes += oldest.bytes
    }
  }

  #nowRunMs(): number {
    return this.#runMs + this.parts.clock.monotonicMs() - this.#startedMs
  }
}
