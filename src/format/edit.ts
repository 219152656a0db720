/**
 * The next versions: every change of a record is made here, because here is the covering rule. A
 * new version covers its base, what has the same content, and what the caller materialises in the
 * same batch; nothing else, or an edit of a conflict's winner would destroy the loser.
 */
import assert from 'node:assert'
import type { AttrVersion, Content, DataVersion, NodeKind, NodeRecord } from './record.js'
import type { Owner, Place, PlaceVersion, Seen, VersionHead, Xattr } from './record.js'
import { type Dot, type GenerationNumber, type LinkId, linkIdOf, sameDot } from './ids.js'
import { EMPTY_VECTOR, counterOf, join, withDot } from './vector.js'
import { EMPTY_MAP } from './content-map.js'
import type { Stamp } from './hlc.js'
import {
  attrFields,
  dataCandidates,
  dataLosers,
  dataWinner,
  joinSeen,
  liveLinks,
  placeWinner
} from './winner.js'
import { encodeMap } from './map-codec.js'
import { isName } from './name-rules.js'
import { maximal, normaliseMaps } from './register.js'

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

/** Removed xattrs that a record remembers, the newest: against their return from older versions. */
const MAX_REMOVED_XATTRS = 64

/** The encoded content map of an empty file. */
const EMPTY_MAP_BYTES = encodeMap(EMPTY_MAP)

/** What a new node starts with. */
export interface NewNode {
  readonly kind: NodeKind
  /** Device number; only for `char` and `block`. */
  readonly rdev?: number
  /** Where its first link is; null only for the root. */
  readonly place: Place | null
  readonly mode: number
  readonly owner: Owner
  /** A file's default: empty. A symlink must have its target; other kinds must not have content. */
  readonly content?: Content
  /** Default: `atNs` of the write. */
  readonly mtimeNs?: bigint
  /** By name (latin1 string of its bytes). */
  readonly xattrs?: ReadonlyMap<string, Buffer>
}

/** A change of the data register; what is not given stays. */
export interface DataChange {
  /** The version that was shown. Default: the record's winner; another one for a companion. */
  readonly base?: DataVersion
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

/** The content of an empty file. */
export function emptyContent(): Content {
  return { type: 'file', size: 0, maps: [EMPTY_MAP_BYTES], hash: null }
}

/** The record of a node made by `write`. Its first link's id is `linkIdOf` the write's dot. */
export function newRecord(node: NewNode, write: Write): NodeRecord {
  const head = nextHead([], write)
  const { stamp } = head
  const xattrs = new Map<string, Xattr>()
  for (const name of [...(node.xattrs?.keys() ?? [])].sort()) {
    xattrs.set(name, { value: node.xattrs?.get(name) ?? null, stamp })
  }
  const bare: NodeRecord = {
    kind: node.kind,
    rdev: node.rdev ?? 0,
    bornNs: write.atNs,
    places: new Map(),
    data: [
      {
        ...head,
        contentDot: head.dot,
        mtimeNs: node.mtimeNs ?? write.atNs,
        content: startContent(node)
      }
    ],
    attr: [
      {
        ...head,
        mode: { value: node.mode, stamp },
        owner: { value: node.owner, stamp },
        xattrs
      }
    ],
    unknownSections: new Map()
  }
  return node.place === null ? bare : withPlace(bare, null, node.place, write)
}

function startContent({ kind, content }: NewNode): Content {
  if (kind === 'file') return content ?? emptyContent()
  if (kind !== 'symlink') return { type: 'none' }
  assert(content?.type === 'link', 'a symlink without a target')
  return content
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
  assert(isName(place.name), 'not a name')
  const id = link ?? linkIdOf(write)
  const register = record.places.get(id) ?? []
  assert((link === null) === (register.length === 0), 'a link that is not there, or is already')
  const base = link === null ? null : placeWinner(record, link)
  const prev = record.kind === 'dir' && base !== null ? prevOf(base, place) : null
  return putPlace(record, id, {
    ...nextHead(register, write),
    parent: place.parent,
    name: place.name,
    deleted: false,
    seen: joinSeen(null, register),
    prev
  })
}

/** Where a directory goes when its move to `place` is void: not where only its name was another. */
function prevOf(base: PlaceVersion, place: Place): Place | null {
  if (base.parent !== place.parent) return { parent: base.parent, name: base.name }
  return base.prev === null ? null : { parent: base.prev.parent, name: place.name }
}

function putPlace(record: NodeRecord, id: LinkId, version: PlaceVersion): NodeRecord {
  return { ...record, places: new Map(record.places).set(id, [version]) }
}

/**
 * Unlinks one link: its place becomes a tombstone. When it was the last live one, the tombstone
 * deletes the content too (`seen`).
 * @throws {AssertionError} when it was the last one and a conflict's loser is not materialised: the
 *   loser would take the name that was just removed
 */
export function withoutPlace(record: NodeRecord, link: LinkId, write: Write): NodeRecord {
  const base = placeWinner(record, link)
  assert(base, 'unlink of a link that is not there')
  const isLast = !liveLinks(record).some((other) => other.id !== link)
  if (isLast) {
    const [shown] = dataCandidates(record).filter((version) => !isMaterialised(version, write))
    const left = dataLosers(record, shown).filter((version) => !isMaterialised(version, write))
    assert(left.length === 0, 'unlink beside a loser that is not materialised')
  }
  const register = record.places.get(link) ?? []
  return putPlace(record, link, {
    ...nextHead(register, write),
    parent: base.parent,
    name: base.name,
    deleted: true,
    seen: isLast ? seenNow(record, register, write) : joinSeen(null, register),
    prev: base.prev
  })
}

/**
 * What the remover has seen, its own writes of content before this one included: one of them may be
 * on its way into the record, with a dot and not yet with its map.
 */
function seenNow(record: NodeRecord, register: readonly PlaceVersion[], write: Write): Seen {
  const before = joinSeen(null, register)
  return {
    data: withDot(join(joinAll(record.data), before?.data ?? EMPTY_VECTOR), write),
    attr: join(joinAll(record.attr), before?.attr ?? EMPTY_VECTOR)
  }
}

/**
 * The next version of the content or of its times.
 * @throws {AssertionError} when an own older version is a loser that is not materialised: a vector
 *   cannot leave it out
 */
export function withData(record: NodeRecord, change: DataChange, write: Write): NodeRecord {
  const base = change.base ?? dataWinner(record)
  assert(base, 'no content to start from')
  const left = dataLosers(record, base).filter((loser) => !isMaterialised(loser, write))
  assert(
    left.every((loser) => loser.dot.generation !== write.generation),
    'an own loser that is not materialised'
  )
  const covered = record.data.filter((version) => !left.includes(version))
  const head = nextHead(covered, write)
  const content = change.content ?? base.content
  const version: DataVersion = {
    ...head,
    contentDot: change.content === undefined ? base.contentDot : head.dot,
    mtimeNs: change.mtimeNs ?? base.mtimeNs,
    content: content.type === 'file' ? { ...content, maps: normaliseMaps(content.maps) } : content
  }
  return { ...record, data: maximal([version, ...left]) }
}

/** The next version of the attributes. */
export function withAttr(record: NodeRecord, change: AttrChange, write: Write): NodeRecord {
  const fields = attrFields(record)
  assert(fields, 'no attributes to start from')
  const head = nextHead(record.attr, write)
  const { stamp } = head
  const xattrs = new Map(fields.xattrs)
  for (const [name, value] of change.xattrs ?? []) xattrs.set(name, { value, stamp })
  const version: AttrVersion = {
    ...head,
    mode: change.mode === undefined ? fields.mode : { value: change.mode, stamp },
    owner: change.owner === undefined ? fields.owner : { value: change.owner, stamp },
    xattrs: boundedXattrs(xattrs)
  }
  return { ...record, attr: [version] }
}

function boundedXattrs(xattrs: ReadonlyMap<string, Xattr>): ReadonlyMap<string, Xattr> {
  const removed = [...xattrs].filter(([, { value }]) => value === null)
  removed.sort(([, a], [, b]) => (a.stamp > b.stamp ? -1 : 1))
  const forgotten = new Set(removed.slice(MAX_REMOVED_XATTRS).map(([name]) => name))
  const kept = [...xattrs].filter(([name]) => !forgotten.has(name))
  return new Map(kept.sort(([a], [b]) => (a < b ? -1 : 1)))
}

/**
 * The same version at other locations: replaces its content maps without making a new version
 * (re-homing, compaction).
 * @param dot of the data version; nothing happens when the record has it no more
 * @param maps encoded; at least one
 */
export function withMaps(record: NodeRecord, dot: Dot, maps: readonly Buffer[]): NodeRecord {
  assert(maps.length > 0, 'a file needs a content map')
  const data = record.data.map((version) => {
    if (!sameDot(version.dot, dot) || version.content.type !== 'file') return version
    return { ...version, content: { ...version.content, maps: normaliseMaps(maps) } }
  })
  return { ...record, data }
}

/**
 * The record that materialises a conflict's loser as a node of its own, with id `derivedId`. The
 * loser's version goes there as it is, so that two devices that do this apart do not differ.
 * @param loser one of `dataLosers(record)`
 * @param place where it is shown
 */
export function copyOf(
  record: NodeRecord,
  loser: DataVersion,
  place: Place,
  write: Write
): NodeRecord {
  const version: PlaceVersion = {
    ...nextHead([], write),
    parent: place.parent,
    name: place.name,
    deleted: false,
    seen: null,
    prev: null
  }
  return {
    kind: record.kind,
    rdev: record.rdev,
    bornNs: record.bornNs,
    places: new Map([[linkIdOf(loser.dot), [version]]]),
    data: [loser],
    attr: record.attr,
    unknownSections: new Map()
  }
}

function isMaterialised(version: DataVersion, write: Write): boolean {
  return write.materialised?.some((dot) => sameDot(dot, version.dot)) === true
}

function joinAll(versions: readonly VersionHead[]): readonly number[] {
  return versions.reduce<readonly number[]>((sum, v) => join(sum, v.vector), EMPTY_VECTOR)
}

/** The head of the version that `write` makes over `covered`. */
function nextHead(covered: readonly VersionHead[], write: Write): VersionHead {
  const past = joinAll(covered)
  const dot = { generation: write.generation, counter: write.counter }
  // Equal: the same operation changes its own version again before anybody has seen it.
  assert(counterOf(past, dot.generation) <= dot.counter, 'a dot older than what it covers')
  let stamp = write.hlc
  for (const version of covered) if (version.stamp >= stamp) stamp = version.stamp + 1n
  return { dot, vector: withDot(past, dot), stamp, atNs: write.atNs, unknown: null }
}
