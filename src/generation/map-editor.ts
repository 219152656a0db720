/**
 * Applies an ingest's block edits to a content map in portions of bounded memory: each portion's
 * leaves are loaded, edited, appended and forgotten again.
 */
import {
  type BlockEdit,
  type ContentMap,
  type CoreRange,
  LEAF_SPAN_BLOCKS,
  blocksOf,
  leavesTouched,
  punch,
  replaceBlocks,
  superseded
} from '../format/content-map.js'
import { encodeMap, planLeaves, withLeavesStored } from '../format/map-codec.js'
import type { BlockReader } from './block-reader.js'
import type { BlockWriter } from './block-writer.js'
import type { BlockRun } from './types.js'

/** Leaves loaded at once: at most 65,536 runs, some 6 MiB of objects. */
const LEAVES_AT_ONCE = 32

/** File blocks (4 GiB) after which an ingest applies its edits. */
export const PORTION_BLOCKS = LEAVES_AT_ONCE * LEAF_SPAN_BLOCKS

/** A span of file blocks that becomes a hole. */
export interface HoleEdit {
  readonly from: number
  readonly to: number
}

/** Changes of one portion: blocks and holes that do not overlap, each list ascending. */
export interface Portion {
  readonly blocks: readonly BlockEdit[]
  readonly holes: readonly HoleEdit[]
}

/** What the editor works with. */
export interface MapEditorOptions {
  /** Key of the blobs core that takes the leaves. */
  readonly core: Buffer
  readonly reader: BlockReader
  readonly writer: BlockWriter
  readonly signal: AbortSignal | undefined
}

/** See the file's head. For one file of one ingest. */
export class MapEditor {
  readonly #options: MapEditorOptions
  readonly #superseded: CoreRange[] = []
  #map: ContentMap
  #leaves = 0

  constructor(map: ContentMap, options: MapEditorOptions) {
    this.#map = map
    this.#options = options
  }

  /** The map now. */
  get map(): ContentMap {
    return this.#map
  }

  /** Leaf blocks that were appended. */
  get leafCount(): number {
    return this.#leaves
  }

  /** Drops what is wholly behind `byteLength` bytes; the block that the cut is inside of stays. */
  async cut(byteLength: number): Promise<void> {
    await this.#punch(blocksOf(byteLength), Infinity)
  }

  /** Applies one portion, which spans at most `PORTION_BLOCKS`, holes aside. */
  async apply(portion: Portion): Promise<void> {
    for (const { from, to } of portion.holes) await this.#punch(from, to)
    const first = portion.blocks[0]
    const last = portion.blocks.at(-1)
    if (first === undefined || last === undefined) return
    const range = { from: first.fileBlock, to: last.fileBlock + last.count }
    await this.#change(range, (map) => replaceBlocks(map, portion.blocks))
  }

  /** The encoded map, and the blocks of our core that it uses no longer, sorted. */
  finish(): { readonly map: Buffer; readonly superseded: readonly BlockRun[] } {
    return { map: encodeMap(this.#map), superseded: coalesced(this.#superseded) }
  }

  async #punch(from: number, to: number): Promise<void> {
    let start = from
    while (start < to) {
      const leaves = leavesTouched(this.#map, start, to)
      const last = leaves[LEAVES_AT_ONCE - 1]
      const isLong = last !== undefined && leaves.length > LEAVES_AT_ONCE
      const end = isLong ? last.fileBlock + LEAF_SPAN_BLOCKS : to
      const range = { from: start, to: end }
      await this.#change(range, (map) => punch(map, range.from, range.to))
      start = end
    }
  }

  async #change(range: HoleEdit, edit: (map: ContentMap) => ContentMap): Promise<void> {
    const { core, reader, writer, signal } = this.#options
    const before = await reader.loadLeaves(this.#map, range, signal && { signal })
    const edited = edit(before)
    const plans = planLeaves(edited)
    const first = plans.length === 0 ? 0 : await writer.append(plans.map(({ bytes }) => bytes))
    const coreBlocks = plans.map((_, position) => first + position)
    const after = withLeavesStored(edited, plans.length === 0 ? null : { core, coreBlocks })
    this.#leaves += plans.length
    this.#superseded.push(...superseded(before, after, core))
    this.#map = after
  }
}

/** Sorted, with neighbours joined; portions come in the order of the file, not of the core. */
function coalesced(ranges: readonly CoreRange[]): BlockRun[] {
  const runs: BlockRun[] = []
  for (const { coreBlock, count } of [...ranges].sort((a, b) => a.coreBlock - b.coreBlock)) {
    const last = runs.at(-1)
    const continues = last !== undefined && last.block + last.count === coreBlock
    if (continues) runs[runs.length - 1] = { block: last.block, count: last.count + count }
    else runs.push({ block: coreBlock, count })
  }
  return runs
}
