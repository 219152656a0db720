/** Keys and values of the bees' own key spaces: FORMAT.md, "Key spaces". */
import type { GenerationNumber, LinkId, NodeId } from './ids.js'
import type { NodeKind, Place, Unknown } from './record.js'
import type { Stamp } from './hlc.js'
import type { Dot } from './ids.js'
import type { Vector } from './vector.js'

/** Names of the sub-encoders in a generation's bee. */
export const SUB_NODE = 'pcfs-node'
export const SUB_DIR = 'pcfs-dir'
export const SUB_SEEN = 'pcfs-seen'

/** What one version of one link says about a name: it is there, it moved away, it was deleted. */
export type ClaimState = 'here' | 'moved' | 'deleted'

/** One link's claim to a name in a directory. */
export interface Claim {
  readonly node: NodeId
  readonly kind: NodeKind
  readonly link: LinkId
  readonly state: ClaimState
  /** Of the place version that says so. */
  readonly dot: Dot
  readonly vector: Vector
  readonly stamp: Stamp
  readonly unknown: Unknown
}

function todo(...args: readonly unknown[]): never {
  throw new Error(`not there yet (${args.length})`)
}

/** Key in `pcfs-node`: the 13 bytes of the id. */
export function nodeKey(id: NodeId): Buffer {
  return todo(id)
}

/** Key in `pcfs-dir`: parent id, NUL, name. */
export function direntKey(place: Place): Buffer {
  return todo(place)
}

/** The place that a key in `pcfs-dir` names. @throws {FsError} EIO when malformed */
export function parseDirentKey(key: Buffer): Place {
  return todo(key)
}

/** All keys of one directory's entries in `pcfs-dir`: `gte` inclusive, `lt` exclusive. */
export function direntRange(parent: NodeId): { readonly gte: Buffer; readonly lt: Buffer } {
  return todo(parent)
}

/** Value in `pcfs-dir`: all claims that this generation knows to the name, sorted by link. */
export function encodeClaims(claims: readonly Claim[]): Buffer {
  return todo(claims)
}

/** @throws {FsError} EIO when malformed */
export function decodeClaims(bytes: Buffer): readonly Claim[] {
  return todo(bytes)
}

/** The claims with one added, in the place of the same link's older one. */
export function withClaim(claims: readonly Claim[], claim: Claim): readonly Claim[] {
  return todo(claims, claim)
}

/** Key in `pcfs-seen`. */
export function seenKey(generation: GenerationNumber): Buffer {
  return todo(generation)
}

/** Value in `pcfs-seen`: the length of that generation's bee that this one has merged. */
export function encodeSeenLength(length: number): Buffer {
  return todo(length)
}

/** @throws {FsError} EIO when malformed */
export function decodeSeenLength(bytes: Buffer): number {
  return todo(bytes)
}
