/**
 * The names in one directory. Several nodes can claim one name, and one node can have several
 * contents; each is shown under a name of its own, the same on every device.
 *
 * Stored names outrank derived ones. Two directories are one listing, the same content is shown
 * once. A companion (a database's journal) goes with the winner or the copy of its base that the
 * same generation wrote.
 */
import { type ConflictMark, conflictName } from './conflict-name.js'
import type { DataVersion, VersionHead } from './record.js'
import type { Entry, Folder, Merging } from './tree.js'
import { type GenerationNumber, type NodeId, derivedHex, derivedId, sameDot } from './ids.js'
import { sameContent } from './winner.js'
import type { LivePlace } from './tree-places.js'
import { MAX_NAME_BYTES } from './name-rules.js'
import { byWinner } from './register.js'
import { companionOf } from './companions.js'

/** What would be shown once under one name. */
interface Candidate {
  /** The one that is shown first. */
  readonly places: readonly [LivePlace, ...LivePlace[]]
  readonly data: DataVersion | null
  /** Who wrote the content that is shown, whoever set its times or settled a conflict since. */
  readonly author: GenerationNumber
}

/** What has to get a derived name. */
interface Pending {
  /** The name it would have, as a latin1 string. */
  readonly stem: string
  readonly version: VersionHead
  readonly author: GenerationNumber
  /** The node whose version it is; with the version's dot this makes the digits. */
  readonly node: NodeId
  readonly entry: Omit<Entry, 'name'>
}

/** Who wrote the winner and the copies of a name: what its companions follow. */
interface Stand {
  /** null: no file has the name. */
  readonly winner: GenerationNumber | null
  readonly copies: ReadonlySet<GenerationNumber>
}

/** What a folder shows. */
export interface Resolved {
  /** Sorted by the bytes of their names. */
  readonly entries: readonly Entry[]
  /** Whether a derived name had to make way for another name. */
  readonly hasCollided: boolean
}

/** The entries of a folder. */
export function resolveNames(folder: Folder, merging: Merging): Resolved {
  const entries = new Map<string, Entry>()
  const pending: Pending[] = folder.exiles.map((place) => pendingOf(candidateOf(place, merging)))
  const stands = new Map<string, Stand>()
  // A base has a shorter name than its companions, so that it stands when they ask.
  for (const [key, group] of [...folder.groups].sort(([a], [b]) => byStem(a, b))) {
    const first = group[0]
    if (first === undefined) continue
    if (group.length === 1 && isPlain(key, first, merging)) {
      entries.set(key, plainEntry(first))
      continue
    }
    const candidates = distinct(group, merging)
    const companion = companionOf(key, merging.companions)
    const base =
      companion === null ? undefined : standOf(companion.base, { folder, stands, merging })
    const winner = winnerOf(candidates, base)
    if (winner) entries.set(key, { name: first.name, ...entryOf(winner, null) })
    const losers = candidates.filter((candidate) => candidate !== winner)
    const copies = group.flatMap((place) => copiesOf(place, merging))
    pending.push(...losers.map(pendingOf), ...copies)
    stands.set(key, {
      winner: winner && isFile(winner) ? winner.author : null,
      copies: new Set([...losers.filter(isFile), ...copies].map((each) => each.author))
    })
  }
  const hasCollided = nameDerived(pending, entries, merging)
  const sorted = [...entries].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, entry]) => entry)
  return { entries: sorted, hasCollided }
}

/** Nearly every name: one node, one content, no companion. */
function isPlain(key: string, place: LivePlace, merging: Merging): boolean {
  return place.record.data.length <= 1 && companionOf(key, merging.companions) === null
}

/** How a base stands: as noted, or as the single plain claim that nothing was noted of. */
function standOf(
  key: string,
  { folder, stands, merging }: { folder: Folder; stands: Map<string, Stand>; merging: Merging }
): Stand | undefined {
  const noted = stands.get(key)
  if (noted !== undefined) return noted
  const place = folder.groups.get(key)?.[0]
  if (place?.record.kind !== 'file') return undefined
  return { winner: candidateOf(place, merging).author, copies: new Set() }
}

function winnerOf(
  candidates: readonly Candidate[],
  base: Stand | undefined
): Candidate | undefined {
  if (base === undefined || base.winner === null) return candidates[0]
  const { winner, copies } = base
  // The journal of a copy must not be applied to the winner.
  const staying = candidates.filter(
    (each) => !isFile(each) || each.author === winner || !copies.has(each.author)
  )
  return staying.find((each) => isFile(each) && each.author === winner) ?? staying[0]
}

/** The claims to one name, those that are shown as one together; the winner first. */
function distinct(group: readonly LivePlace[], merging: Merging): Candidate[] {
  const candidates: Candidate[] = []
  for (const place of group) {
    const candidate = candidateOf(place, merging)
    const known = candidates.findIndex((other) => isOne(other, candidate))
    const other = candidates[known]
    if (other === undefined) candidates.push(candidate)
    else candidates[known] = { ...other, places: [...other.places, place] }
  }
  return candidates
}

function isOne(a: Candidate, b: Candidate): boolean {
  const [first] = a.places
  const [second] = b.places
  if (first.node === second.node) return true
  if (first.record.kind !== second.record.kind) return false
  if (first.record.kind === 'dir') return true
  if (a.data === null || b.data === null || first.record.rdev !== second.record.rdev) return false
  return sameContent(a.data.content, b.data.content)
}

function candidateOf(place: LivePlace, merging: Merging): Candidate {
  const data = merging.shownOf(place).winner
  const dot = data?.contentDot ?? place.link.place.dot
  return { places: [place], data, author: dot.generation }
}

function isFile(candidate: Candidate): boolean {
  return candidate.places[0].record.kind === 'file'
}

/** The entry of a single claim to a name that has no conflict and is nobody's companion. */
export function plainEntry({ name, record, node, link }: LivePlace): Entry {
  return {
    name,
    kind: record.kind,
    node,
    data: record.data[0] ?? null,
    standing: [{ node, link: link.id }],
    copyOf: null,
    stem: null
  }
}

function entryOf({ places, data }: Candidate, stem: Buffer | null): Omit<Entry, 'name'> {
  const [first] = places
  return {
    kind: first.record.kind,
    node: first.node,
    data,
    standing: places.map((place) => ({ node: place.node, link: place.link.id })),
    copyOf: null,
    stem
  }
}

function pendingOf(candidate: Candidate): Pending {
  const [first] = candidate.places
  const { place } = first.link
  return {
    stem: first.name.toString('latin1'),
    // Of a node that came back the last place is its remover's, who did not write what is shown.
    version: place.deleted ? (candidate.data ?? place) : place,
    author: candidate.author,
    node: first.node,
    entry: entryOf(candidate, first.name)
  }
}

/** The losers of a node's content that have no record of their own yet, at its first link. */
function copiesOf(place: LivePlace, { hasRecord, shownOf, firstLinkOf }: Merging): Pending[] {
  // A directory's versions differ in their times only.
  if (place.record.data.length <= 1 || place.record.kind === 'dir') return []
  if (firstLinkOf(place.node) !== place.link.id) return []
  const copies: Pending[] = []
  for (const loser of shownOf(place).losers) {
    const node = derivedId(place.node, loser.dot)
    if (hasRecord(node)) continue
    const { kind } = place.record
    copies.push({
      stem: place.name.toString('latin1'),
      version: loser,
      author: loser.contentDot.generation,
      node: place.node,
      entry: { kind, node, data: loser, standing: [], copyOf: place.node, stem: place.name }
    })
  }
  return copies
}

/**
 * Gives names to what has none, in an order that is the same everywhere.
 * @returns whether a name was taken
 */
function nameDerived(
  pending: readonly Pending[],
  entries: Map<string, Entry>,
  merging: Merging
): boolean {
  const given = new Map<string, string>()
  let hasCollided = false
  const isTaken = (key: string): boolean => {
    const taken = entries.has(key) || merging.isTaken(key)
    hasCollided ||= taken
    return taken
  }
  for (const each of [...pending].sort(byPending)) {
    const follows = followedName(each, given, merging)
    const name =
      follows !== null && !isTaken(follows)
        ? Buffer.from(follows, 'latin1')
        : conflictName(markOf(each, merging), isTaken)
    const key = name.toString('latin1')
    entries.set(key, { name, ...each.entry })
    const slot = givenKey(each.stem, each.author)
    // A directory of the same name is nobody's database.
    if (each.entry.kind === 'file' && !given.has(slot)) given.set(slot, key)
  }
  return hasCollided
}

/**
 * The name of a companion's copy when its base has a copy by the same author; null: it has none.
 */
function followedName(
  each: Pending,
  given: ReadonlyMap<string, string>,
  { companions }: Merging
): string | null {
  const companion = companionOf(each.stem, companions)
  if (companion === null) return null
  const base = given.get(givenKey(companion.base, each.author))
  if (base === undefined) return null
  const name = base + companion.suffix
  return name.length <= MAX_NAME_BYTES ? name : null
}

function givenKey(stem: string, author: GenerationNumber): string {
  return `${author}/${stem}`
}

function markOf({ stem, version, node, entry }: Pending, { options }: Merging): ConflictMark {
  return {
    name: Buffer.from(stem, 'latin1'),
    isDir: entry.kind === 'dir',
    device: options.deviceName(version.dot.generation),
    atNs: version.atNs,
    hex: derivedHex(node, version.dot)
  }
}

function byStem(a: string, b: string): number {
  return a.length - b.length || (a < b ? -1 : 1)
}

function byPending(a: Pending, b: Pending): number {
  if (a.stem !== b.stem) return byStem(a.stem, b.stem)
  return byWinner(a.version, b.version) || (a.node < b.node ? -1 : 1)
}

/** Whether two versions of a content are the same, at the same locations. */
export function isSameShown(a: DataVersion | null, b: DataVersion | null): boolean {
  if (a === b || a === null || b === null) return a === b
  if (!sameDot(a.dot, b.dot) || a.stamp !== b.stamp) return false
  const theirs = mapsOf(b)
  return mapsOf(a).length === theirs.length && mapsOf(a).every((map, i) => theirs[i]?.equals(map))
}

function mapsOf({ content }: DataVersion): readonly Buffer[] {
  return content.type === 'file' ? content.maps : []
}

/** Whether two entries of one name show the same, for which the same nodes stand. */
export function isSameEntry(a: Entry, b: Entry): boolean {
  return (
    a.node === b.node &&
    a.kind === b.kind &&
    a.copyOf === b.copyOf &&
    (a.stem === null || b.stem === null ? a.stem === b.stem : a.stem.equals(b.stem)) &&
    isSameShown(a.data, b.data) &&
    a.standing.length === b.standing.length &&
    a.standing.every((one, i) => {
      const other = b.standing[i]
      return one.node === other?.node && one.link === other.link
    })
  )
}
