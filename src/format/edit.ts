/**
 * The next versions: every change of a record is made here, because here is the covering rule. A new
 * version covers its base, what has the same content, and what the caller materialises in the same
 * batch; nothing else, or an edit of a conflict's winner would destroy the loser.
 */
import type { Dot, GenerationNumber, LinkId } from './ids.js'
import type { Stamp } from './hlc.js'
import type { Content, DataVersion, NodeKind, NodeRecord, Owner, Place } from './record.js'

/** One write of this device: the same for all registers and nodes that one operation changes. */
export interface Write {
  /** Its dot: the generation that writes, and a counter that it never used for this node. */
  readonly generation: GenerationNumber
  readonly counter: number
  /** From `tick`. */
  readonly hlc: Stamp
  /** Wall clock, ns since 1970. */
  readonly atNs: bigint
  /** Dots of losing data versions that get a node of their own (`copyOf`) in the same batch. */
  readonly materialised?: readonly Dot[]
}

/** What a new node starts with. */
export interface NewNode {
  readonly kind: NodeKind
  /** Device number; only for `char` and `block`. */
  readonly rdev?: number
  /** Where its first link is; null only for the root. */
  readonly place: Place | null
  readonly mode: number
  readonly owner: Owner
  /** Start content; not for kinds without content. Default for files: empty. */
  readonly content?: Content
  /** Default: `atNs` of the write. */
  readonly mtimeNs?: bigint
  /** By name (latin1 string of its bytes). */
  readonly xattrs?: ReadonlyMap<string, Buffer>
}

/** A change of the data register; what is not given stays. */
export interface DataChange {
  readonly content?: Content
  readonly mtimeNs?: bigint
}

/** A change of the attribute register; what is not given stays. */
export interface AttrChange {
  readonly mode?: number
  readonly owner?: Owner
  /** By name (latin1 string of its bytes); null removes. */
  readonly xattrs?: ReadonlyMap<string, Buffer | null>
}

function todo(...args: readonly unknown[]): never {
  throw new Error(`not there yet (${args.length})`)
}

/** The record of a node made by `write`. Its first link's id is `linkIdOf` the write's dot. */
export function newRecord(node: NewNode, write: Write): NodeRecord {
  return todo(node, write)
}

/**
 * Moves or renames one link, or makes a new one.
 * @param link null: a new link (its id is `linkIdOf` the write's dot)
 * @returns the record with the next version of that place
 */
export function withPlace(
  record: NodeRecord,
  link: LinkId | null,
  place: Place,
  write: Write
): NodeRecord {
  return todo(record, link, place, write)
}

/**
 * Unlinks one link: its place becomes a tombstone. When it was the last live one, the tombstone
 * deletes the content too (`seen`).
 * @throws {AssertionError} when a losing data version is neither covered nor materialised
 */
export function withoutPlace(record: NodeRecord, link: LinkId, write: Write): NodeRecord {
  return todo(record, link, write)
}

/**
 * The next version of the content or of its times.
 * @throws {AssertionError} when an own older version is a loser that is not materialised
 */
export function withData(record: NodeRecord, change: DataChange, write: Write): NodeRecord {
  return todo(record, change, write)
}

/** The next version of the attributes. */
export function withAttr(record: NodeRecord, change: AttrChange, write: Write): NodeRecord {
  return todo(record, change, write)
}

/**
 * The same version at another location: adds, replaces or drops content maps without a new version
 * (ingest of content that the journal already has, re-homing, compaction).
 * @param dot of the data version
 * @param maps encoded, the one to use first; at least one
 */
export function withMaps(record: NodeRecord, dot: Dot, maps: readonly Buffer[]): NodeRecord {
  return todo(record, dot, maps)
}

/**
 * The record that materialises a conflict's loser as a node of its own, with id `derivedId`.
 * @param loser one of `dataLosers(record)`
 * @param place where it is shown
 */
export function copyOf(
  record: NodeRecord,
  loser: DataVersion,
  place: Place,
  write: Write
): NodeRecord {
  return todo(record, loser, place, write)
}
