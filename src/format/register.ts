/**
 * A register: the set of its maximal versions. Merging is union, then pruning what is covered:
 * associative, commutative, idempotent. One comparator everywhere: higher (stamp, generation) wins.
 */
import { type AttrVersion, type DataVersion, MAX_MAPS, type PlaceVersion } from './record.js'
import type { Content, Place, VersionHead } from './record.js'
import { dotKey, sameDot } from './ids.js'
import { covers } from './vector.js'

/** What decides between two versions that do not know each other. */
export type Rank = Pick<VersionHead, 'stamp' | 'dot'>

/** Sorts the winner first: higher stamp, then higher generation. */
export function byWinner(a: Rank, b: Rank): number {
  if (a.stamp !== b.stamp) return a.stamp > b.stamp ? -1 : 1
  return b.dot.generation - a.dot.generation || b.dot.counter - a.dot.counter
}

/** Makes one of two copies of the same version (the same dot). */
type Unify<T> = (a: T, b: T) => T

/** The merged register of places of one link. */
export function mergePlaces(
  a: readonly PlaceVersion[],
  b: readonly PlaceVersion[]
): readonly PlaceVersion[] {
  return mergeRegister(a, b, unifyPlace)
}

/** The merged data register. Copies of one version at several locations keep all of their maps. */
export function mergeData(
  a: readonly DataVersion[],
  b: readonly DataVersion[]
): readonly DataVersion[] {
  return mergeRegister(a, b, unifyData)
}

/** The merged attribute register. */
export function mergeAttr(
  a: readonly AttrVersion[],
  b: readonly AttrVersion[]
): readonly AttrVersion[] {
  return mergeRegister(a, b, unifyAttr)
}

/** What of `versions` is not covered by another one, sorted, the winner first. */
export function maximal<T extends VersionHead>(versions: readonly T[]): readonly T[] {
  if (versions.length <= 1) return versions
  return versions
    .filter((v) => !versions.some((w) => !sameDot(v.dot, w.dot) && covers(w.vector, v.dot)))
    .sort(byWinner)
}

/** The sorted, bounded list of a version's maps, each once. */
export function normaliseMaps(maps: readonly Buffer[]): readonly Buffer[] {
  if (maps.length <= 1) return maps
  const sorted = [...maps].sort((a, b) => a.compare(b))
  return sorted.filter((map, i) => !sorted[i - 1]?.equals(map)).slice(0, MAX_MAPS)
}

function mergeRegister<T extends VersionHead>(
  a: readonly T[],
  b: readonly T[],
  unify: Unify<T>
): readonly T[] {
  if (a === b || b.length === 0) return a
  if (a.length === 0) return b
  const [first] = a
  const [second] = b
  if (first && second && a.length + b.length === 2 && sameDot(first.dot, second.dot)) {
    return [unify(first, second)]
  }
  const byDot = new Map(a.map((version) => [dotKey(version.dot), version]))
  for (const version of b) {
    const known = byDot.get(dotKey(version.dot))
    byDot.set(dotKey(version.dot), known ? unify(known, version) : version)
  }
  return maximal([...byDot.values()])
}

// The same dot means the same version; two that differ come from a device that is broken or lies.
// Every device must still choose the same one: the greater text of all fields. Making the texts
// costs ten times as much as seeing that two usual versions are equal.

function unifyPlace(a: PlaceVersion, b: PlaceVersion): PlaceVersion {
  if (a === b) return a
  const isEqual =
    isSameHead(a, b) &&
    a.parent === b.parent &&
    a.name.equals(b.name) &&
    a.deleted === b.deleted &&
    a.seen === b.seen &&
    a.prev === b.prev
  return isEqual || placeText(a) >= placeText(b) ? a : b
}

function unifyAttr(a: AttrVersion, b: AttrVersion): AttrVersion {
  if (a === b) return a
  const isEqual =
    isSameHead(a, b) &&
    a.mode.value === b.mode.value &&
    a.mode.stamp === b.mode.stamp &&
    a.owner.value.type === 'self' &&
    b.owner.value.type === 'self' &&
    a.owner.stamp === b.owner.stamp &&
    a.xattrs.size + b.xattrs.size === 0
  return isEqual || attrText(a) >= attrText(b) ? a : b
}

function unifyData(a: DataVersion, b: DataVersion): DataVersion {
  if (a === b || isSameFile(a, b)) return a
  const left = dataText(a)
  const right = dataText(b)
  if (left !== right) return left > right ? a : b
  if (a.content.type !== 'file' || b.content.type !== 'file') return a
  const maps = normaliseMaps([...a.content.maps, ...b.content.maps])
  return { ...a, content: { ...a.content, maps } }
}

/** Whether two versions of a file are equal in all, their one map included; false: perhaps. */
function isSameFile(a: DataVersion, b: DataVersion): boolean {
  const first = a.content
  const second = b.content
  if (first.type !== 'file' || second.type !== 'file' || !isSameHead(a, b)) return false
  const [map, another] = first.maps
  const [other] = second.maps
  if (map === undefined || other === undefined || another !== undefined) return false
  return (
    a.mtimeNs === b.mtimeNs &&
    sameDot(a.contentDot, b.contentDot) &&
    first.size === second.size &&
    second.maps.length === 1 &&
    map.equals(other) &&
    isSameHash(first.hash, second.hash)
  )
}

function isSameHash(a: Buffer | null, b: Buffer | null): boolean {
  return a === null || b === null ? a === b : a.equals(b)
}

/** Whether all that every version has is equal; false also for any unknown bytes. */
function isSameHead(a: VersionHead, b: VersionHead): boolean {
  return (
    a.stamp === b.stamp &&
    a.atNs === b.atNs &&
    a.unknown === null &&
    b.unknown === null &&
    a.vector.length === b.vector.length &&
    a.vector.every((number, i) => number === b.vector[i])
  )
}

function headText(version: VersionHead): string {
  const unknown = version.unknown?.toString('hex') ?? ''
  return `${version.stamp} ${version.atNs} ${version.vector.join(' ')} ${unknown}`
}

function pathText(place: Place | null): string {
  return place === null ? '-' : `${place.parent}/${place.name.toString('hex')}`
}

function placeText(version: PlaceVersion): string {
  const { seen } = version
  const seenText = seen === null ? '-' : `${seen.data.join(' ')}/${seen.attr.join(' ')}`
  const places = `${pathText(version)} ${pathText(version.prev)}`
  return `${headText(version)} ${version.deleted} ${places} ${seenText}`
}

function dataText(version: DataVersion): string {
  const contentDot = dotKey(version.contentDot)
  return `${headText(version)} ${contentDot} ${version.mtimeNs} ${contentText(version.content)}`
}

function contentText(content: Content): string {
  if (content.type === 'none') return '-'
  if (content.type === 'link') return content.target.toString('hex')
  return `${content.size} ${content.hash?.toString('hex') ?? '-'}`
}

function attrText(version: AttrVersion): string {
  const { mode, owner } = version
  const ids = owner.value.type === 'self' ? 'self' : `${owner.value.uid} ${owner.value.gid}`
  const xattrs = [...version.xattrs].map(
    ([name, { value, stamp }]) => `${name} ${value?.toString('hex') ?? '-'} ${stamp}`
  )
  const fields = `${mode.value} ${mode.stamp} ${ids} ${owner.stamp}`
  return `${headText(version)} ${fields} ${xattrs.join(' ')}`
}
