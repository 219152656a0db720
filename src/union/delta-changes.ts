/**
 * A delta of the merge (format/delta.ts) as changes of the index: rows, directory entries and the
 * tables of what is not plain. All of them are one state and are applied together.
 */
import type { Delta, NodeChange } from '../format/merge-state.js'
import { type NodeId, ROOT_ID, linkIdOf, sameDot } from '../format/ids.js'
import type { DataVersion, NodeRecord } from '../format/record.js'
import { encodeRecord } from '../format/record-codec.js'
import type { Entry } from '../format/tree.js'
import { dataWinner, isLive } from '../format/winner.js'
import type { Change, Dirent, Name } from './changes.js'
import { tableChanges } from './delta-tables.js'
import { type MergeTables, TABLE, nameKeyOf } from './merge-tables.js'
import { type Counts, TYPE_BITS, newRow, updatedRow } from './node-rows.js'
import { MARK, Row } from './row.js'

/** A name that shows something else. */
export interface NameChange {
  readonly parent: number
  readonly name: Name
  readonly before: Dirent | null
  readonly after: Dirent | null
}

/** A row that is another one. */
export interface RowChange {
  readonly ino: number
  readonly before: Row | null
  readonly after: Row | null
}

/** What is to be applied, and what of it can be seen. */
export interface Merged {
  readonly changes: readonly Change[]
  readonly names: readonly NameChange[]
  readonly rows: readonly RowChange[]
}

/** A row to go on from that is not in the index yet: of a commit. */
export interface BaseRow {
  readonly row: Row
  /** The version of the content that its fields are of. */
  readonly shown: DataVersion | null
}

/** How a delta is written. */
export interface WriteOptions {
  /** This device wrote the records: they, and the names they have, are to be committed. */
  readonly isOwn: boolean
  /** Journal entry up to which content that is replaced covers all writes. */
  readonly dataSeq: number
  readonly rows?: ReadonlyMap<number, BaseRow>
  /** The base epoch that a row which is new begins with: beyond what the data plane may know. */
  readonly epochOf?: (ino: number) => number
}

interface DirEdit {
  readonly node: NodeId
  entries: number
  subdirs: number
  touchedNs: bigint | null
}

/**
 * What writes a delta to the index.
 * @param tables as `delta` was computed from
 * @param nodes the records that changed
 */
export function changesOf(
  tables: MergeTables,
  { nodes, delta }: { readonly nodes: readonly NodeChange[]; readonly delta: Delta },
  options: WriteOptions
): Merged {
  return new DeltaWriter(tables, nodes, delta).write(options)
}

class DeltaWriter {
  readonly #after = new Map<NodeId, NodeRecord | null>()
  readonly #entries = new Map<string, { parent: number; name: Name; entry: Entry | null }>()
  readonly #names: NameChange[] = []
  /** By how much the number of names that show a node changes. */
  readonly #shown = new Map<NodeId, number>()
  readonly #dirs = new Map<number, DirEdit>()
  readonly #copies = new Map<NodeId, Entry>()
  readonly #asked = new Set<NodeId>()
  readonly #rows: RowChange[] = []
  readonly #changes: Change[] = []

  constructor(
    private readonly tables: MergeTables,
    private readonly nodes: readonly NodeChange[],
    private readonly delta: Delta
  ) {
    for (const { node, after } of nodes) this.#after.set(node, after)
  }

  write(options: WriteOptions): Merged {
    const { author } = this.tables
    for (const node of this.#after.keys()) this.#asked.add(node)
    for (const node of this.delta.dirs.keys()) this.#asked.add(node)
    for (const node of this.delta.conflicts.keys()) this.#asked.add(node)
    for (const { dir, nameKey, entry } of this.delta.entries) {
      const parent = author.inoOf(dir)
      this.#entries.set(`${parent}/${nameKey}`, { parent, name: nameKey, entry })
      if (entry !== null) this.#changes.push(...author.introduce([entry.node]))
    }
    for (const { parent, name, entry } of this.#entries.values()) this.#name(parent, name, entry)
    for (const node of this.#asked) this.#row(node, options)
    for (const { parent, name, before, after } of this.#names) {
      this.#changes.push({ kind: 'dirent', parent, name, dirent: after, local: true })
      if (before === null && after === null) throw new Error('a name without a change')
    }
    if (options.isOwn) this.#dirtyNames()
    const rows = new Map(this.#rows.map(({ ino, after }) => [ino, after]))
    const dirents = new Map(this.#names.map((each) => [`${each.parent}/${each.name}`, each.after]))
    this.#changes.push(...tableChanges(this.tables, this.delta, { rows, dirents }))
    return { changes: this.#changes, names: this.#names, rows: this.#rows }
  }

  #name(parent: number, name: Name, entry: Entry | null): void {
    const { index, author } = this.tables
    const before = index.dirent(parent, name)
    const after = entry && this.#direntOf(entry)
    this.#note(parent, name, { entry, after })
    if (entry !== null) {
      this.#asked.add(entry.node)
      if (entry.copyOf !== null) this.#copies.set(entry.node, entry)
    }
    if (before === null && after === null) return
    if (before && after && before.ino === after.ino) {
      if (before.link === after.link && before.dtype === after.dtype) return
    }
    this.#names.push({ parent, name, before, after })
    const dir = this.#dirOf(parent)
    const former = before && author.idOf(before.ino)
    for (const [dirent, step] of [
      [before, -1],
      [after, 1]
    ] as const) {
      if (!dirent) continue
      const node = step < 0 ? former : entry?.node
      if (!node) continue
      this.#asked.add(node)
      this.#shown.set(node, (this.#shown.get(node) ?? 0) + step)
      dir.entries += step
      if (dirent.dtype === TYPE_BITS.dir >> 12) dir.subdirs += step
      const atNs = this.#placedNs(node)
      if (dir.touchedNs === null || atNs > dir.touchedNs) dir.touchedNs = atNs
    }
  }

  /** When the latest of a changed node's places was made; 0: it did not change. */
  #placedNs(node: NodeId): bigint {
    let latest = 0n
    for (const versions of this.#after.get(node)?.places.values() ?? []) {
      for (const { atNs } of versions) if (atNs > latest) latest = atNs
    }
    return latest
  }

  #dirOf(ino: number): DirEdit {
    const known = this.#dirs.get(ino)
    if (known) return known
    const node = this.tables.author.idOf(ino)
    const edit: DirEdit = { node, entries: 0, subdirs: 0, touchedNs: null }
    this.#dirs.set(ino, edit)
    this.#asked.add(node)
    return edit
  }

  #direntOf({ node, kind, standing, data }: Entry): Dirent {
    const [first] = standing
    const dot = data?.dot
    const link = first?.link ?? (dot && linkIdOf(dot))
    if (link === undefined) throw new Error('an entry that nothing stands for')
    return { ino: this.tables.author.inoOf(node), dtype: TYPE_BITS[kind] >> 12, link }
  }

  /** What of an entry its row and directory entry do not say. */
  #note(
    parent: number,
    name: Name,
    { entry, after }: { entry: Entry | null; after: Dirent | null }
  ): void {
    const key = nameKeyOf(TABLE.entry, parent, name)
    const [first] = entry?.standing ?? []
    const isPlain =
      entry === null ||
      (entry.copyOf === null &&
        entry.stem === null &&
        entry.standing.length === 1 &&
        first?.node === entry.node &&
        first.link === after?.link)
    if (isPlain) {
      if (this.tables.index.meta(key)) this.#changes.push({ kind: 'meta', key, value: null })
      return
    }
    const stem = entry.stem?.toString('latin1') ?? null
    const note = { standing: entry.standing, copyOf: entry.copyOf, stem }
    this.#changes.push({ kind: 'meta', key, value: Buffer.from(JSON.stringify(note)) })
  }

  #recordOf(node: NodeId): NodeRecord | null {
    const changed = this.#after.get(node)
    return changed === undefined ? this.tables.record(node) : changed
  }

  #row(node: NodeId, options: WriteOptions): void {
    const { index, author } = this.tables
    const ino = author.inoOf(node)
    const before = index.node(ino)
    const record = this.#recordOf(node)
    const isOwn = options.isOwn && this.#after.has(node)
    const links = this.#linksBefore(node, before) + (this.#shown.get(node) ?? 0)
    const grave = TABLE.grave + ino
    if (links <= 0) {
      const value = record && encodeRecord(record)
      if (value || index.meta(grave)) this.#changes.push({ kind: 'meta', key: grave, value })
      if (before || isOwn) {
        this.#changes.push({ kind: 'node', ino, row: null, ...(!isOwn && { local: true }) })
      }
      if (before) this.#rows.push({ ino, before, after: null })
      return
    }
    if (index.meta(grave)) this.#changes.push({ kind: 'meta', key: grave, value: null })
    const after = this.#newRow(node, { before, record, links }, options)
    if (!after || (before?.bytes.equals(after.bytes) === true && !isOwn)) return
    this.#changes.push({ kind: 'node', ino, row: after, ...(!isOwn && { local: true }) })
    this.#rows.push({ ino, before, after })
  }

  #linksBefore(node: NodeId, row: Row | null): number {
    if (node === ROOT_ID) return 1
    if (row === null) return 0
    return (row.mode & 0o170000) === TYPE_BITS.dir ? 1 : row.nlink
  }

  #newRow(
    node: NodeId,
    {
      before,
      record: known,
      links
    }: { before: Row | null; record: NodeRecord | null; links: number },
    { rows, dataSeq, epochOf = () => 1 }: WriteOptions
  ): Row | null {
    const ino = this.tables.author.inoOf(node)
    const copy = known === null ? (this.#copies.get(node) ?? null) : null
    const record = known ?? (copy && this.#copyRecord(copy))
    // A copy that is shown as before.
    if (!record) return null
    const base = rows?.get(ino)
    const old = base?.row ?? before
    const edit = this.#dirs.get(ino)
    const counts = this.#countsOf(ino, { before, edit, links })
    const after = copy ? copy.data : this.#shownAfter(node, record)
    const marks = copy ? MARK.virtual : this.#isTangled(node, record) ? MARK.tangled : 0
    if (!old || old.record.kind !== record.kind) {
      const childAtNs = edit?.touchedNs ?? 0n
      const row = newRow(ino, record, { counts: { ...counts, childAtNs }, data: after })
      return row.with({ marks, baseEpoch: epochOf(ino), dataSeq })
    }
    const shown = { before: base ? base.shown : this.tables.contentOf(old), after }
    const touchedNs = edit?.touchedNs ?? null
    return updatedRow(old, { record, shown, counts, touchedNs, dataSeq }).with({ marks })
  }

  #countsOf(
    ino: number,
    { before, edit, links }: { before: Row | null; edit: DirEdit | undefined; links: number }
  ): Counts {
    let entries = before?.entries ?? 0
    let subdirs = before?.subdirs ?? 0
    if (!before && this.tables.claimCount(this.tables.author.idOf(ino)) > 0) {
      // It was not known as a directory, but names in it were.
      for (const { dtype } of this.tables.index.children(ino)) {
        entries++
        if (dtype === TYPE_BITS.dir >> 12) subdirs++
      }
    }
    entries += edit?.entries ?? 0
    subdirs += edit?.subdirs ?? 0
    return { links, entries, subdirs, childAtNs: 0n }
  }

  #isTangled(node: NodeId, record: NodeRecord): boolean {
    if (record.kind !== 'dir') return false
    const state = this.delta.dirs.get(node)
    const hasState = state === undefined ? this.tables.dir(node) !== null : state !== null
    return hasState || !isLive(record)
  }

  /** What names show of a node's content, after the batch. */
  #shownAfter(node: NodeId, record: NodeRecord): DataVersion | null {
    if (record.data.length <= 1) return record.data[0] ?? null
    const changed = this.delta.conflicts.get(node)
    const conflict = changed === undefined ? this.tables.conflict(node) : changed
    const dot = conflict?.shown ?? null
    return (dot && record.data.find((each) => sameDot(each.dot, dot))) ?? dataWinner(record)
  }

  /** What a row of a copy without a record shows. */
  #copyRecord({ copyOf, data }: Entry): NodeRecord | null {
    const origin = copyOf && this.#recordOf(copyOf)
    if (!origin || !data) return null
    return { ...origin, places: new Map(), data: [data], unknownSections: new Map() }
  }

  /** The names of own records are to be committed, wherever they are shown. */
  #dirtyNames(): void {
    const { index, author } = this.tables
    const shown = new Map(this.#names.map((each) => [`${each.parent}/${each.name}`, each.after]))
    const asked = new Set<string>()
    for (const { before, after } of this.nodes) {
      for (const record of [before, after]) {
        for (const versions of record?.places.values() ?? []) {
          for (const place of versions) {
            const parent = author.inoOf(place.parent)
            const name = place.name.toString('latin1')
            const key = `${parent}/${name}`
            if (asked.has(key)) continue
            asked.add(key)
            const changed = shown.get(key)
            const dirent = changed === undefined ? index.dirent(parent, name) : changed
            this.#changes.push({ kind: 'dirent', parent, name, dirent })
          }
        }
      }
    }
  }
}
