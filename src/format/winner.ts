/**
 * The winner of one record's registers: what a mount shows of a node when its record is all there is
 * to know about it. On the hot path. One comparator everywhere: higher (stamp, generation) wins.
 */
import type { LinkId } from './ids.js'
import type {
  AttrVersion,
  Content,
  DataVersion,
  NodeRecord,
  Owner,
  PlaceVersion,
  VersionHead
} from './record.js'

/** The merged attributes: each field by its own stamp. */
export interface Attributes {
  /** Permission bits, 0 to 0o7777. */
  readonly mode: number
  readonly owner: Owner
  /** Without the removed ones; by name (latin1 string of its bytes), sorted. */
  readonly xattrs: ReadonlyMap<string, Buffer>
}

/** A link of a node and the place that won for it. */
export interface Link {
  readonly id: LinkId
  readonly place: PlaceVersion
}

/** Sorts the winner first: higher stamp, then higher generation. */
export function byWinner(a: VersionHead, b: VersionHead): number {
  if (a.stamp !== b.stamp) return a.stamp > b.stamp ? -1 : 1
  return b.dot.generation - a.dot.generation
}

function todo(...args: readonly unknown[]): never {
  throw new Error(`not there yet (${args.length})`)
}

/** Whether two contents are the same: equal targets, or size and (a map or the hash) equal. */
export function sameContent(a: Content, b: Content): boolean {
  return todo(a, b)
}

/** The version of the content to show; null for kinds without content. */
export function dataWinner(record: NodeRecord): DataVersion | null {
  return todo(record)
}

/**
 * The versions of the content that are shown as conflict copies beside the winner: differ from it
 * and from one another, and nobody superseded them knowingly. Usually empty.
 */
export function dataLosers(record: NodeRecord): readonly DataVersion[] {
  return todo(record)
}

/** The merged attributes; null when the record has none. */
export function attrWinner(record: NodeRecord): Attributes | null {
  return todo(record)
}

/** The place that wins for one link: any live one beats any tombstone. null: no such link. */
export function placeWinner(record: NodeRecord, link: LinkId): PlaceVersion | null {
  return todo(record, link)
}

/**
 * The links that this record by itself shows, in the order of their ids: the live ones, or the one
 * that comes back because content was written that no deleter had seen. Empty: the node is dead
 * (unless it is a directory with a live descendant) or is the root.
 */
export function liveLinks(record: NodeRecord): readonly Link[] {
  return todo(record)
}

/** Whether the node lives by its own record. The root, which has no links, always does. */
export function isLive(record: NodeRecord): boolean {
  return todo(record)
}

/** ctime: the greatest `atNs` of the winners of all registers. */
export function changeTimeNs(record: NodeRecord): bigint {
  return todo(record)
}

/** The version's map to use first, encoded; null for what is not a file. */
export function contentMapOf(data: DataVersion | null): Buffer | null {
  return todo(data)
}

/** Not exported further: keeps the attribute type in use until the winners are there. */
export type AnyAttr = AttrVersion
