/**
 * Bytes of a node record: FORMAT.md, "Node record". Small on purpose: there is one for each file on
 * each device. Generations are named by their place in a table of the record, stamps and times by
 * their distance from one another.
 */
import type { DataVersion, NodeKind, NodeRecord, PlaceVersion, VersionHead } from './record.js'
import { type Decoding, decodeAttr, decodeData, decodeDot, decodePlace } from './version-decode.js'
import { type Encoding, encodeAttr, encodeData, encodeDot } from './version-encode.js'
import { encodePlace, stampNs } from './version-encode.js'
import { type Dot, type LinkId, toGenerationNumber } from './ids.js'
import { compareDots, linkDot, linkIdOf, sameDot } from './ids.js'
import { Reader, Writer } from './bytes.js'
import type { Stamp } from './hlc.js'
import { maximal } from './register.js'

const RECORD_VERSION = 1
const SECTION_PLACES = 1
const SECTION_DATA = 2
const SECTION_ATTR = 3
const TABLE_ENTRY_BYTES = 7
/** From so many links on, what can be kept of their bytes is. */
const MANY_LINKS = 16
const MAX_U32 = 0xffffffff
const MAX_COUNTER = 2 ** 48 - 1
/** A stamp that later ones can still be above, in 64 bits: its time is in the year 6429. */
const MAX_STAMP = 2n ** 63n - 1n

/** One link: the dot that made it, and the versions of its place. */
interface Link {
  readonly dot: Dot
  readonly versions: readonly PlaceVersion[]
}

/** Kinds by their number in the bytes. */
export const KINDS: readonly NodeKind[] = [
  'file',
  'dir',
  'symlink',
  'fifo',
  'socket',
  'char',
  'block'
]

/** The canonical bytes of a record: equal records have equal bytes. */
export function encodeRecord(record: NodeRecord): Buffer {
  const links = linksOf(record)
  const to = startEncoding(record, links)
  const { writer, baseStamp, generations, counters } = to
  writer.uint(RECORD_VERSION)
  writer.uint(KINDS.indexOf(record.kind))
  writer.uint(record.rdev)
  writer.uint(generations.length)
  for (const [index, generation] of generations.entries()) {
    writer.uint48(generation)
    writer.uint(counters[index] ?? 0)
  }
  writer.uint64(baseStamp)
  writer.bigInt(record.bornNs - stampNs(baseStamp))
  for (const [tag, write] of sectionsOf(record, links, to)) {
    writer.uint(tag)
    writer.frame(write)
  }
  return writer.finish()
}

/**
 * A record from its bytes. What this version of the format does not know is kept for
 * `encodeRecord`.
 * @param bytes not kept: what the record holds of them is copied
 * @throws {FsError} EIO when they are malformed or of a later major version
 */
export function decodeRecord(bytes: Buffer): NodeRecord {
  const reader = new Reader('node record', bytes)
  const version = reader.uint()
  if (version !== RECORD_VERSION) throw reader.error(`version ${version} needs a newer pcfs`)
  const kind = KINDS[reader.uint()]
  if (kind === undefined) throw reader.error('an unknown kind')
  const rdev = reader.uint()
  if (rdev > MAX_U32) throw reader.error('a device number beyond 32 bits')
  const table = decodeTable(reader)
  const baseStamp = reader.uint64()
  if (baseStamp > MAX_STAMP) throw reader.error('a stamp that nothing can come after')
  const bornNs = BigInt.asIntN(64, stampNs(baseStamp) + reader.bigInt())
  const from: Decoding = { reader, table, baseStamp }
  let places: ReadonlyMap<LinkId, readonly PlaceVersion[]> = new Map()
  let data: NodeRecord['data'] = []
  let attr: NodeRecord['attr'] = []
  const unknownSections = new Map<number, Buffer>()
  while (reader.left > 0) {
    const tag = reader.uint()
    reader.frame(() => {
      if (tag === SECTION_PLACES) places = decodePlaces(from)
      else if (tag === SECTION_DATA) data = decodeVersions(reader, () => decodeData(from))
      else if (tag === SECTION_ATTR) attr = decodeVersions(reader, () => decodeAttr(from))
      else unknownSections.set(tag, reader.raw(reader.left))
    })
  }
  if (!data.every((each) => isContentOf(kind, each))) throw reader.error('content of another kind')
  return { kind, rdev, bornNs, places, data, attr, unknownSections }
}

/** The generations that a record names, ascending, each with its greatest counter. */
function decodeTable(reader: Reader): readonly Dot[] {
  const table: Dot[] = []
  for (let left = reader.count(TABLE_ENTRY_BYTES); left > 0; left--) {
    const generation = toGenerationNumber(reader.uint48())
    const counter = reader.uint()
    if (generation <= (table.at(-1)?.generation ?? 0)) throw reader.error('a generation twice')
    if (counter > MAX_COUNTER) throw reader.error('a counter beyond 48 bits')
    table.push({ generation, counter })
  }
  return table
}

function isContentOf(kind: NodeKind, { content }: DataVersion): boolean {
  if (kind === 'file') return content.type === 'file'
  return content.type === (kind === 'symlink' ? 'link' : 'none')
}

/** The links of a record in their order: by generation, then by counter. */
function linksOf({ places }: NodeRecord): readonly Link[] {
  const links = [...places].map(([id, versions]) => ({ dot: linkDot(id), versions }))
  return links.sort((a, b) => compareDots(a.dot, b.dot))
}

function startEncoding(record: NodeRecord, links: readonly Link[]): Encoding {
  const greatest = new Map<number, number>()
  let baseStamp: Stamp = 0n
  const note = (generation: number, counter: number): void => {
    if (counter > (greatest.get(generation) ?? 0)) greatest.set(generation, counter)
  }
  const noteVector = (vector: readonly number[]): void => {
    for (let i = 0; i < vector.length; i += 2) note(vector[i] ?? 0, vector[i + 1] ?? 0)
  }
  const noteHead = (version: VersionHead): void => {
    noteVector(version.vector)
    if (version.stamp > baseStamp) baseStamp = version.stamp
  }
  for (const { dot, versions } of links) {
    note(dot.generation, dot.counter)
    for (const version of versions) {
      noteHead(version)
      if (version.seen === null) continue
      noteVector(version.seen.data)
      noteVector(version.seen.attr)
    }
  }
  for (const version of record.data) {
    noteHead(version)
    note(version.contentDot.generation, version.contentDot.counter)
  }
  record.attr.forEach(noteHead)
  const generations = [...greatest.keys()].sort((a, b) => a - b)
  const counters = generations.map((generation) => greatest.get(generation) ?? 0)
  return { writer: new Writer(), generations, counters, baseStamp }
}

/** The sections that are not empty, by tag, each with what writes its inside. */
function sectionsOf(
  record: NodeRecord,
  links: readonly Link[],
  to: Encoding
): (readonly [number, () => void])[] {
  const { data, attr, unknownSections } = record
  const sections: (readonly [number, () => void])[] = []
  if (links.length > 0) sections.push([SECTION_PLACES, () => encodeLinks(to, links)])
  if (data.length > 0) {
    sections.push([SECTION_DATA, () => data.forEach((version) => encodeData(to, version))])
  }
  if (attr.length > 0) {
    sections.push([SECTION_ATTR, () => attr.forEach((version) => encodeAttr(to, version))])
  }
  for (const [tag, bytes] of unknownSections) sections.push([tag, () => to.writer.raw(bytes)])
  return sections.sort(([a], [b]) => a - b)
}

function encodeLinks(to: Encoding, links: readonly Link[]): void {
  const areMany = links.length >= MANY_LINKS
  for (const { dot, versions } of links) {
    encodeDot(to, dot)
    to.writer.frame(() => versions.forEach((version) => encodePlace(to, version, areMany)))
  }
}

function decodePlaces(from: Decoding): ReadonlyMap<LinkId, readonly PlaceVersion[]> {
  const { reader } = from
  const places = new Map<LinkId, readonly PlaceVersion[]>()
  while (reader.left > 0) {
    const link = linkIdOf(decodeDot(from))
    places.set(
      link,
      reader.frame(() => decodeVersions(reader, () => decodePlace(from)))
    )
  }
  return places
}

function decodeVersions<T extends VersionHead>(reader: Reader, decode: () => T): readonly T[] {
  const versions: T[] = []
  while (reader.left > 0) {
    const version = decode()
    if (versions.some((other) => sameDot(other.dot, version.dot))) throw reader.error('a dot twice')
    versions.push(version)
  }
  return maximal(versions)
}
