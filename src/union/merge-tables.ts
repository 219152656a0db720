/**
 * What the incremental merge remembers (format/merge-state.ts), read from the index.
 *
 * A plain name has its directory entry and its row and nothing else. All that is here beyond them
 * is in the meta table, only where it is not plain, by local inode numbers:
 *
 * ```
 *   grave:INO          record of a node that no name shows (deleted, or shown as one with another)
 *   claims:INO/NAME    JSON list of [node, link]: who claims a name, where the entry says otherwise
 *   count:INO          claims in a directory, where there are not as many as entries
 *   entry:INO/NAME     JSON of a name that stands for more than its node, or is derived
 *   dir:INO  conflict:INO  origin:INO  displaced:INO  missing:INO  spread:INO
 *   shared             there is, or will be, more than one generation
 * ```
 *
 * Names in keys are hexadecimal: LMDB's strings do not take every byte. Invariant: where a
 * directory has neither `dir:` nor a row marked `tangled`, its names have no keys here.
 */
import type { Claim, ConflictState, DirState, Displaced } from '../format/merge-state.js'
import type { MergeState } from '../format/merge-state.js'
import { type NodeId, ROOT_INO, parseNodeId, sameDot, toLinkId } from '../format/ids.js'
import type { DataVersion, NodeRecord } from '../format/record.js'
import { decodeRecord } from '../format/record-codec.js'
import type { Entry, Standing } from '../format/tree.js'
import type { Stage } from '../format/tree-places.js'
import { dataWinner, liveLinks } from '../format/winner.js'
import type { Author } from './author.js'
import type { Change, Dirent, Name } from './changes.js'
import type { Index } from './index-store.js'
import type { Row } from './row.js'

/** Prefixes of the keys; see the file's head. */
export const TABLE = {
  grave: 'grave:',
  claims: 'claims:',
  count: 'count:',
  entry: 'entry:',
  dir: 'dir:',
  conflict: 'conflict:',
  origin: 'origin:',
  displaced: 'displaced:',
  missing: 'missing:',
  spread: 'spread:'
} as const

/** Key that says that records of other generations are, or will be, here. */
export const SHARED_KEY = 'shared'

/** What of an entry its row and directory entry do not say. */
export interface EntryNote {
  readonly standing: readonly Standing[]
  readonly copyOf: NodeId | null
  /** latin1. */
  readonly stem: string | null
}

/** Key of what belongs to a name in a directory. */
export function nameKeyOf(prefix: string, dir: number, name: Name): string {
  return `${prefix}${dir}/${Buffer.from(name, 'latin1').toString('hex')}`
}

/** See the file's head. Reads are synchronous; `load` after the index was changed from outside. */
export class MergeTables implements MergeState {
  #displaced = new Map<NodeId, Stage>()
  #missing = new Set<NodeId>()
  #spread = new Set<NodeId>()
  #isShared = false

  constructor(
    readonly index: Index,
    readonly author: Author
  ) {
    this.load()
  }

  /** Reads again what is kept in memory, after recovery has changed the index. */
  load(): void {
    this.#displaced = new Map()
    this.#missing = new Set()
    this.#spread = new Set()
    this.#isShared = this.index.meta(SHARED_KEY) !== null
    if (!this.#isShared) return
    for (const prefix of [TABLE.displaced, TABLE.missing, TABLE.spread]) {
      for (const { key, value } of this.index.metaRange(prefix)) this.#note(key, value)
    }
  }

  /** Takes note of changes of these tables that were applied to the index. */
  note(changes: readonly Change[]): void {
    for (const change of changes) if (change.kind === 'meta') this.#note(change.key, change.value)
  }

  #note(key: string, value: Buffer | null): void {
    const node = (prefix: string): NodeId => this.author.idOf(Number(key.slice(prefix.length)))
    if (key.startsWith(TABLE.displaced)) {
      const stage = value?.toString() === 'root' ? 'root' : 'previous'
      if (value === null) this.#displaced.delete(node(TABLE.displaced))
      else this.#displaced.set(node(TABLE.displaced), stage)
    } else if (key.startsWith(TABLE.missing)) setHas(this.#missing, node(TABLE.missing), value)
    else if (key.startsWith(TABLE.spread)) setHas(this.#spread, node(TABLE.spread), value)
    else if (key === SHARED_KEY) this.#isShared = value !== null
  }

  /** Whether there is, or will be, more than one generation: what is removed leaves a tombstone. */
  get isShared(): boolean {
    return this.#isShared
  }

  /** The row of a node that a name shows. */
  rowOf(node: NodeId): Row | null {
    const ino = this.author.knownInoOf(node)
    return ino === null ? null : this.index.node(ino)
  }

  record(node: NodeId): NodeRecord | null {
    const ino = this.author.knownInoOf(node)
    if (ino === null) return null
    const row = this.index.node(ino)
    if (row) return row.isVirtual ? null : row.record
    const grave = this.index.meta(TABLE.grave + ino)
    return grave && decodeRecord(grave)
  }

  claimsAt(parent: NodeId, nameKey: string): readonly Claim[] {
    const ino = this.author.knownInoOf(parent)
    return ino === null ? [] : this.#claimsOf({ ino, parent, nameKey })
  }

  #claimsOf({ ino, parent, nameKey }: { ino: number; parent: NodeId; nameKey: Name }): Claim[] {
    const noted = this.index.meta(nameKeyOf(TABLE.claims, ino, nameKey))
    if (noted === null) {
      const dirent = this.index.dirent(ino, nameKey)
      return dirent ? [this.claimOf(parent, nameKey, dirent)] : []
    }
    return decodeClaims(noted).map((standing) => ({ parent, nameKey, ...standing }))
  }

  /** What an entry by itself says: its node and link claim the name. */
  claimOf(parent: NodeId, nameKey: Name, { ino, link }: Dirent): Claim {
    return { parent, nameKey, node: this.author.idOf(ino), link }
  }

  claims(parent: NodeId): Iterable<Claim> {
    const ino = this.author.knownInoOf(parent)
    if (ino === null) return []
    const names = new Set(this.index.children(ino).map(({ name }) => name))
    const prefix = `${TABLE.claims}${ino}/`
    for (const { key } of this.index.metaRange(prefix)) {
      names.add(Buffer.from(key.slice(prefix.length), 'hex').toString('latin1'))
    }
    return [...names].flatMap((nameKey) => this.#claimsOf({ ino, parent, nameKey }))
  }

  claimCount(parent: NodeId): number {
    const ino = this.author.knownInoOf(parent)
    if (ino === null) return 0
    const difference = this.index.meta(TABLE.count + ino)?.readInt32LE(0) ?? 0
    return (this.index.node(ino)?.entries ?? 0) + difference
  }

  dir(node: NodeId): DirState | null {
    const bytes = this.#bytes(TABLE.dir, node)
    const state: DirState | null = bytes && JSON.parse(bytes.toString())
    return state
  }

  conflict(node: NodeId): ConflictState | null {
    const bytes = this.#bytes(TABLE.conflict, node)
    const state: ConflictState | null = bytes && JSON.parse(bytes.toString())
    return state
  }

  spread(): Iterable<NodeId> {
    return this.#spread
  }

  originOf(copy: NodeId): NodeId | null {
    const ino = this.author.knownInoOf(copy)
    const value = ino === null ? null : this.index.meta(TABLE.origin + ino)
    return value && parseNodeId(value.toString())
  }

  displaced(): Displaced {
    // A copy: a reader may keep it over a change.
    return this.#displaced.size === 0 ? NONE : new Map(this.#displaced)
  }

  missing(): Iterable<NodeId> {
    return this.#missing
  }

  entry(dir: NodeId, nameKey: string): Entry | null {
    const ino = this.author.knownInoOf(dir)
    const dirent = ino === null ? null : this.index.dirent(ino, nameKey)
    if (ino === null || !dirent) return null
    const node = this.author.idOf(dirent.ino)
    const row = this.index.node(dirent.ino)
    const record = row?.record ?? this.record(node)
    if (!record) return null
    const bytes = this.index.meta(nameKeyOf(TABLE.entry, ino, nameKey))
    const note: EntryNote | null = bytes && JSON.parse(bytes.toString())
    const isCopy = note !== null && note.copyOf !== null
    return {
      name: Buffer.from(nameKey, 'latin1'),
      kind: record.kind,
      node,
      data: isCopy ? (record.data[0] ?? null) : this.shownData(node, record),
      standing: note?.standing ?? [{ node, link: dirent.link }],
      copyOf: note?.copyOf ?? null,
      stem: note === null || note.stem === null ? null : Buffer.from(note.stem, 'latin1')
    }
  }

  /** The version of a node's content that its names show. */
  shownData(node: NodeId, record: NodeRecord): DataVersion | null {
    if (record.data.length <= 1) return record.data[0] ?? null
    const shown = this.conflict(node)?.shown ?? null
    const version = shown && record.data.find(({ dot }) => sameDot(dot, shown))
    return version ?? dataWinner(record)
  }

  /** The content that a row shows. */
  contentOf(row: Row): DataVersion | null {
    const { record } = row
    if (record.data.length <= 1) return record.data[0] ?? null
    return this.shownData(this.author.idOf(row.ino), record)
  }

  /** The directory that another one's entries are shown under: nearly always itself. */
  hostOf(dir: NodeId): NodeId {
    return this.dir(dir)?.host ?? dir
  }

  /**
   * Whether an operation in a directory, or on it, has to see to conflicts first. A directory that
   * has no row is shown under another one.
   */
  isTangledDir(dir: Row | null): boolean {
    return this.#isShared && (dir === null || dir.isTangled || this.#displaced.size > 0)
  }

  /** Whether a change of a node, or of its names, has to see to conflicts first. */
  isTangled(row: Row): boolean {
    if (!this.#isShared) return false
    if (row.isTangled || row.isVirtual) return true
    if (row.ino === ROOT_INO) return false
    const { record } = row
    if (record.kind === 'dir') return this.#displaced.size > 0 || record.places.size > 1
    if (record.data.length > 1) return true
    return liveLinks(record).some(({ place }) => this.isTangledDir(this.rowOf(place.parent)))
  }

  #bytes(prefix: string, node: NodeId): Buffer | null {
    const ino = this.author.knownInoOf(node)
    return ino === null ? null : this.index.meta(prefix + ino)
  }
}

const NONE: Displaced = new Map()

function setHas(set: Set<NodeId>, node: NodeId, value: Buffer | null): void {
  if (value === null) set.delete(node)
  else set.add(node)
}

/** The bytes of a value in these tables. */
export function toJson(value: unknown): Buffer {
  return Buffer.from(JSON.stringify(value))
}

/** The bytes of who claims a name. */
export function encodeClaims(claims: readonly Standing[]): Buffer {
  return toJson(claims.map(({ node, link }) => [node, link]))
}

function decodeClaims(bytes: Buffer): Standing[] {
  const pairs: [string, string][] = JSON.parse(bytes.toString())
  return pairs.map(([node, link]) => ({ node: parseNodeId(node), link: toLinkId(link) }))
}
