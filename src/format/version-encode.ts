/** Bytes of one version of a register, written: FORMAT.md, "Versions". */
import type { AttrVersion, DataVersion, Field, Place, PlaceVersion } from './record.js'
import type { VersionHead } from './record.js'
import type { Stamp } from './hlc.js'
import type { Dot } from './ids.js'
import type { Vector } from './vector.js'
import { Writer } from './bytes.js'

/** Flags of a place version. */
export const PLACE_DELETED = 1
export const PLACE_SEEN = 2
export const PLACE_PREV = 4
/** Flags of a data version: the type of content in the low two bits. */
export const DATA_TYPE_MASK = 3
export const DATA_OLD_CONTENT = 4
export const DATA_HASH = 8
/** Content types by their number in the low bits. */
export const CONTENT_TYPES = ['file', 'link', 'none'] as const
/** Owner by its number. */
export const OWNER_SELF = 0
export const OWNER_IDS = 1

/** What the versions of one record are written with. */
export interface Encoding {
  readonly writer: Writer
  /** Generations that the record names, ascending. */
  readonly generations: readonly number[]
  /** The greatest counter of each; the others are written as their distance from it. */
  readonly counters: readonly number[]
  /** The record's greatest stamp; the others are written as their distance from it. */
  readonly baseStamp: Stamp
}

/** Nanoseconds since 1970 of a stamp: what a version's times are relative to. */
export function stampNs(stamp: Stamp): bigint {
  return (stamp >> 16n) * 1_000_000n
}

/** A dot: index of its generation, distance of its counter from the greatest. */
export function encodeDot(to: Encoding, dot: Dot): void {
  encodeEntry(to, dot.generation, dot.counter)
}

function encodeEntry(to: Encoding, generation: number, counter: number): void {
  const index = to.generations.indexOf(generation)
  to.writer.uint(index)
  to.writer.uint((to.counters[index] ?? 0) - counter)
}

/** A vector: number of entries, then a dot for each. */
export function encodeVector(to: Encoding, vector: Vector): void {
  to.writer.uint(vector.length / 2)
  for (let i = 0; i < vector.length; i += 2) encodeEntry(to, vector[i] ?? 0, vector[i + 1] ?? 0)
}

/** The part of a version's head whose bytes depend on the record's other versions. */
function encodeOrigin(to: Encoding, version: VersionHead): void {
  encodeDot(to, version.dot)
  const own = version.dot.generation
  const { vector } = version
  if (vector.length === 2 && vector[0] === own) to.writer.uint(0)
  else {
    const others: number[] = []
    for (let i = 0; i < vector.length; i += 2) {
      if (vector[i] !== own) others.push(vector[i] ?? 0, vector[i + 1] ?? 0)
    }
    encodeVector(to, others)
  }
  to.writer.bigUint(to.baseStamp - version.stamp)
}

function encodeTime({ writer }: Pick<Encoding, 'writer'>, version: VersionHead): void {
  writer.bigInt(version.atNs - stampNs(version.stamp))
}

function encodeHead(to: Encoding, version: VersionHead): void {
  encodeOrigin(to, version)
  encodeTime(to, version)
}

function encodePath({ writer }: Pick<Encoding, 'writer'>, place: Place): void {
  writer.hex(place.parent)
  writer.bytes(place.name)
}

function encodeUnknown({ writer }: Encoding, version: VersionHead): void {
  if (version.unknown !== null) writer.raw(version.unknown)
}

/** What follows the origin of a plain place version; kept, as versions never change. */
const tails = new WeakMap<PlaceVersion, Buffer>()

function tailOf(version: PlaceVersion): Buffer {
  const kept = tails.get(version)
  if (kept) return kept
  const writer = new Writer()
  encodeTime({ writer }, version)
  writer.uint(version.deleted ? PLACE_DELETED : 0)
  encodePath({ writer }, version)
  const tail = writer.finish()
  tails.set(version, tail)
  return tail
}

/**
 * A place version, with its length before it.
 * @param isOneOfMany the node has many links, all of which are encoded again for each new one: what
 *   can be kept of the bytes is
 */
export function encodePlace(to: Encoding, version: PlaceVersion, isOneOfMany: boolean): void {
  const { deleted, seen, prev } = version
  if (isOneOfMany && !seen && !prev && version.unknown === null) {
    to.writer.frame(() => {
      encodeOrigin(to, version)
      to.writer.raw(tailOf(version))
    })
    return
  }
  to.writer.frame(() => {
    encodeHead(to, version)
    to.writer.uint(
      (deleted ? PLACE_DELETED : 0) | (seen ? PLACE_SEEN : 0) | (prev ? PLACE_PREV : 0)
    )
    encodePath(to, version)
    if (seen) {
      encodeVector(to, seen.data)
      encodeVector(to, seen.attr)
    }
    if (prev) encodePath(to, prev)
    encodeUnknown(to, version)
  })
}

/** A data version, with its length before it. */
export function encodeData(to: Encoding, version: DataVersion): void {
  const { writer } = to
  const { content, contentDot, dot } = version
  const isOld = contentDot.generation !== dot.generation || contentDot.counter !== dot.counter
  const hash = content.type === 'file' ? content.hash : null
  writer.frame(() => {
    encodeHead(to, version)
    writer.uint(
      CONTENT_TYPES.indexOf(content.type) | (isOld ? DATA_OLD_CONTENT : 0) | (hash ? DATA_HASH : 0)
    )
    if (isOld) encodeDot(to, contentDot)
    writer.bigInt(version.mtimeNs - version.atNs)
    if (content.type === 'link') writer.bytes(content.target)
    if (content.type === 'file') {
      writer.uint(content.size)
      writer.uint(content.maps.length)
      for (const map of content.maps) writer.bytes(map)
    }
    if (hash) writer.raw(hash)
    encodeUnknown(to, version)
  })
}

/** An attribute version, with its length before it. */
export function encodeAttr(to: Encoding, version: AttrVersion): void {
  const { writer } = to
  const { mode, owner, xattrs } = version
  const encodeStamp = (field: Field<unknown>): void => writer.bigUint(version.stamp - field.stamp)
  writer.frame(() => {
    encodeHead(to, version)
    writer.uint(mode.value)
    encodeStamp(mode)
    if (owner.value.type === 'self') {
      writer.uint(OWNER_SELF)
    } else {
      writer.uint(OWNER_IDS)
      writer.uint(owner.value.uid)
      writer.uint(owner.value.gid)
    }
    encodeStamp(owner)
    writer.uint(xattrs.size)
    for (const [name, field] of [...xattrs].sort(([a], [b]) => (a < b ? -1 : 1))) {
      writer.bytes(Buffer.from(name, 'latin1'))
      writer.uint(field.value === null ? 0 : 1)
      if (field.value !== null) writer.bytes(field.value)
      encodeStamp(field)
    }
    encodeUnknown(to, version)
  })
}
