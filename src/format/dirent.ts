/** Keys and values of the bees' own key spaces: FORMAT.md, "Key spaces". */
import { type GenerationNumber, type LinkId, NODE_ID_BYTES, type NodeId } from './ids.js'
import { compareLinks, linkDot, linkIdOf, nodeIdFromBytes, nodeIdToBytes } from './ids.js'
import { toGenerationNumber } from './ids.js'
import { type Vector, dotsOf, withDot } from './vector.js'
import { Reader, Writer } from './bytes.js'
import { KINDS } from './record-codec.js'
import { isName } from './name-rules.js'
import { malformed } from './malformed.js'
import type { NodeKind, Place, PlaceVersion, Unknown } from './record.js'
import type { Stamp } from './hlc.js'
import type { Dot } from './ids.js'

/** Names of the sub-encoders in a generation's bee. */
export const SUB_NODE = 'pcfs-node'
export const SUB_DIR = 'pcfs-dir'
export const SUB_SEEN = 'pcfs-seen'

/** What one version of one link says about a name: it is there, it moved away, it was deleted. */
export type ClaimState = 'here' | 'moved' | 'deleted'

const CLAIMS_VERSION = 1
const STATES: readonly ClaimState[] = ['here', 'moved', 'deleted']
const GENERATION_BYTES = 6
const SEPARATOR = Buffer.from([0])
const AFTER_SEPARATOR = Buffer.from([1])

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

/** Key in `pcfs-node`: the 13 bytes of the id. */
export function nodeKey(id: NodeId): Buffer {
  return nodeIdToBytes(id)
}

/** Key in `pcfs-dir`: parent id, NUL, name. */
export function direntKey(place: Place): Buffer {
  return Buffer.concat([nodeIdToBytes(place.parent), SEPARATOR, place.name])
}

/**
 * The place that a key in `pcfs-dir` names.
 * @throws {FsError} EIO when malformed
 */
export function parseDirentKey(key: Buffer): Place {
  const parent = nodeIdFromBytes(key)
  const name = Buffer.from(key.subarray(NODE_ID_BYTES + 1))
  if (key[NODE_ID_BYTES] !== 0 || !isName(name)) throw malformed('directory key', 'not a name')
  return { parent, name }
}

/** All keys of one directory's entries in `pcfs-dir`: `gte` inclusive, `lt` exclusive. */
export function direntRange(parent: NodeId): { readonly gte: Buffer; readonly lt: Buffer } {
  const id = nodeIdToBytes(parent)
  return { gte: Buffer.concat([id, SEPARATOR]), lt: Buffer.concat([id, AFTER_SEPARATOR]) }
}

/** Value in `pcfs-dir`: all claims that this generation knows to the name, sorted. */
export function encodeClaims(claims: readonly Claim[]): Buffer {
  const writer = new Writer()
  const generations = generationsOf(claims)
  const writeDot = (dot: Dot): void => {
    writer.uint(generations.indexOf(dot.generation))
    writer.uint(dot.counter)
  }
  writer.uint(CLAIMS_VERSION)
  writer.uint(generations.length)
  for (const generation of generations) writer.uint48(generation)
  for (const claim of [...claims].sort(byLink)) {
    writer.frame(() => {
      writer.hex(claim.node)
      writer.uint(KINDS.indexOf(claim.kind))
      writer.uint(STATES.indexOf(claim.state))
      writeDot(linkDot(claim.link))
      writeDot(claim.dot)
      const others = dotsOf(claim.vector).filter((dot) => dot.generation !== claim.dot.generation)
      writer.uint(others.length)
      others.forEach(writeDot)
      writer.uint64(claim.stamp)
      if (claim.unknown !== null) writer.raw(claim.unknown)
    })
  }
  return writer.finish()
}

/**
 * The claims to a name.
 * @throws {FsError} EIO when malformed
 */
export function decodeClaims(bytes: Buffer): readonly Claim[] {
  const reader = new Reader('directory entry', bytes)
  const version = reader.uint()
  if (version !== CLAIMS_VERSION) throw reader.error(`version ${version} needs a newer pcfs`)
  const generations: GenerationNumber[] = []
  for (let left = reader.count(GENERATION_BYTES); left > 0; left--) {
    generations.push(toGenerationNumber(reader.uint48()))
  }
  const claims: Claim[] = []
  while (reader.left > 0) claims.push(reader.frame(() => decodeClaim(reader, generations)))
  return claims
}

function decodeClaim(reader: Reader, generations: readonly GenerationNumber[]): Claim {
  const readDot = (): Dot => {
    const generation = generations[reader.uint()]
    if (generation === undefined) throw reader.error('a generation that is not in its table')
    return { generation, counter: reader.uint() }
  }
  const node = reader.nodeId()
  const kind = KINDS[reader.uint()]
  const state = STATES[reader.uint()]
  if (kind === undefined || state === undefined) throw reader.error('an unknown kind or state')
  const link = linkIdOf(readDot())
  const dot = readDot()
  let vector: Vector = [dot.generation, dot.counter]
  for (let left = reader.count(2); left > 0; left--) vector = withDot(vector, readDot())
  const stamp = reader.uint64()
  return { node, kind, link, state, dot, vector, stamp, unknown: reader.rest() }
}

function generationsOf(claims: readonly Claim[]): readonly number[] {
  const generations = new Set<number>()
  for (const { link, vector } of claims) {
    generations.add(linkDot(link).generation)
    for (const dot of dotsOf(vector)) generations.add(dot.generation)
  }
  return [...generations].sort((a, b) => a - b)
}

function byLink(a: Claim, b: Claim): number {
  if (a.node !== b.node) return a.node < b.node ? -1 : 1
  return compareLinks(a.link, b.link)
}

/** The claims with one added, in the place of the same link's older one. */
export function withClaim(claims: readonly Claim[], claim: Claim): readonly Claim[] {
  const others = claims.filter((other) => other.node !== claim.node || other.link !== claim.link)
  return [...others, claim].sort(byLink)
}

/**
 * What a place version says about a name: `here` or `deleted` about its own, `moved` about any
 * other that the link had before.
 */
export function claimOf(
  link: { readonly node: NodeId; readonly kind: NodeKind; readonly id: LinkId },
  version: PlaceVersion,
  about: Place
): Claim {
  const isAtName = version.parent === about.parent && version.name.equals(about.name)
  const state = version.deleted ? 'deleted' : 'here'
  return {
    node: link.node,
    kind: link.kind,
    link: link.id,
    state: isAtName ? state : 'moved',
    dot: version.dot,
    vector: version.vector,
    stamp: version.stamp,
    unknown: null
  }
}

/** Key in `pcfs-seen`: the generation number, 6 bytes big endian. */
export function seenKey(generation: GenerationNumber): Buffer {
  const writer = new Writer()
  writer.uint48(generation)
  return writer.finish()
}

/**
 * The generation of a key in `pcfs-seen`.
 * @throws {FsError} EIO when malformed
 */
export function parseSeenKey(key: Buffer): GenerationNumber {
  const reader = new Reader('seen key', key)
  const generation = toGenerationNumber(reader.uint48())
  reader.done()
  return generation
}

/** Value in `pcfs-seen`: the length of that generation's bee that this one has merged. */
export function encodeSeenLength(length: number): Buffer {
  const writer = new Writer()
  writer.uint(length)
  return writer.finish()
}

/**
 * The length in a value of `pcfs-seen`.
 * @throws {FsError} EIO when malformed
 */
export function decodeSeenLength(bytes: Buffer): number {
  const reader = new Reader('seen length', bytes)
  const length = reader.uint()
  reader.done()
  return length
}
