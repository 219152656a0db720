/**
 * The winners of one record's registers: what a mount shows of a node when its record is all there
 * is to know about it. On the hot path, where every register has one version.
 */
import type { LinkId } from './ids.js'
import { covers, join } from './vector.js'
import type { AttrVersion, Content, DataVersion, Field, NodeRecord } from './record.js'
import type { Owner, PlaceVersion, Seen, Xattr } from './record.js'
import { byWinner } from './register.js'

/** The merged attributes: each field by its own stamp. */
export interface Attributes {
  /** Permission bits, 0 to 0o7777. */
  readonly mode: number
  readonly owner: Owner
  /** Without the removed ones; by name (latin1 string of its bytes), sorted. */
  readonly xattrs: ReadonlyMap<string, Buffer>
}

/** The merged fields with their stamps, removed xattrs included. */
export interface AttrFields {
  readonly mode: Field<number>
  readonly owner: Field<Owner>
  readonly xattrs: ReadonlyMap<string, Xattr>
}

/** A link of a node and the place that won for it. */
export interface Link {
  readonly id: LinkId
  readonly place: PlaceVersion
}

/**
 * Whether two contents are the same: equal targets, or equal sizes and a map or the hash in common.
 * false does not mean that the bytes differ, only that nothing here says that they are equal.
 */
export function sameContent(a: Content, b: Content): boolean {
  if (a === b) return true
  if (a.type === 'link') return b.type === 'link' && a.target.equals(b.target)
  if (a.type === 'none') return b.type === 'none'
  if (b.type !== 'file' || a.size !== b.size) return false
  if (a.size === 0 || (a.hash !== null && b.hash?.equals(a.hash) === true)) return true
  const theirs = b.maps
  return a.maps.some((map) => theirs.some((other) => other.equals(map)))
}

/**
 * The versions that may be shown: not those whose content somebody superseded knowingly while they
 * only changed its times, and after a delete only what the deleter had not seen. Winner first.
 */
export function dataCandidates(record: NodeRecord): readonly DataVersion[] {
  const all = record.data
  if (all.length <= 1) return all
  const current = all.filter((version) => !all.some((other) => outdates(other, version)))
  const written = current.length > 0 ? current : all
  const seen = seenOf(record)
  if (seen === null) return written
  const unseen = written.filter((version) => !covers(seen.data, version.dot))
  return unseen.length > 0 ? unseen : written
}

/** Whether `a` was written knowing the content of `b`, which itself did not know the one of `a`. */
function outdates(a: DataVersion, b: DataVersion): boolean {
  return covers(a.vector, b.contentDot) && !covers(b.vector, a.contentDot)
}

/** The version of the content to show; null where nothing is known. */
export function dataWinner(record: NodeRecord): DataVersion | null {
  return dataCandidates(record)[0] ?? null
}

/**
 * The versions of the content that are shown as conflict copies beside the winner: they differ from
 * it and from one another, and nobody superseded them knowingly. Usually empty.
 * @param winner what is shown as the node itself; given where a companion's base decides it
 */
export function dataLosers(
  record: NodeRecord,
  winner: DataVersion | null = dataWinner(record)
): readonly DataVersion[] {
  if (record.data.length <= 1 || winner === null) return []
  const shown = [winner]
  for (const version of dataCandidates(record)) {
    if (!shown.some((other) => sameContent(other.content, version.content))) shown.push(version)
  }
  return shown.slice(1)
}

/** The merged fields; null when the record has no attributes. */
export function attrFields(record: NodeRecord): AttrFields | null {
  const [first, ...others] = record.attr
  if (first === undefined) return null
  if (others.length === 0) return first
  const mode = pick(record.attr, (version) => version.mode)
  const owner = pick(record.attr, (version) => version.owner)
  const xattrs = new Map<string, Xattr>()
  const names = new Set(record.attr.flatMap((version) => [...version.xattrs.keys()]))
  for (const name of [...names].sort()) {
    const field = pick(record.attr, (version) => version.xattrs.get(name))
    if (field) xattrs.set(name, field)
  }
  return { mode: mode ?? first.mode, owner: owner ?? first.owner, xattrs }
}

function pick<T>(
  versions: readonly AttrVersion[],
  fieldOf: (version: AttrVersion) => Field<T> | undefined
): Field<T> | undefined {
  let best: Field<T> | undefined
  let generation = 0
  for (const version of versions) {
    const field = fieldOf(version)
    if (!field) continue
    const newer = !best || field.stamp > best.stamp
    if (newer || (field.stamp === best?.stamp && version.dot.generation > generation)) {
      best = field
      generation = version.dot.generation
    }
  }
  return best
}

/** The merged attributes; null when the record has none. */
export function attrWinner(record: NodeRecord): Attributes | null {
  const fields = attrFields(record)
  if (fields === null) return null
  const xattrs = new Map<string, Buffer>()
  for (const [name, { value }] of fields.xattrs) if (value !== null) xattrs.set(name, value)
  return { mode: fields.mode.value, owner: fields.owner.value, xattrs }
}

/** The place that wins for one link: any live one beats any tombstone. null: no such link. */
export function placeWinner(record: NodeRecord, link: LinkId): PlaceVersion | null {
  return winnerOf(record.places.get(link) ?? [])
}

function winnerOf(versions: readonly PlaceVersion[]): PlaceVersion | null {
  return versions.find((version) => !version.deleted) ?? versions[0] ?? null
}

/** What all deleters together had seen; null: nobody meant to delete the content. */
function seenOf(record: NodeRecord): Seen | null {
  let seen: Seen | null = null
  for (const versions of record.places.values()) seen = joinSeen(seen, versions)
  return seen
}

/** `seen` with what the deleters in a register of places had seen. */
export function joinSeen(seen: Seen | null, versions: readonly PlaceVersion[]): Seen | null {
  let joined = seen
  for (const { seen: each } of versions) {
    if (joined === null || each === null) joined ??= each
    else joined = { data: join(joined.data, each.data), attr: join(joined.attr, each.attr) }
  }
  return joined
}

/** Whether every link is gone, somebody meant to delete the content, and had seen all of it. */
function isDeleted(record: NodeRecord): boolean {
  const seen = seenOf(record)
  if (seen === null) return false
  for (const versions of record.places.values()) {
    if (versions.some((version) => !version.deleted)) return false
  }
  return (
    record.data.every((version) => covers(seen.data, version.dot)) &&
    record.attr.every((version) => covers(seen.attr, version.dot))
  )
}

/**
 * The links that this record by itself shows, in the order of their ids: the live ones, or the one
 * that comes back because something was written that no deleter had seen. Empty: the node is dead
 * (unless it is a directory with a live descendant) or is the root.
 */
export function liveLinks(record: NodeRecord): readonly Link[] {
  const links = allLinks(record)
  if (links.length === 1 && links[0]?.place.deleted === false) return links
  const live = links.filter((link) => !link.place.deleted)
  if (live.length > 0) return live
  const last = lastLink(links)
  return last === null || isDeleted(record) ? [] : [last]
}

/** Every link with its winning place, tombstones too, in the order of their ids. */
export function allLinks(record: NodeRecord): readonly Link[] {
  const links: Link[] = []
  for (const [id, versions] of record.places) {
    const place = winnerOf(versions)
    if (place !== null) links.push({ id, place })
  }
  return links
}

/** The link that changed last: where a deleted node comes back. null: no links. */
export function lastLink(links: readonly Link[]): Link | null {
  if (links.length <= 1) return links[0] ?? null
  const [last] = [...links].sort((a, b) => byWinner(a.place, b.place))
  return last ?? null
}

/** Whether the node lives by its own record. The root, which has no links, always does. */
export function isLive(record: NodeRecord): boolean {
  return record.places.size === 0 || liveLinks(record).length > 0
}

/** ctime: the greatest `atNs` of the winners of all registers. */
export function changeTimeNs(record: NodeRecord): bigint {
  let latest = dataWinner(record)?.atNs ?? record.bornNs
  for (const { place } of allLinks(record)) if (place.atNs > latest) latest = place.atNs
  for (const { atNs } of record.attr) if (atNs > latest) latest = atNs
  return latest
}

/** The first of a version's content maps, encoded; null for what is not a file. */
export function contentMapOf(version: DataVersion | null): Buffer | null {
  return version?.content.type === 'file' ? (version.content.maps[0] ?? null) : null
}
