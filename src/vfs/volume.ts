/**
 * What all parts of the filesystem share: the index, the journal, the data plane, the author; and
 * the one way to change anything: journal first, then index, then the caches above.
 */
import type { Clock } from '../base/clock.js'
import { FsError } from '../base/errors.js'
import type { Owner } from '../format/record.js'
import type { Author } from '../union/author.js'
import { encodeChanges, encodedLength, type Change } from '../union/changes.js'
import type { Index } from '../union/index-store.js'
import type { MergeTables } from '../union/merge-tables.js'
import { readSafe, type Row } from '../union/row.js'
import { Grafts } from './grafts.js'
import type { Journal } from './journal.js'
import type { LocalFiles } from './local-files.js'
import { ATTR, RANGES, type Binding, type DataPlane } from './plane.js'
import type { Tracker } from './tracker.js'

/**
 * First byte of a journal entry of JavaScript's. Changes that count only together are in a `first`,
 * any `middle` and a `last` entry, with no other of JavaScript's between them.
 */
export const META = { changes: 0, files: 1, first: 2, middle: 3, last: 4 } as const

/** Bytes of one journal entry of many changes: far below a segment's, whatever xattrs rows hold. */
const ENTRY_BYTES = 1024 * 1024

/** All that is known of a file whose bytes are not committed: the JSON of a `files` entry. */
export interface StatedFile {
  readonly ino: number
  readonly binding: Binding | null
  readonly size: number
  readonly baseEnd: number
  readonly timeNs: string
  /** ctime: rows that are older say nothing new of the mtime. */
  readonly changedNs: string
  readonly dirty: number[]
}

/** Who makes a request. */
export interface Caller {
  readonly uid: number
  readonly gid: number
}

/** How files show their owners. */
export interface Ownership {
  /** True: numeric ids are stored and shown; false: the mounting person's files are "self". */
  readonly numericIds: boolean
  /** Whoever mounts. */
  readonly uid: number
  readonly gid: number
}

/** The shared parts; see the file's head. */
export interface VolumeParts {
  readonly index: Index
  readonly journal: Journal
  readonly plane: DataPlane
  readonly files: LocalFiles
  readonly tracker: Tracker
  readonly author: Author
  /** What is known of conflicts, and of records that no name shows. */
  readonly tables: MergeTables
  readonly clock: Clock
  readonly ownership: Ownership
  /** Called when something became dirty, so that a commit gets scheduled. */
  readonly wake: () => void
  /** Sees all changes that were applied, before the commit that is to follow. */
  readonly watch: (changes: readonly Change[]) => void
}

/** @see VolumeParts */
export class Volume {
  /** Nodes without a name that are still open (unlinked, or made by O_TMPFILE). */
  readonly orphans = new Map<number, Row>()
  /** Where foreign drives are shown. */
  readonly grafts = new Grafts(this)
  readonly #scratch = Buffer.alloc(112)

  constructor(readonly parts: VolumeParts) {}

  /** The row of a node that is linked or still open. @throws {FsError} ENOENT (ESTALE to NFS) */
  row(ino: number): Row {
    const row = this.parts.index.node(ino) ?? this.orphans.get(ino)
    if (!row) throw new FsError('ENOENT', `inode ${ino} is gone`)
    return row
  }

  /** The row of a directory that is still linked. @throws {FsError} ENOENT, ENOTDIR */
  directory(ino: number): Row {
    const row = this.row(ino)
    if ((row.mode & 0o170000) !== 0o040000) throw new FsError('ENOTDIR')
    if (row.nlink === 0) throw new FsError('ENOENT', 'the directory was removed')
    return row
  }

  /** A row with the size and times that the data plane has by now. */
  current(ino: number): Row {
    const row = this.row(ino)
    if (!this.parts.plane.getInode(ino, this.#scratch)) return row
    return row.with({
      size: this.#scratch.readUIntLE(8, 6),
      mtimeNs: this.#scratch.readBigInt64LE(24),
      ctimeNs: this.#scratch.readBigInt64LE(32),
      allocated: this.#scratch.readUIntLE(88, 6)
    })
  }

  /** As `current`, and with how far the content map still counts: a cut may have shortened that. */
  shown(ino: number): Row {
    const row = this.current(ino)
    if (!this.parts.plane.getInode(ino, this.#scratch)) return row
    return row.with({ baseEnd: Math.min(row.baseEnd, readSafe(this.#scratch, 72)) })
  }

  /** Journals changes and applies them. They survive kill -9 when this returns. */
  apply(changes: readonly Change[]): void {
    if (changes.length === 0) return
    this.parts.journal.append(encodeChanges(changes, META.changes))
    this.#note(changes)
  }

  /**
   * Journals and applies any number of changes that count only together, however many entries they
   * take: after a crash all of them are there, or none.
   */
  applyAtOnce(changes: readonly Change[]): void {
    const { journal } = this.parts
    const entries = inEntries(changes)
    if (entries.length <= 1) {
      this.apply(changes)
      return
    }
    for (const [i, entry] of entries.entries()) {
      const isLast = i === entries.length - 1
      journal.append(encodeChanges(entry, i === 0 ? META.first : isLast ? META.last : META.middle))
    }
    this.#note(changes)
  }

  /**
   * Journals and applies any number of changes that need not survive together: each of them, and
   * any prefix, is a good state.
   */
  applyAll(changes: readonly Change[]): void {
    for (const entry of inEntries(changes)) this.apply(entry)
  }

  #note(changes: readonly Change[]): void {
    const { index, tracker, watch, wake } = this.parts
    index.apply(changes)
    tracker.note(changes)
    watch(changes)
    wake()
  }

  /**
   * Journals the whole local state of a file, and has it committed: for one whose earlier entries
   * do not count or may be gone.
   */
  stateFile(ino: number): void {
    const { journal, plane, files, tracker, clock, wake } = this.parts
    const { size, baseEnd, mtimeNs, ctimeNs } = this.shown(ino)
    const stated: StatedFile = {
      ino,
      binding: files.bindingOf(ino),
      size,
      baseEnd,
      timeNs: String(mtimeNs),
      changedNs: String(ctimeNs),
      dirty: [...plane.ranges(ino, RANGES.dirty)]
    }
    journal.append(Buffer.concat([Buffer.of(META.files), Buffer.from(JSON.stringify(stated))]))
    tracker.noteFile(ino, clock.monotonicMs())
    wake()
  }

  /** Changes a row that may be an orphan's, which is not in the index and needs no journal. */
  put(row: Row, local: boolean): void {
    if (row.nlink === 0 && row.ino !== 1) this.orphans.set(row.ino, row)
    else this.apply([{ kind: 'node', ino: row.ino, row, local }])
  }

  /** Gives a row's inode to the data plane. */
  show(row: Row): void {
    this.parts.plane.putInodes(this.statOf(row), 1)
  }

  /** Tells the data plane of changed attributes. */
  showAttr(row: Row, mask: number): void {
    this.parts.plane.setAttr(row.ino, mask, this.statOf(row))
  }

  /** Tells the data plane of a directory's new times and link count. */
  showDirectory(row: Row): void {
    this.showAttr(row, ATTR.mtime | ATTR.ctime | ATTR.nlink)
  }

  /** The packed inode of a row as it is shown: "self" is whoever mounts. */
  statOf(row: Row): Buffer {
    const { ownership } = this.parts
    if (!row.ownedBySelf || (row.uid === ownership.uid && row.gid === ownership.gid)) {
      return row.stat
    }
    const stat = Buffer.from(row.stat)
    stat.writeUInt32LE(ownership.uid, 56)
    stat.writeUInt32LE(ownership.gid, 60)
    return stat
  }

  /** How an owner is stored. */
  ownerOf(uid: number, gid: number): Owner {
    const { numericIds, uid: selfUid, gid: selfGid } = this.parts.ownership
    if (!numericIds && uid === selfUid && gid === selfGid) return { type: 'self' }
    return { type: 'ids', uid, gid }
  }
}

/** Changes as lists that each fit into a journal entry. */
function inEntries(changes: readonly Change[]): Change[][] {
  const entries: Change[][] = []
  let entry: Change[] = []
  let byteLength = 0
  for (const change of changes) {
    const length = encodedLength(change)
    if (byteLength + length > ENTRY_BYTES && entry.length > 0) {
      entries.push(entry)
      entry = []
      byteLength = 0
    }
    entry.push(change)
    byteLength += length
  }
  if (entry.length > 0) entries.push(entry)
  return entries
}
