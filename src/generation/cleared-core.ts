/**
 * A core of which blocks are cleared, with a count of the bytes that this took away.
 *
 * Bytes are counted by the Merkle tree's own sizes just before a clear, and kept as a note beside
 * the core. A crash between clear and note makes the figure too small by one call's blocks; nothing
 * depends on it but when to compact.
 */
import type { Core } from '../store/core.js'
import type { Records } from '../store/records.js'
import type { BlockRun } from './types.js'

/** Name of the note: two u64 little endian, bytes ever cleared, and that when last compacted. */
const NOTE = 'pcfs-cleared'

/** Name of the note of a bee's core: u64 little endian, the version last swept. */
const SWEPT_NOTE = 'pcfs-swept'

/** A sweep of fewer new blocks than this frees too little to be worth reading the tree. */
const SWEEP_MIN_BLOCKS = 1000

/** Blocks cleared in one go: one write batch, some ms. */
const CLEAR_BLOCKS = 4096

/** See the file's head. */
export class ClearedCore {
  /** The core. */
  readonly core: Core
  #clearedBytes: number
  #compactedBytes: number

  private constructor(core: Core, [cleared, compacted]: readonly number[]) {
    this.core = core
    this.#clearedBytes = cleared ?? 0
    this.#compactedBytes = compacted ?? 0
  }

  /** Reads the note. The core stays its opener's. */
  static async open(core: Core): Promise<ClearedCore> {
    return new ClearedCore(core, numbersOf(await core.note(NOTE)))
  }

  /** Bytes of blocks that are on this device, as stored. */
  get heldBytes(): number {
    return this.core.byteLength - this.#clearedBytes
  }

  /** Bytes ever cleared; what to give to `setCompacted` after a compaction that began now. */
  get clearedBytes(): number {
    return this.#clearedBytes
  }

  /** Bytes cleared since the last compaction. */
  get reclaimableBytes(): number {
    return this.#clearedBytes - this.#compactedBytes
  }

  /** Notes that a compaction has freed what was cleared. */
  async setCompacted(clearedBytes: number): Promise<void> {
    this.#compactedBytes = clearedBytes
    await this.#writeNote()
  }

  /** Clears blocks; repeating it does nothing. Returns how many were there. */
  async clear(runs: readonly BlockRun[]): Promise<number> {
    let count = 0
    for (const run of runs) {
      const end = Math.min(run.block + run.count, this.core.length)
      for (let start = run.block; start < end; start += CLEAR_BLOCKS) {
        count += await this.#clearSome(start, Math.min(end, start + CLEAR_BLOCKS))
      }
    }
    if (count > 0) await this.#writeNote()
    return count
  }

  /** Clears the blocks of `[start, end)` for which `isWanted` is false. */
  async clearUnwanted(
    start: number,
    end: number,
    isWanted: (block: number) => boolean
  ): Promise<number> {
    const runs: BlockRun[] = []
    let from = -1
    for (let block = start; block <= end; block++) {
      const isGone = block < end && this.core.has(block) && !isWanted(block)
      if (isGone && from < 0) from = block
      if (isGone || from < 0) continue
      runs.push({ block: from, count: block - from })
      from = -1
    }
    return this.clear(runs)
  }

  /**
   * Clears the blocks that no version of this core's bee at or above `keepFrom` needs. Blocks above
   * are kept; of those below, exactly the ones that the tree of `keepFrom` uses: what is dead there
   * is dead in every later version, since a later tree points only at blocks of the one before and
   * at new ones.
   */
  async sweep(records: Records, keepFrom: number, signal?: AbortSignal): Promise<number> {
    const version = Math.min(keepFrom, records.version)
    if (version <= 1) return 0
    const live = new Uint8Array(Math.ceil(version / 8))
    const mark = (block: number): void => {
      const at = block >> 3
      if (at < live.length) live[at] = (live[at] ?? 0) | (1 << (block & 7))
    }
    const isMarked = (block: number): boolean => {
      return ((live[block >> 3] ?? 0) & (1 << (block & 7))) !== 0
    }
    mark(0) // the header
    await records.visit(version, mark, signal)
    const count = await this.clearUnwanted(0, version, isMarked)
    await this.core.setNote(SWEPT_NOTE, bytesOf([version]))
    return count
  }

  /**
   * Whether a sweep is worth its cost, which is a walk over the live tree: when the versions since
   * the last one are as many as what it left, so that over time each commit pays for one or two
   * block reads, however large the tree, and no more than twice what is live is held.
   */
  async isSweepDue(keepFrom: number): Promise<boolean> {
    const [swept = 0] = numbersOf(await this.core.note(SWEPT_NOTE))
    const fresh = keepFrom - swept
    if (fresh < SWEEP_MIN_BLOCKS) return false
    return fresh >= (await this.core.count(0, swept))
  }

  async #clearSome(start: number, end: number): Promise<number> {
    const held = await this.core.count(start, end)
    if (held === 0) return 0
    this.#clearedBytes += await this.core.storedBytes(start, end)
    await this.core.clear(start, end)
    return held
  }

  async #writeNote(): Promise<void> {
    await this.core.setNote(NOTE, bytesOf([this.#clearedBytes, this.#compactedBytes]))
  }
}

function bytesOf(numbers: readonly number[]): Buffer {
  const bytes = Buffer.alloc(numbers.length * 8)
  numbers.forEach((value, position) => bytes.writeBigUInt64LE(BigInt(value), position * 8))
  return bytes
}

function numbersOf(bytes: Buffer | null): number[] {
  if (bytes === null) return []
  const count = Math.floor(bytes.length / 8)
  return Array.from({ length: count }, (_, at) => Number(bytes.readBigUInt64LE(at * 8)))
}
