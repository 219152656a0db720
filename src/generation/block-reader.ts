/**
 * Reads blocks of files by their content maps, from whichever core holds them, and loads the leaves
 * of long maps. Keeps a few decoded leaves and open cores.
 */
import {
  type ContentMap,
  type LeafRef,
  leavesTouched,
  lookup,
  withLeaf
} from '../format/content-map.js'
import { decodeLeaf } from '../format/map-codec.js'
import { FsError } from '../base/errors.js'
import type { Core, GetOptions } from '../store/core.js'
import type { Store } from '../store/store.js'
import type { ReadOptions } from './types.js'

/** Deadline of a read whose caller names none. */
const DEFAULT_TIMEOUT_MS = 30_000

/** Decoded leaves that are kept; each is at most 2,048 runs, some 200 KiB of objects. */
const LEAF_LIMIT = 32

/** Blocks that are read from a core at once: enough to keep RocksDB's threads busy. */
const PARALLEL_BLOCKS = 16

/** How far behind what is read the store is told that it will probably be read too, blocks. */
const AHEAD_BLOCKS = 256

/**
 * Small files that were written one after the other lie one after the other, and are read so: the
 * blocks behind a short run count as what will be read, too.
 */
const SHORT_RUN = 4
const BEHIND_SHORT = 64

/** A block to be read. */
interface Wanted {
  /** Where it goes in the result. */
  readonly at: number
  readonly core: Core
  readonly block: number
  /** Where the run that it is in ends; ours is all here, or nowhere. */
  readonly aheadTo: number | undefined
}

/** See the file's head. */
export class BlockReader {
  readonly #store: Store
  readonly #own: Core
  readonly #others = new Map<string, Promise<Core>>()
  readonly #leaves = new Map<string, ContentMap>()

  /** @param own the generation's blobs core; closed by its owner */
  constructor(store: Store, own: Core) {
    this.#store = store
    this.#own = own
  }

  /** The map with the leaves of file blocks [`from`, `to`) loaded. */
  async loadLeaves(
    map: ContentMap,
    range: { readonly from: number; readonly to: number },
    options?: ReadOptions
  ): Promise<ContentMap> {
    let loaded = map
    for (const ref of leavesTouched(map, range.from, range.to)) {
      loaded = withLeaf(loaded, ref, await this.#leaf(map, ref, options))
    }
    return loaded
  }

  /**
   * Blocks [`fileBlock`, `fileBlock + count`) of a file; null for a hole.
   * @throws {FsError} as `Generation.read`
   */
  async read(
    map: ContentMap,
    range: { readonly fileBlock: number; readonly count: number },
    options?: ReadOptions
  ): Promise<(Buffer | null)[]> {
    const { fileBlock, count } = range
    const end = fileBlock + count
    const loaded = await this.loadLeaves(map, { from: fileBlock, to: end }, options)
    const blocks: (Buffer | null)[] = Array.from({ length: count }, () => null)
    const wanted: Wanted[] = []
    for (const segment of lookup(loaded, fileBlock, end + AHEAD_BLOCKS)) {
      if (segment.type !== 'run' || segment.fileBlock >= end) continue
      const core = await this.core(segment.core)
      const aheadTo = core === this.#own ? undefined : aheadOf(core, segment)
      for (let i = 0; i < Math.min(segment.count, end - segment.fileBlock); i++) {
        const at = segment.fileBlock - fileBlock + i
        wanted.push({ at, core, block: segment.coreBlock + i, aheadTo })
      }
    }
    for (let i = 0; i < wanted.length; i += PARALLEL_BLOCKS) {
      await Promise.all(
        wanted.slice(i, i + PARALLEL_BLOCKS).map(async ({ at, core, block, aheadTo }) => {
          const ahead = aheadTo === undefined ? {} : { aheadTo }
          blocks[at] = await readBlock(core, block, { ...options, ...ahead })
        })
      )
    }
    return blocks
  }

  /** How many blocks of a file's range are not on this device. */
  async coldBlocks(
    map: ContentMap,
    { fileBlock, count }: { readonly fileBlock: number; readonly count: number }
  ): Promise<number> {
    const end = fileBlock + count
    const loaded = await this.loadLeaves(map, { from: fileBlock, to: end })
    let cold = 0
    for (const segment of lookup(loaded, fileBlock, end)) {
      if (segment.type !== 'run') continue
      const core = await this.core(segment.core)
      cold +=
        segment.count - (await core.count(segment.coreBlock, segment.coreBlock + segment.count))
    }
    return cold
  }

  /** The open core with a key. */
  core(key: Buffer): Promise<Core> {
    if (key.equals(this.#own.key)) return Promise.resolve(this.#own)
    const name = key.toString('hex')
    const known = this.#others.get(name)
    if (known !== undefined) return known
    const opening = this.#store.openCore({ key: Buffer.from(key) })
    this.#others.set(name, opening)
    opening.catch(() => this.#others.delete(name))
    return opening
  }

  /** Closes the other cores. */
  async close(): Promise<void> {
    for (const opening of this.#others.values()) {
      const core = await opening.catch(() => null)
      await core?.close()
    }
    this.#others.clear()
    this.#leaves.clear()
  }

  async #leaf(map: ContentMap, ref: LeafRef, options?: ReadOptions): Promise<ContentMap> {
    const key = map.cores[ref.core]
    if (key === undefined) throw new FsError('EIO', 'a content map names a core that it has not')
    const name = `${key.toString('latin1')}${ref.coreBlock}`
    const known = this.#leaves.get(name)
    if (known !== undefined) return known
    const leaf = decodeLeaf(await readBlock(await this.core(key), ref.coreBlock, options))
    const oldest = this.#leaves.size >= LEAF_LIMIT ? this.#leaves.keys().next() : null
    if (oldest?.done === false) this.#leaves.delete(oldest.value)
    this.#leaves.set(name, leaf)
    return leaf
  }
}

/** Where what will probably be read ends, if reads go on in order. */
function aheadOf(core: Core, run: { readonly coreBlock: number; readonly count: number }): number {
  const end = run.coreBlock + run.count
  return run.count <= SHORT_RUN ? Math.min(core.length, end + BEHIND_SHORT) : end
}

async function readBlock(
  core: Core,
  block: number,
  options?: ReadOptions & Pick<GetOptions, 'aheadTo'>
): Promise<Buffer> {
  const get: GetOptions = {
    timeoutMs: options?.timeoutMs ?? DEFAULT_TIMEOUT_MS,
    ...(options?.signal && { signal: options.signal }),
    ...(options?.aheadTo !== undefined && { aheadTo: options.aheadTo })
  }
  const bytes = await core.get(block, get)
  if (bytes !== null) return bytes
  const place = `block ${block} of core ${core.key.toString('hex')}`
  throw new FsError('ETIMEDOUT', `${place} is not on this device`)
}
