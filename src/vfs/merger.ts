/**
 * Merged records into the tree: computes what they change, journals it as one state, applies it,
 * and tells the data plane and the kernel, so that a poll of a time, a fresh listing and an open
 * descriptor see it at once.
 */
import type { NodeChange } from '../format/merge-state.js'
import { computeDelta } from '../format/delta.js'
import { parseConflictName } from '../format/conflict-name.js'
import type { MergeOptions } from '../format/tree.js'
import type { NodeId } from '../format/ids.js'
import type { Change } from '../union/changes.js'
import { type BaseRow, type Merged, changesOf } from '../union/delta-changes.js'
import type { NameChange, RowChange } from '../union/delta-changes.js'
import { STAT_BYTES, type Row } from '../union/row.js'
import { withAftermath } from './aftermath.js'
import { ATTR } from './plane.js'
import type { Volume } from './volume.js'

const S_IFMT = 0o170000
const S_IFDIR = 0o040000
const S_IFREG = 0o100000
/** Native flag: take size, times and base of a packed inode although it is open for writing. */
const INODE_FORCE = 1

/** How changes of records are merged. */
export interface MergeRequest {
  /** This device wrote them: they are to be committed. */
  readonly isOwn: boolean
  /** Applied together with them: cursors and the like. */
  readonly beside?: readonly Change[]
  /** Rows of a commit that are not in the index yet. */
  readonly rows?: ReadonlyMap<number, BaseRow>
}

/** What changes of records will do. */
export interface Plan {
  readonly nodes: readonly NodeChange[]
  readonly merged: Merged
  readonly request: MergeRequest
}

/** See the file's head. Everything here is synchronous. */
export class Merger {
  /** Key of the own blobs core; set before anything is merged. */
  core = Buffer.alloc(0)
  readonly #scratch = Buffer.alloc(STAT_BYTES)

  constructor(
    readonly volume: Volume,
    readonly options: MergeOptions,
    /** Told of each conflict copy that appears under a name of its own. */
    readonly onConflict: () => void = () => undefined
  ) {}

  /** Journals what makes the inos of these nodes, and of where they are, known. */
  introduce(nodes: readonly NodeChange[]): void {
    const ids = new Set<NodeId>()
    for (const { node, before, after } of nodes) {
      ids.add(node)
      for (const record of [before, after]) {
        for (const versions of record?.places.values() ?? []) {
          for (const { parent, prev } of versions) ids.add(parent).add(prev?.parent ?? parent)
        }
      }
    }
    this.volume.apply(this.volume.parts.author.introduce(ids))
  }

  /** What changes of records will do. Nodes must have been introduced. */
  plan(nodes: readonly NodeChange[], request: MergeRequest): Plan {
    const { tables, plane } = this.volume.parts
    const delta = computeDelta(tables, nodes, this.options)
    const { isOwn, rows } = request
    const epochOf = (ino: number): number => (this.volume.orphans.get(ino)?.baseEpoch ?? 0) + 1
    const options = { isOwn, dataSeq: plane.lastSeq(), epochOf, ...(rows && { rows }) }
    return { nodes, merged: changesOf(tables, { nodes, delta }, options), request }
  }

  /**
   * Lets go what is held locally of contents that a plan replaces.
   * @returns false: a file has bytes, or reads under way, that stand against it
   */
  release({ merged, request }: Plan): boolean {
    const { tracker, files } = this.volume.parts
    if (request.isOwn) return true
    const replaced = merged.rows.filter((change) => isContentNew(change) || isBack(change))
    if (replaced.some(({ ino }) => tracker.hasFile(ino))) return false
    return replaced.every(({ ino }) => files.release(ino))
  }

  /** Journals a plan, applies and shows it. Nothing may have changed since it was made. */
  apply({ nodes, merged, request }: Plan): void {
    const { tables, index, author } = this.volume.parts
    const { isOwn, rows, beside = [] } = request
    const isCommitted = (ino: number): boolean => rows?.has(ino) === true
    const parts = { index, author, core: this.core }
    const own = { nodes, changes: merged.changes, isOwn, isCommitted }
    const changes = [...withAftermath(parts, own), ...beside]
    this.volume.applyAtOnce(changes)
    tables.note(changes)
    this.#show(merged, request)
  }

  /** Merges what this device wrote. */
  write(nodes: readonly NodeChange[], rows?: ReadonlyMap<number, BaseRow>): void {
    this.introduce(nodes)
    this.apply(this.plan(nodes, { isOwn: true, ...(rows && { rows }) }))
  }

  #show({ rows, names }: Merged, request: MergeRequest): void {
    for (const change of rows) {
      const { ino, after } = change
      if (after === null) {
        this.#showGone(change)
        continue
      }
      // What a commit has stored is what the file held, which may have been written to since.
      const isStored = request.rows?.get(ino)?.row.baseEpoch === after.baseEpoch
      this.#showRow(after, !request.isOwn && !isStored && isContentNew(change))
    }
    for (const change of names) this.#showName(change)
    if (names.some(isNewCopy)) this.onConflict()
  }

  #showRow(row: Row, isNew: boolean): void {
    const { plane } = this.volume.parts
    const { ino } = row
    const wasOrphan = this.volume.orphans.delete(ino)
    if (!plane.getInode(ino, this.#scratch)) return
    const stat = Buffer.from(this.volume.statOf(row))
    // Its local bytes were let go, so nothing was written to it since.
    if (isNew || wasOrphan) stat.writeUInt32LE(stat.readUInt32LE(68) | INODE_FORCE, 68)
    plane.putInodes(stat, 1)
    if (isNew || wasOrphan) plane.invalidateInode(ino, 0, 0)
    else plane.invalidateInode(ino, -1, 0)
  }

  /** A node that lost its last name here and may be open. */
  #showGone({ ino, before }: RowChange): void {
    const { plane, files, tracker } = this.volume.parts
    if (before === null) return
    if ((before.mode & S_IFMT) === S_IFDIR) plane.dropDir(ino)
    const row = this.volume.parts.plane.getInode(ino, this.#scratch) ? before : null
    if (row) {
      const gone = row.with({ nlink: 0 })
      this.volume.orphans.set(ino, gone)
      plane.setAttr(ino, ATTR.nlink, this.volume.statOf(gone))
      plane.invalidateInode(ino, -1, 0)
      return
    }
    tracker.forgetFile(ino)
    files.release(ino)
  }

  #showName({ parent, name, after }: NameChange): void {
    const { plane } = this.volume.parts
    const bytes = Buffer.from(name, 'latin1')
    if (after && plane.hasDir(parent)) plane.addDirent(parent, bytes, after.ino, after.dtype)
    else plane.removeDirent(parent, bytes)
    if (after && after.dtype === S_IFDIR >> 12) plane.setParent(after.ino, parent)
    plane.invalidateEntry(parent, bytes)
    this.volume.grafts.noteName(parent, name)
  }
}

/** Whether what a file holds is another content, or nothing any more. */
function isContentNew({ before, after }: RowChange): boolean {
  if (before === null || (before.mode & S_IFMT) !== S_IFREG) return false
  return after === null || after.baseEpoch !== before.baseEpoch || after.mtimeNs !== before.mtimeNs
}

/** Whether a name is one of a conflict copy and had nothing before. */
function isNewCopy({ before, after, name }: NameChange): boolean {
  return before === null && after !== null && parseConflictName(name) !== null
}

/** Whether a file comes back that may still be open. */
function isBack({ before, after }: RowChange): boolean {
  return before === null && after !== null && (after.mode & S_IFMT) === S_IFREG
}
