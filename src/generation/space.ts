/**
 * What leaves the disk: cleared content blocks, orphans of a crash, bee blocks whose history is
 * over; and the compaction that makes the disk shrink.
 *
 * Bytes are counted by the Merkle tree's own sizes just before a clear takes them away, and kept as
 * a note beside the core. A crash between clear and note makes the figure too small by one call's
 * blocks; nothing depends on it but when to compact.
 */
import type { Core } from '../store/core.js'
import type { Store } from '../store/store.js'
import type { Records } from '../store/records.js'
import type { BlockRun, SpaceInfo } from './types.js'

/** Name of the note: two u64 little endian, bytes ever cleared, and that sum when last compacted. */
const NOTE = 'pcfs-cleared'

/** Name of the note beside the db core: u64 little endian, the version last swept. */
const SWEPT_NOTE = 'pcfs-swept'

/** A sweep of fewer new blocks than this frees too little to be worth reading the tree. */
const SWEEP_MIN_BLOCKS = 10_000

/** Blocks cleared in one go: one write batch, some ms. */
const CLEAR_BLOCKS = 4096

interface Counter {
  cleared: number
  compacted: number
}

/** See the file's head. */
export class Space {
  readonly #store: Store
  readonly #blobs: Core
  readonly #db: Core
  readonly #counters = new Map<Core, Counter>()

  private constructor(store: Store, blobs: Core, db: Core) {
    this.#store = store
    this.#blobs = blobs
    this.#db = db
  }

  /** Reads the notes. */
  static async open(store: Store, blobs: Core, db: Core): Promise<Space> {
    const space = new Space(store, blobs, db)
    for (const core of [blobs, db]) space.#counters.set(core, decode(await core.note(NOTE)))
    return space
  }

  /** Clears content blocks. */
  async clear(runs: readonly BlockRun[]): Promise<void> {
    await this.#clear(this.#blobs, runs)
  }

  /** Clears the blocks at or behind `knownLength` that nothing references. */
  async reclaimOrphans(
    knownLength: number,
    isReferenced: (block: number) => boolean
  ): Promise<number> {
    const core = this.#blobs
    const runs = runsWhere(knownLength, core.length, (block) => {
      return core.has(block) && !isReferenced(block)
    })
    return this.#clear(core, runs)
  }

  /**
   * Clears the bee blocks that no version at or above `keepFrom` needs. Blocks above are kept; of
   * those below, exactly the ones that the tree of `keepFrom` uses: what is dead there is dead in
   * every later version, since a later tree only ever points at blocks of the one before and at new
   * ones.
   */
  async sweepRecords(records: Records, keepFrom: number, signal?: AbortSignal): Promise<number> {
    const version = Math.min(keepFrom, records.version)
    if (version <= 1) return 0
    const live = new Uint8Array(Math.ceil(version / 8))
    const mark = (block: number): void => {
      const at = block >> 3
      if (at < live.length) live[at] = (live[at] ?? 0) | (1 << (block & 7))
    }
    mark(0) // the header
    await records.visit(version, mark, signal)
    signal?.throwIfAborted()
    const runs = runsWhere(0, version, (block) => {
      return ((live[block >> 3] ?? 0) & (1 << (block & 7))) === 0 && this.#db.has(block)
    })
    const count = await this.#clear(this.#db, runs)
    await this.#db.setNote(SWEPT_NOTE, encodeVersion(version))
    return count
  }

  /**
   * Whether a sweep is worth its cost, which is a walk over the live tree: when the versions since
   * the last one are at least half as many as what is held, so that over time each commit pays for
   * three block reads at most, however large the tree.
   */
  async isSweepDue(keepFrom: number): Promise<boolean> {
    const swept = decodeVersion(await this.#db.note(SWEPT_NOTE))
    const fresh = keepFrom - swept
    if (fresh < SWEEP_MIN_BLOCKS) return false
    return fresh * 2 >= (await this.#db.count(0, swept))
  }

  /** Where the bytes are. */
  async info(): Promise<SpaceInfo> {
    let heldBytes = 0
    let reclaimableBytes = 0
    for (const [core, counter] of this.#counters) {
      heldBytes += core.byteLength - counter.cleared
      reclaimableBytes += counter.cleared - counter.compacted
    }
    return { heldBytes, reclaimableBytes, diskBytes: await this.#store.diskBytes() }
  }

  /** Compacts when at least `minBytes` would be freed. */
  async compact(minBytes: number): Promise<boolean> {
    const before = [...this.#counters].map(([core, { cleared }]) => ({ core, cleared }))
    const waiting = [...this.#counters.values()].map((one) => one.cleared - one.compacted)
    const bytes = waiting.reduce((sum, one) => sum + one, 0)
    if (bytes === 0 || bytes < minBytes) return false
    await this.#store.compact()
    for (const { core, cleared } of before) {
      const counter = this.#counterOf(core)
      counter.compacted = cleared
      await core.setNote(NOTE, encode(counter))
    }
    return true
  }

  async #clear(core: Core, runs: readonly BlockRun[]): Promise<number> {
    const counter = this.#counterOf(core)
    let count = 0
    for (const run of runs) {
      const end = Math.min(run.block + run.count, core.length)
      for (let start = run.block; start < end; start += CLEAR_BLOCKS) {
        const stop = Math.min(end, start + CLEAR_BLOCKS)
        const held = await core.count(start, stop)
        if (held === 0) continue
        counter.cleared += await core.storedBytes(start, stop)
        count += held
        await core.clear(start, stop)
      }
    }
    if (count > 0) await core.setNote(NOTE, encode(counter))
    return count
  }

  #counterOf(core: Core): Counter {
    const counter = this.#counters.get(core)
    if (counter === undefined) throw new Error('a core that is not of this generation')
    return counter
  }
}

function runsWhere(start: number, end: number, wanted: (block: number) => boolean): BlockRun[] {
  const runs: BlockRun[] = []
  let from = -1
  for (let block = start; block <= end; block++) {
    const isWanted = block < end && wanted(block)
    if (isWanted && from < 0) from = block
    if (isWanted || from < 0) continue
    runs.push({ block: from, count: block - from })
    from = -1
  }
  return runs
}

function encode({ cleared, compacted }: Counter): Buffer {
  const bytes = Buffer.alloc(16)
  bytes.writeBigUInt64LE(BigInt(cleared))
  bytes.writeBigUInt64LE(BigInt(compacted), 8)
  return bytes
}

function decode(bytes: Buffer | null): Counter {
  if (bytes?.length !== 16) return { cleared: 0, compacted: 0 }
  return {
    cleared: Number(bytes.readBigUInt64LE()),
    compacted: Number(bytes.readBigUInt64LE(8))
  }
}

function encodeVersion(version: number): Buffer {
  const bytes = Buffer.alloc(8)
  bytes.writeBigUInt64LE(BigInt(version))
  return bytes
}

function decodeVersion(bytes: Buffer | null): number {
  return bytes?.length === 8 ? Number(bytes.readBigUInt64LE()) : 0
}
