/**
 * Bytes of one version of a register, read: FORMAT.md, "Versions". What is not as it must be
 * throws: a name with a slash from a peer must never come as far as a directory listing.
 */
import {
  CONTENT_TYPES,
  DATA_HASH,
  DATA_OLD_CONTENT,
  DATA_TYPE_MASK,
  OWNER_IDS,
  OWNER_SELF,
  PLACE_DELETED,
  PLACE_PREV,
  PLACE_SEEN,
  stampNs
} from './version-encode.js'
import type { AttrVersion, Content, DataVersion, Owner, Place, PlaceVersion } from './record.js'
import type { VersionHead, Xattr } from './record.js'
import type { Dot } from './ids.js'
import { type Vector, withDot } from './vector.js'
import type { Reader } from './bytes.js'
import type { Stamp } from './hlc.js'
import { isName } from './name-rules.js'
import { normaliseMaps } from './register.js'

const HASH_BYTES = 32
const MAX_MODE = 0o7777
const MAX_U32 = 0xffffffff
/** PATH_MAX without its NUL. */
const MAX_TARGET_BYTES = 4095
/** XATTR_NAME_MAX. */
const MAX_XATTR_NAME_BYTES = 255

/** What the versions of one record are read with. */
export interface Decoding {
  readonly reader: Reader
  /** The record's table: each generation with its greatest counter. */
  readonly table: readonly Dot[]
  readonly baseStamp: Stamp
}

/**
 * A head without the unknown rest, which comes after all known fields. Its fields are named one by
 * one where a version is put together: a spread costs 10 us there, half of the time of a record.
 */
type Head = Omit<VersionHead, 'unknown'>

/** A dot: index of its generation, distance of its counter from the greatest. */
export function decodeDot({ reader, table }: Decoding): Dot {
  const greatest = table[reader.uint()]
  if (greatest === undefined) throw reader.error('a generation that is not in its table')
  const counter = greatest.counter - reader.uint()
  if (counter < 1) throw reader.error('a counter below 1')
  return { generation: greatest.generation, counter }
}

function decodeVector(from: Decoding): Vector {
  let vector: Vector = []
  for (let left = from.reader.count(2); left > 0; left--) vector = withDot(vector, decodeDot(from))
  return vector
}

function decodeHead(from: Decoding): Head {
  const dot = decodeDot(from)
  const others = decodeVector(from)
  const vector = others.length === 0 ? [dot.generation, dot.counter] : withDot(others, dot)
  const stamp = from.baseStamp - from.reader.bigUint()
  if (stamp < 0n) throw from.reader.error('a stamp below 0')
  return { dot, vector, stamp, atNs: BigInt.asIntN(64, stampNs(stamp) + from.reader.bigInt()) }
}

function decodePath({ reader }: Decoding): Place {
  const parent = reader.nodeId()
  const name = reader.bytes()
  if (!isName(name)) throw reader.error('a name that no file can have')
  return { parent, name }
}

/** A place version. */
export function decodePlace(from: Decoding): PlaceVersion {
  return from.reader.frame(() => {
    const head = decodeHead(from)
    const flags = from.reader.uint()
    const { parent, name } = decodePath(from)
    const hasSeen = (flags & PLACE_SEEN) !== 0
    const seen = hasSeen ? { data: decodeVector(from), attr: decodeVector(from) } : null
    const prev = (flags & PLACE_PREV) !== 0 ? decodePath(from) : null
    const deleted = (flags & PLACE_DELETED) !== 0
    const unknown = from.reader.rest()
    const { dot, vector, stamp, atNs } = head
    return { dot, vector, stamp, atNs, unknown, parent, name, deleted, seen, prev }
  })
}

/** A data version. */
export function decodeData(from: Decoding): DataVersion {
  return from.reader.frame(() => {
    const head = decodeHead(from)
    const flags = from.reader.uint()
    const contentDot = (flags & DATA_OLD_CONTENT) !== 0 ? decodeDot(from) : head.dot
    const mtimeNs = BigInt.asIntN(64, head.atNs + from.reader.bigInt())
    const content = decodeContent(from.reader, flags)
    const unknown = from.reader.rest()
    const { dot, vector, stamp, atNs } = head
    return { dot, vector, stamp, atNs, unknown, contentDot, mtimeNs, content }
  })
}

function decodeContent(reader: Reader, flags: number): Content {
  const type = CONTENT_TYPES[flags & DATA_TYPE_MASK]
  if (type === undefined) throw reader.error('an unknown type of content')
  if (type === 'none') return { type }
  if (type === 'link') {
    const target = reader.bytes()
    if (!isText(target, MAX_TARGET_BYTES)) throw reader.error('a target that no link can have')
    return { type, target }
  }
  const size = reader.uint()
  const maps: Buffer[] = []
  for (let left = reader.count(1); left > 0; left--) maps.push(reader.bytes())
  if (maps.length === 0) throw reader.error('a file without a content map')
  const hash = (flags & DATA_HASH) !== 0 ? reader.raw(HASH_BYTES) : null
  return { type, size, maps: normaliseMaps(maps), hash }
}

/** An attribute version. */
export function decodeAttr(from: Decoding): AttrVersion {
  const { reader } = from
  return reader.frame(() => {
    const head = decodeHead(from)
    const decodeStamp = (): Stamp => {
      const stamp = head.stamp - reader.bigUint()
      if (stamp < 0n) throw reader.error('a stamp below 0')
      return stamp
    }
    const mode = reader.uint()
    if (mode > MAX_MODE) throw reader.error('a mode beyond 07777')
    const modeStamp = decodeStamp()
    const owner = decodeOwner(reader)
    const ownerStamp = decodeStamp()
    const xattrs = new Map<string, Xattr>()
    for (let left = reader.count(3); left > 0; left--) {
      const nameBytes = reader.bytes()
      if (!isText(nameBytes, MAX_XATTR_NAME_BYTES)) throw reader.error('a bad xattr name')
      const name = nameBytes.toString('latin1')
      const value = reader.uint() === 0 ? null : reader.bytes()
      xattrs.set(name, { value, stamp: decodeStamp() })
    }
    const { dot, vector, stamp, atNs } = head
    return {
      dot,
      vector,
      stamp,
      atNs,
      unknown: reader.rest(),
      mode: { value: mode, stamp: modeStamp },
      owner: { value: owner, stamp: ownerStamp },
      xattrs
    }
  })
}

function decodeOwner(reader: Reader): Owner {
  const type = reader.uint()
  if (type === OWNER_SELF) return { type: 'self' }
  if (type !== OWNER_IDS) throw reader.error('an unknown type of owner')
  const uid = reader.uint()
  const gid = reader.uint()
  if (uid > MAX_U32 || gid > MAX_U32) throw reader.error('an owner beyond 32 bits')
  return { type: 'ids', uid, gid }
}

/** 1 to `maxBytes` bytes without NUL. */
function isText(bytes: Buffer, maxBytes: number): boolean {
  return bytes.byteLength > 0 && bytes.byteLength <= maxBytes && !bytes.includes(0)
}
