/**
 * The content map: which block of which core holds which block of a file. Blocks of a file that no
 * run names are holes. Immutable values and pure edits; bytes are in `map-codec.ts`.
 *
 * A map is runs plus *leaf references*: a long map keeps the runs of a fixed, aligned span of file
 * blocks in a leaf block of its own (in a blobs core), and names only where the leaf is. To read or edit
 * within a span that has a leaf, load it first (`leavesTouched`, `withLeaf`).
 *
 * Invariants: items are sorted by file block and do not overlap; neighbouring runs that continue one another
 * are one run; counts are at least 1.
 */

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
  /** Leaves that `withLeaf` put in, as they were: what an edit supersedes and need not rewrite. */
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

function todo(...args: readonly unknown[]): never {
  throw new Error(`not there yet (${args.length})`)
}

/** Blocks that a file of `size` bytes has. */
export function blocksOf(size: number): number {
  return Math.ceil(size / BLOCK_BYTES)
}

/**
 * The leaves to load before file blocks [`from`, `to`) are read or edited.
 * @param to exclusive; Infinity for the rest of the file
 */
export function leavesTouched(map: ContentMap, from: number, to: number): readonly LeafRef[] {
  return todo(map, from, to)
}

/**
 * The map with one leaf's runs in it.
 * @param ref one of `map.leaves`
 * @param leaf what `decodeLeaf` gave for the block at that location
 * @throws {FsError} EIO when the leaf has runs outside its span
 */
export function withLeaf(map: ContentMap, ref: LeafRef, leaf: ContentMap): ContentMap {
  return todo(map, ref, leaf)
}

/**
 * Puts blocks at their places in the file, over what is there.
 * @param edits sorted by file block, not overlapping
 * @throws {AssertionError} when a leaf is touched that is not loaded
 */
export function replaceBlocks(map: ContentMap, edits: readonly BlockEdit[]): ContentMap {
  return todo(map, edits)
}

/**
 * Makes file blocks [`from`, `to`) a hole.
 * @throws {AssertionError} when a leaf is cut that is not loaded (one wholly inside goes as it is)
 */
export function punch(map: ContentMap, from: number, to: number): ContentMap {
  return todo(map, from, to)
}

/**
 * Drops all blocks beyond a file's new size. The block that the new end is inside of stays.
 * @param size bytes
 */
export function cutAt(map: ContentMap, size: number): ContentMap {
  return todo(map, size)
}

/** What is in file blocks [`from`, `to`): segments in order, without gaps, cut at both ends. */
export function lookup(map: ContentMap, from: number, to: number): Segment[] {
  return todo(map, from, to)
}

/** File blocks that the map has, those in leaves that are not loaded not counted. */
export function mappedBlocks(map: ContentMap): number {
  return todo(map)
}

/**
 * Blocks of one core that a map names: content and leaves, sorted, coalesced.
 * @param core public key, 32 bytes
 */
export function blocksIn(map: ContentMap, core: Buffer): CoreRange[] {
  return todo(map, core)
}

/**
 * Blocks of one core that `before` names and `after` does not: content, and leaves that were
 * rewritten.
 * @param core public key, 32 bytes
 * @throws {AssertionError} when a leaf of `before` that `after` has not is not loaded
 */
export function superseded(before: ContentMap, after: ContentMap, core: Buffer): CoreRange[] {
  return todo(before, after, core)
}
