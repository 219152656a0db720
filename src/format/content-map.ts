/**
 * The content map: which block of which core holds which block of a file. Blocks of a file that no
 * run names are holes. Immutable values and pure edits; bytes are in `map-codec.ts`.
 *
 * A map is runs plus *leaf references*: a long map keeps the runs of a fixed, aligned span of file
 * blocks in a leaf block of its own (in a blobs core), and names only where the leaf is. To read
 * or edit within a span that has a leaf, load it first (`leavesTouched`, `withLeaf`).
 *
 * Invariants: items are sorted by file block and do not overlap; neighbouring runs that continue
 * one another are one run; counts are at least 1.
 */
import assert from 'node:assert'
import { malformed } from './malformed.js'

/** Bytes of a file block (the last block of a file may be shorter in its core). */
export const BLOCK_BYTES = 65536

/** File blocks that one leaf covers, aligned. */
export const LEAF_SPAN_BLOCKS = 2048

/** Runs up to which a map is kept inline. */
export const INLINE_RUNS = 64

/** Consecutive blocks of one core that are consecutive blocks of the file. */
export interface Run {
  /** First block in the file. */
  readonly fileBlock: number
  /** Number of blocks. */
  readonly count: number
  /** Index into the map's `cores`. */
  readonly core: number
  /** First block in the core. */
  readonly coreBlock: number
}

/** Where the runs of the span that begins at `fileBlock` are. */
export interface LeafRef {
  /** Multiple of `LEAF_SPAN_BLOCKS`. */
  readonly fileBlock: number
  /** Index into the map's `cores`. */
  readonly core: number
  /** The leaf's block in that core. */
  readonly coreBlock: number
  /** Runs in the leaf. */
  readonly runCount: number
}

/** A leaf whose runs are in the map now, with the map that the leaf held. */
export interface LoadedLeaf {
  readonly ref: LeafRef
  readonly runs: readonly Run[]
}

/** A content map in memory. */
export interface ContentMap {
  /** Public keys (32 bytes) of the blobs cores that `core` indexes. */
  readonly cores: readonly Buffer[]
  readonly runs: readonly Run[]
  /** Leaves that are not loaded, sorted. */
  readonly leaves: readonly LeafRef[]
  /**
   * Leaves whose runs are in `runs`, as they are stored: those that an edit leaves alone need not
   * be written again, the others are superseded by it.
   */
  readonly loaded: readonly LoadedLeaf[]
}

/** Blocks to put into a map. */
export interface BlockEdit {
  readonly fileBlock: number
  readonly count: number
  /** Public key of the core, 32 bytes. */
  readonly core: Buffer
  readonly coreBlock: number
}

/** A part of a file, in order, as `lookup` gives them. */
export type Segment =
  | ({ readonly type: 'run'; readonly core: Buffer; readonly coreBlock: number } & FileRange)
  | ({ readonly type: 'hole' } & FileRange)
  | ({ readonly type: 'leaf'; readonly leaf: LeafRef; readonly core: Buffer } & FileRange)

/** Consecutive blocks of a file. */
export interface FileRange {
  readonly fileBlock: number
  readonly count: number
}

/** Consecutive blocks of a core. */
export interface CoreRange {
  readonly coreBlock: number
  readonly count: number
}

/** The map of an empty file. */
export const EMPTY_MAP: ContentMap = Object.freeze({ cores: [], runs: [], leaves: [], loaded: [] })

/** Blocks that a file of `size` bytes has. */
export function blocksOf(size: number): number {
  return Math.ceil(size / BLOCK_BYTES)
}

/**
 * The leaves to load before file blocks [`from`, `to`) are read or edited.
 * @param to exclusive; Infinity for the rest of the file
 */
export function leavesTouched(map: ContentMap, from: number, to: number): readonly LeafRef[] {
  return map.leaves.filter((leaf) => leaf.fileBlock < to && leafEnd(leaf) > from)
}

/**
 * The map with one leaf's runs in it.
 * @param ref one of `map.leaves`
 * @param leaf what `decodeLeaf` gave for the block at that location
 * @throws {FsError} EIO when the leaf has runs outside its span
 */
export function withLeaf(map: ContentMap, ref: LeafRef, leaf: ContentMap): ContentMap {
  assert(map.leaves.includes(ref), 'a leaf of another map')
  const table = new CoreTable(map.cores)
  const runs = leaf.runs.map((run) => ({ ...run, core: table.indexOf(coreOf(leaf, run.core)) }))
  const first = runs[0]
  const last = runs.at(-1)
  if (first && last && (first.fileBlock < ref.fileBlock || runEnd(last) > leafEnd(ref))) {
    throw malformed('map leaf', 'it has runs outside its span')
  }
  return {
    cores: table.cores,
    runs: overlay(map.runs, runs),
    leaves: map.leaves.filter((other) => other !== ref),
    loaded: [...map.loaded, { ref, runs }]
  }
}

/**
 * Puts blocks at their places in the file, over what is there.
 * @param edits sorted by file block, not overlapping
 * @throws {AssertionError} when a leaf is touched that is not loaded
 */
export function replaceBlocks(map: ContentMap, edits: readonly BlockEdit[]): ContentMap {
  const table = new CoreTable(map.cores)
  const patches = edits.map((edit) => ({
    fileBlock: edit.fileBlock,
    count: edit.count,
    core: table.indexOf(edit.core),
    coreBlock: edit.coreBlock
  }))
  return { ...edited(map, patches), cores: table.cores }
}

/**
 * Makes file blocks [`from`, `to`) a hole.
 * @param to exclusive; Infinity for the rest of the file
 * @throws {AssertionError} when a leaf is cut that is not loaded (one wholly inside goes as it is)
 */
export function punch(map: ContentMap, from: number, to: number): ContentMap {
  if (from >= to) return map
  return edited(map, [{ fileBlock: from, count: to - from, core: null, coreBlock: 0 }])
}

/**
 * Drops all blocks beyond a file's new size. The block that the new end is inside of stays.
 * @param size bytes
 */
export function cutAt(map: ContentMap, size: number): ContentMap {
  return punch(map, blocksOf(size), Infinity)
}

/** What is in file blocks [`from`, `to`): segments in order, without gaps, cut at both ends. */
export function lookup(map: ContentMap, from: number, to: number): Segment[] {
  const segments: Segment[] = []
  let runAt = firstEndingAfter(map.runs, from, runEnd)
  let leafAt = firstEndingAfter(map.leaves, from, leafEnd)
  let fileBlock = from
  while (fileBlock < to) {
    const run = map.runs[runAt]
    const leaf = map.leaves[leafAt]
    const runStart = Math.max(fileBlock, run?.fileBlock ?? to)
    const leafStart = Math.max(fileBlock, leaf?.fileBlock ?? to)
    const next = Math.min(runStart, leafStart, to)
    if (next > fileBlock) segments.push({ type: 'hole', fileBlock, count: next - fileBlock })
    fileBlock = next
    if (next === to) break
    if (run && runStart === next) {
      const count = Math.min(runEnd(run), to) - next
      const coreBlock = run.coreBlock + (next - run.fileBlock)
      segments.push({ type: 'run', fileBlock, count, core: coreOf(map, run.core), coreBlock })
      fileBlock += count
      runAt++
    } else if (leaf) {
      const count = Math.min(leafEnd(leaf), to) - next
      segments.push({ type: 'leaf', fileBlock, count, leaf, core: coreOf(map, leaf.core) })
      fileBlock += count
      leafAt++
    }
  }
  return segments
}

/** File blocks that the map has, those in leaves that are not loaded not counted. */
export function mappedBlocks(map: ContentMap): number {
  return map.runs.reduce((sum, run) => sum + run.count, 0)
}

/**
 * Blocks of one core that a map names: content, and leaves (loaded ones too), sorted, coalesced.
 * @param core public key, 32 bytes
 */
export function blocksIn(map: ContentMap, core: Buffer): CoreRange[] {
  const index = map.cores.findIndex((key) => key.equals(core))
  if (index < 0) return []
  const ranges: CoreRange[] = map.runs.filter((run) => run.core === index)
  for (const ref of [...map.leaves, ...map.loaded.map((leaf) => leaf.ref)]) {
    if (ref.core === index) ranges.push({ coreBlock: ref.coreBlock, count: 1 })
  }
  return coalesced(ranges)
}

/**
 * Blocks of one core that `before` names and `after` does not: content, and leaves that were
 * rewritten. True only while a block occurs once in a map: who lets files share blocks must count.
 * @param before with all leaves loaded that the edit touched
 * @param after as `withLeavesStored` gave it
 * @param core public key, 32 bytes
 * @throws {AssertionError} when a leaf of `before` that `after` has not is not loaded
 */
export function superseded(before: ContentMap, after: ContentMap, core: Buffer): CoreRange[] {
  const kept = new Set(after.leaves.map((leaf) => leafKey(after, leaf)))
  for (const { ref } of after.loaded) kept.add(leafKey(after, ref))
  for (const leaf of before.leaves) {
    assert(kept.has(leafKey(before, leaf)), 'a superseded leaf was not loaded')
  }
  return withoutRanges(blocksIn(before, core), blocksIn(after, core))
}

/** Public key of a core of a map's table. */
export function coreOf(map: ContentMap, index: number): Buffer {
  const key = map.cores[index]
  assert(key, 'a core index beyond the table')
  return key
}

/** End (exclusive) of a run in file blocks. */
export function runEnd(run: FileRange): number {
  return run.fileBlock + run.count
}

function leafEnd(leaf: LeafRef): number {
  return leaf.fileBlock + LEAF_SPAN_BLOCKS
}

function leafKey(map: ContentMap, leaf: LeafRef): string {
  return `${coreOf(map, leaf.core).toString('hex')}/${leaf.coreBlock}`
}

/** Collects the cores of a new map; the table of an old one is shared until it grows. */
export class CoreTable {
  #cores: readonly Buffer[]

  constructor(cores: readonly Buffer[] = []) {
    this.#cores = cores
  }

  /** The table so far. */
  get cores(): readonly Buffer[] {
    return this.#cores
  }

  /** The index of a core's key, which is added when it is new. */
  indexOf(key: Buffer): number {
    const known = this.#cores.findIndex((other) => other === key || other.equals(key))
    if (known >= 0) return known
    this.#cores = [...this.#cores, Buffer.from(key)]
    return this.#cores.length - 1
  }
}

/** A run, or a hole where the core is null. */
interface Patch extends FileRange {
  readonly core: number | null
  readonly coreBlock: number
}

function edited(map: ContentMap, patches: readonly Patch[]): ContentMap {
  for (const [index, patch] of patches.entries()) {
    const before = patches[index - 1]
    assert(patch.count > 0 && patch.fileBlock >= (before ? runEnd(before) : 0), 'unsorted edits')
  }
  const leaves = map.leaves.filter((leaf) => {
    const patch = patches[firstEndingAfter(patches, leaf.fileBlock, runEnd)]
    if (!patch || patch.fileBlock >= leafEnd(leaf)) return true
    const gone = patch.fileBlock <= leaf.fileBlock && runEnd(patch) >= leafEnd(leaf)
    assert(gone, 'an edit touches a leaf that is not loaded')
    return false
  })
  return { ...map, runs: overlay(map.runs, patches), leaves }
}

/** `runs` with `patches` (sorted, not overlapping) over them. */
export function overlay(runs: readonly Run[], patches: readonly Patch[]): Run[] {
  const result: Run[] = []
  let at = 0
  let current = runs[0]
  for (const patch of patches) {
    while (current && current.fileBlock < patch.fileBlock) {
      pushRun(result, cutRun(current, current.fileBlock, patch.fileBlock))
      current = runEnd(current) > patch.fileBlock ? cutFrom(current, patch) : runs[++at]
    }
    while (current && runEnd(current) <= runEnd(patch)) current = runs[++at]
    if (current && current.fileBlock < runEnd(patch)) {
      current = cutRun(current, runEnd(patch), Infinity)
    }
    if (patch.core !== null) pushRun(result, { ...patch, core: patch.core })
  }
  while (current) {
    pushRun(result, current)
    current = runs[++at]
  }
  return result
}

function cutFrom(run: Run, patch: Patch): Run {
  return cutRun(run, patch.fileBlock, Infinity)
}

/** The part of a run in file blocks [`from`, `to`), which overlap it. */
export function cutRun(run: Run, from: number, to: number): Run {
  const start = Math.max(run.fileBlock, from)
  const end = Math.min(runEnd(run), to)
  if (start === run.fileBlock && end === runEnd(run)) return run
  const coreBlock = run.coreBlock + (start - run.fileBlock)
  return { fileBlock: start, count: end - start, core: run.core, coreBlock }
}

/** Appends a run, as a continuation of the last one where it is that. */
export function pushRun(runs: Run[], run: Run): void {
  const last = runs.at(-1)
  const continues =
    last?.core === run.core &&
    runEnd(last) === run.fileBlock &&
    last.coreBlock + last.count === run.coreBlock
  if (continues) runs[runs.length - 1] = { ...last, count: last.count + run.count }
  else runs.push(run)
}

function firstEndingAfter<T>(
  items: readonly T[],
  block: number,
  endOf: (item: T) => number
): number {
  let low = 0
  let high = items.length
  while (low < high) {
    const middle = (low + high) >>> 1
    const item = items[middle]
    if (item !== undefined && endOf(item) <= block) low = middle + 1
    else high = middle
  }
  return low
}

function coalesced(ranges: readonly CoreRange[]): CoreRange[] {
  const result: CoreRange[] = []
  for (const range of [...ranges].sort((a, b) => a.coreBlock - b.coreBlock)) {
    const last = result.at(-1)
    const end = range.coreBlock + range.count
    if (last && range.coreBlock <= last.coreBlock + last.count) {
      const count = Math.max(last.count, end - last.coreBlock)
      result[result.length - 1] = { coreBlock: last.coreBlock, count }
    } else {
      result.push({ coreBlock: range.coreBlock, count: range.count })
    }
  }
  return result
}

/** What of `ranges` is not in `removed`; both sorted and coalesced. */
function withoutRanges(ranges: readonly CoreRange[], removed: readonly CoreRange[]): CoreRange[] {
  const result: CoreRange[] = []
  let at = 0
  for (const range of ranges) {
    let start = range.coreBlock
    const end = range.coreBlock + range.count
    for (;;) {
      const hole = removed[at]
      if (!hole || hole.coreBlock >= end) break
      if (hole.coreBlock > start) result.push({ coreBlock: start, count: hole.coreBlock - start })
      start = Math.max(start, hole.coreBlock + hole.count)
      // A hole that reaches beyond this range may cut the next one too.
      if (hole.coreBlock + hole.count > end) break
      at++
    }
    if (start < end) result.push({ coreBlock: start, count: end - start })
  }
  return result
}
