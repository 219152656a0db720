/** Bytes of content maps and their leaves: FORMAT.md, "Content map". */
import type { ContentMap } from './content-map.js'

/** A leaf to append to a blobs core before the map that names it can be encoded. */
export interface LeafPlan {
  /** First file block of its span. */
  readonly fileBlock: number
  /** The leaf block, at most 64 KiB with up to 256 cores. */
  readonly bytes: Buffer
}

/** Where the leaves of a plan went. */
export interface LeafHome {
  /** Public key of the blobs core, 32 bytes. */
  readonly core: Buffer
  /** For each leaf of the plan, in its order, its block in that core. */
  readonly coreBlocks: readonly number[]
}

function todo(...args: readonly unknown[]): never {
  throw new Error(`not there yet (${args.length})`)
}

/**
 * The leaves that have to be written before `map` can be encoded: none for a short map, and none
 * for spans whose runs did not change since they were loaded.
 */
export function planLeaves(map: ContentMap): readonly LeafPlan[] {
  return todo(map)
}

/**
 * The map with the planned leaves as references: what to encode, and what to compare with
 * `superseded`.
 * @param home where `planLeaves(map)` went; null when the plan was empty
 */
export function withLeavesStored(map: ContentMap, home: LeafHome | null): ContentMap {
  return todo(map, home)
}

/**
 * The bytes of a map: inline, or a root that names leaves. Equal maps have equal bytes.
 * @throws {AssertionError} when `planLeaves(map)` is not empty
 */
export function encodeMap(map: ContentMap): Buffer {
  return todo(map)
}

/**
 * A map from the bytes in a data version; leaves are not loaded.
 * @throws {FsError} EIO when malformed
 */
export function decodeMap(bytes: Buffer): ContentMap {
  return todo(bytes)
}

/**
 * A map with the runs of one leaf.
 * @throws {FsError} EIO when malformed
 */
export function decodeLeaf(bytes: Buffer): ContentMap {
  return todo(bytes)
}
