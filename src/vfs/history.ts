/**
 * The tick that lets go what is old, and what it does to content: blocks that no file uses any
 * more, kept for a while as history, then cleared so that they really leave the disk.
 *
 * An entry's history is over when the device has run for `keepRunMs` since (the wall clock decides
 * nothing), or when all history together is over its budget: oldest first. Where there are several
 * devices, an entry goes only
 * - when all of them have seen what superseded its blocks: another version that was written on top
 *   of the old one, and uses some of its blocks, is known here by then (`horizon.ts`);
 * - without those blocks that a conflict copy or such a version does use (`block-uses.ts`);
 * - and not while the new version's own blocks may be nowhere but with a device that is gone.
 *
 * Entries are in the index's book-keeping, written with the commit that superseded the blocks, so
 * that no crash leaks a block: `dead:<ino>` is the content map of a removed file, or of a version
 * that another device replaced, whose blocks are still to be listed; `hist:<n>` a list of runs.
 */
import type { Logger } from '../base/log.js'
import { BLOCK_BYTES } from '../format/content-map.js'
import type { BlockRun } from '../generation/types.js'
import type { Change } from '../union/changes.js'
import type { Index } from '../union/index-store.js'
import { readSafe, writeSafe } from '../union/row.js'
import { DEAD_KEYS, USES_KEYS, inoOfKey } from './aftermath.js'
import { BlockUses, withoutRuns } from './block-uses.js'
import type { ContentStore } from './content-store.js'
import type { Graves } from './graves.js'
import type { Horizon } from './horizon.js'
import type { RunTime } from './run-time.js'

const HISTORY = 'hist:'
/** Removed files looked at in one go. */
const DEAD_BATCH = 256
/** Entries that are cleared in one go: the files that they were of are looked at once. */
const CLEAR_BATCH = 64
/** Cleared bytes that are worth a compaction. */
const COMPACT_BYTES = 64 * 1024 * 1024
/** Bytes of an entry before its nodes and runs, and of each of those. */
const HEAD_BYTES = 16
const INO_BYTES = 8
const RUN_BYTES = 10

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
  readonly run: RunTime
  readonly horizon: Horizon
  readonly graves: Pick<Graves, 'tend'>
  readonly log: Logger
  readonly limits: HistoryLimits
  /** Whether a removed file is still open, so that its blocks may still be read. */
  readonly isOpen: (ino: number) => boolean
  /** Whether there is, or will be, more than one generation. */
  readonly isShared: () => boolean
  /** Journals and applies changes. */
  readonly apply: (changes: readonly Change[]) => void
}

interface Entry {
  readonly key: string
  readonly bytes: number
  readonly atRunMs: number
  /** The cut that it waits for. */
  readonly cut: number
}

/** Superseded blocks as they are noted. */
export interface HistoryNote {
  /** Running time when they were superseded, ms. */
  readonly atRunMs: number
  /** Number of the cut that they wait for. */
  readonly cut: number
  /** The files that they were of. */
  readonly inos: readonly number[]
  readonly runs: readonly BlockRun[]
}

/** u48 running time, u48 cut, u32 count of nodes, u64 each; u48 block and u32 count of each run. */
function encodeNote({ atRunMs, cut, inos, runs }: HistoryNote): Buffer {
  const runsAt = HEAD_BYTES + inos.length * INO_BYTES
  const bytes = Buffer.alloc(runsAt + runs.length * RUN_BYTES)
  bytes.writeUIntLE(atRunMs, 0, 6)
  bytes.writeUIntLE(cut, 6, 6)
  bytes.writeUInt32LE(inos.length, 12)
  for (const [i, ino] of inos.entries()) writeSafe(bytes, ino, HEAD_BYTES + i * INO_BYTES)
  for (const [i, run] of runs.entries()) {
    bytes.writeUIntLE(run.block, runsAt + i * RUN_BYTES, 6)
    bytes.writeUInt32LE(run.count, runsAt + i * RUN_BYTES + 6)
  }
  return bytes
}

/** @see HistoryNote */
export function decodeNote(bytes: Buffer): HistoryNote {
  const runsAt = HEAD_BYTES + bytes.readUInt32LE(12) * INO_BYTES
  const inos: number[] = []
  for (let at = HEAD_BYTES; at < runsAt; at += INO_BYTES) inos.push(readSafe(bytes, at))
  const runs: BlockRun[] = []
  for (let at = runsAt; at + RUN_BYTES <= bytes.length; at += RUN_BYTES) {
    runs.push({ block: bytes.readUIntLE(at, 6), count: bytes.readUInt32LE(at + 6) })
  }
  return { atRunMs: bytes.readUIntLE(0, 6), cut: bytes.readUIntLE(6, 6), inos, runs }
}

function bytesOf(runs: readonly BlockRun[]): number {
  return runs.reduce((sum, run) => sum + run.count, 0) * BLOCK_BYTES
}

/** Blocks that a node uses. */
export interface UsedRun extends BlockRun {
  readonly ino: number
}

/**
 * What a rebuilt index has to know of blocks: those that no file uses are history from now on, and
 * which files use blocks that others use too.
 * @param used runs that some version of a file uses, in any order
 * @param blobsLength length of the blobs core
 */
export function noteUnused(used: readonly UsedRun[], blobsLength: number): Change[] {
  const unused: BlockRun[] = []
  const changes: Change[] = [blobsLengthChange(blobsLength)]
  let next = 0
  let user = 0
  for (const { block, count, ino } of [...used].sort((a, b) => a.block - b.block)) {
    if (block > next) unused.push({ block: next, count: block - next })
    if (block < next && ino !== user) {
      for (const one of [ino, user]) {
        changes.push({ kind: 'meta', key: USES_KEYS + one, value: Buffer.of(1) })
      }
    }
    if (block + count >= next) user = ino
    next = Math.max(next, block + count)
  }
  if (blobsLength > next) unused.push({ block: next, count: blobsLength - next })
  if (unused.length === 0) return changes
  const key = HISTORY + '1'.padStart(12, '0')
  const value = encodeNote({ atRunMs: 0, cut: 1, inos: [], runs: unused })
  return [...changes, { kind: 'meta', key, value }]
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
  readonly #uses: BlockUses
  #entries: Entry[] = []
  #bytes = 0
  #next = 1
  #clearedBytes = 0
  #tending: Promise<void> | null = null
  #isClosed = false

  constructor(private readonly parts: HistoryParts) {
    this.#uses = new BlockUses(parts)
    this.load()
  }

  /** Reads the entries again, after recovery has changed the index. */
  load(): void {
    this.#entries = this.parts.index.metaRange(HISTORY).map(({ key, value }) => {
      const { atRunMs, cut, runs } = decodeNote(value)
      return { key, bytes: bytesOf(runs), atRunMs, cut }
    })
    this.#bytes = this.#entries.reduce((sum, entry) => sum + entry.bytes, 0)
    const last = this.#entries.at(-1)
    this.#next = last ? Number(last.key.slice(HISTORY.length)) + 1 : 1
    if (last) this.parts.horizon.waitNumber()
  }

  /** Bytes of superseded blocks that are kept. */
  get bytes(): number {
    return this.#bytes
  }

  /**
   * Notes superseded blocks.
   * @param inos the files that they were of
   * @returns the changes to be journaled with what superseded them
   */
  supersede(runs: readonly BlockRun[], inos: readonly number[]): Change[] {
    if (runs.length === 0) return []
    const { run, horizon } = this.parts
    const note = { atRunMs: run.nowMs(), cut: horizon.waitNumber(), inos, runs }
    const key = HISTORY + String(this.#next++).padStart(12, '0')
    const bytes = bytesOf(runs)
    this.#entries.push({ key, bytes, atRunMs: note.atRunMs, cut: note.cut })
    this.#bytes += bytes
    return [{ kind: 'meta', key, value: encodeNote(note) }, run.note()]
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
    const { store, horizon, graves, run } = this.parts
    if (this.#isClosed) return
    if (run.isNoteDue) this.parts.apply([run.note()])
    horizon.tend()
    await graves.tend()
    if (this.#isClosed) return
    await this.#bury()
    await this.#clearOld()
    if (this.#isClosed) return
    const { dbLength } = await store.info()
    if (this.#isClosed) return
    await store.sweepRecords(horizon.keepFrom(dbLength))
    if (!this.#isClosed && this.#clearedBytes >= COMPACT_BYTES) {
      if (await store.compact(COMPACT_BYTES)) this.#clearedBytes = 0
    }
  }

  /** Turns the maps of what is removed or replaced into history. */
  async #bury(): Promise<void> {
    const dead = this.parts.index
      .metaRange(DEAD_KEYS)
      .filter(({ key }) => !this.parts.isOpen(inoOfKey(key)))
    for (let at = 0; at < dead.length && !this.#isClosed; at += DEAD_BATCH) {
      const batch = dead.slice(at, at + DEAD_BATCH)
      const inos = [...new Set(batch.map(({ key }) => inoOfKey(key)))]
      const runs: BlockRun[] = []
      for (const { value } of batch) runs.push(...(await this.parts.store.runsOf(value)))
      const used = this.parts.isShared() ? await this.#uses.runsOf(inos) : []
      const gone = batch.map(({ key }): Change => ({ kind: 'meta', key, value: null }))
      this.parts.apply([...gone, ...this.supersede(withoutRuns(runs, used), inos)])
    }
  }

  async #clearOld(): Promise<void> {
    for (;;) {
      const due = this.#due()
      if (due.length === 0 || this.#isClosed) return
      await this.#clear(due)
      this.#entries.splice(0, due.length)
      for (const { bytes } of due) this.#bytes -= bytes
    }
  }

  /** The first entries, as far as they may go. */
  #due(): readonly Entry[] {
    const { budgetBytes, keepRunMs } = this.parts.limits
    const passed = this.parts.horizon.passed()
    const nowMs = this.parts.run.nowMs()
    const due: Entry[] = []
    let bytes = this.#bytes
    for (const entry of this.#entries.slice(0, CLEAR_BATCH)) {
      const isOver = bytes > budgetBytes || nowMs - entry.atRunMs >= keepRunMs
      if (!isOver || entry.cut > passed) break
      due.push(entry)
      bytes -= entry.bytes
    }
    return due
  }

  /** Clears what nothing uses. What has to stay for now becomes new entries. */
  async #clear(due: readonly Entry[]): Promise<void> {
    const { index, store, apply } = this.parts
    const isShared = this.parts.isShared()
    const changes: Change[] = []
    const runs: BlockRun[] = []
    const inos = new Set<number>()
    for (const { key } of due) {
      changes.push({ kind: 'meta', key, value: null })
      const value = index.meta(key)
      if (!value) continue
      const note = decodeNote(value)
      if (isShared && !(await this.#uses.areSafe(note.inos))) {
        changes.push(...this.supersede(note.runs, note.inos))
        continue
      }
      runs.push(...note.runs)
      for (const ino of note.inos) inos.add(ino)
    }
    const free = isShared ? withoutRuns(runs, await this.#uses.runsOfUsers(inos)) : runs
    await store.clear(free)
    apply(changes)
    this.#clearedBytes += bytesOf(free)
  }
}
