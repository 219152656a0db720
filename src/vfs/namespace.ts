/**
 * Operations on names: make, remove, rename, link. The kernel has checked permissions, types and
 * loops before it asks (`default_permissions`, and its own locks on the directories).
 */
import { FsError } from '../base/errors.js'
import { withPlace, withoutPlace, type Write } from '../format/edit.js'
import { EMPTY_MAP } from '../format/content-map.js'
import { linkIdOf } from '../format/ids.js'
import { encodeMap } from '../format/map-codec.js'
import { encodeRecord } from '../format/record-codec.js'
import type { Place } from '../format/record.js'
import type { Change, Dirent, Name } from '../union/changes.js'
import { TABLE } from '../union/merge-tables.js'
import type { Row } from '../union/row.js'
import { contentMapOf, dataWinner } from '../format/winner.js'
import { deadKey } from './aftermath.js'
import type { Merger } from './merger.js'
import { type NewNode, newNodeRow } from './new-node.js'
import { ATTR } from './plane.js'
import type { Space } from './space.js'
import { TangledNames } from './tangled-names.js'
import type { Caller, Volume } from './volume.js'

/** Longest name, bytes (NAME_MAX). */
const NAME_MAX = 255
const S_IFMT = 0o170000
const S_IFDIR = 0o040000
const EMPTY_MAP_BYTES = encodeMap(EMPTY_MAP)

/** Flags of renameat2(2). */
const RENAME = { noReplace: 1, exchange: 2, whiteout: 4 } as const

/** A name in a directory. */
export interface At {
  readonly parent: number
  readonly name: Name
}

/** How much a directory's counts change. */
interface Delta {
  readonly entries: number
  readonly subdirs: number
}

interface Victim {
  readonly row: Row
  readonly dirent: Dirent
}

function isDirectory(row: Row): boolean {
  return (row.mode & S_IFMT) === S_IFDIR
}

function checkName(name: Name): void {
  if (name.length > NAME_MAX) throw new FsError('ENAMETOOLONG', 'a name has at most 255 bytes')
}

/** `DT_*` of a mode. */
export function dtypeOf(mode: number): number {
  return (mode & S_IFMT) >> 12
}

/** The bytes of a name. */
export function nameBytes(name: Name): Buffer {
  return Buffer.from(name, 'latin1')
}

/** See the file's head. */
export class Namespace {
  readonly #tangled: TangledNames

  constructor(
    private readonly volume: Volume,
    private readonly room: Pick<Space, 'ensureNode'>,
    merger: Merger
  ) {
    this.#tangled = new TangledNames(merger)
  }

  /** The node that a name stands for, or null. @throws {FsError} ENOENT, ENOTDIR, ENAMETOOLONG */
  lookup(at: At): number | null {
    checkName(at.name)
    return this.volume.parts.index.dirent(at.parent, at.name)?.ino ?? null
  }

  /**
   * Makes a node with a name.
   * @returns its ino; the data plane knows it
   * @throws {FsError} EEXIST, ENOENT, ENOTDIR, ENAMETOOLONG, ENOSPC
   */
  make(at: At, node: NewNode, caller: Caller): number {
    checkName(at.name)
    const { author, index } = this.volume.parts
    const dir = this.volume.directory(at.parent)
    if (index.dirent(at.parent, at.name)) throw new FsError('EEXIST')
    this.room.ensureNode()
    if (this.#isTangled(dir)) return this.#tangled.make(at, node, { dir, caller })
    const reserved = author.reserve(1)
    const write = author.write()
    const row = newNodeRow(this.volume, { node, dir, caller, place: this.#placeOf(at) }, write)
    const isDir = isDirectory(row)
    const link = linkIdOf(write)
    const parent = this.#touched(dir, { entries: 1, subdirs: isDir ? 1 : 0 }, write.atNs)
    const dirent: Dirent = { ino: row.ino, dtype: dtypeOf(node.mode), link }
    this.volume.apply([
      ...reserved,
      { kind: 'node', ino: row.ino, row },
      { kind: 'dirent', ...at, dirent },
      { kind: 'node', ino: dir.ino, row: parent, local: true }
    ])
    this.volume.show(row)
    if (isDir) this.volume.parts.plane.putDir(row.ino, Buffer.alloc(0), 0, at.parent)
    this.#showDirent(at, dirent)
    this.volume.showDirectory(parent)
    return row.ino
  }

  /** Makes a file without a name (O_TMPFILE); `link` may give it one later. */
  makeUnnamed(parent: number, mode: number, caller: Caller): number {
    const { author } = this.volume.parts
    const dir = this.volume.directory(parent)
    this.room.ensureNode()
    const reserved = author.reserve(1)
    if (reserved.length > 0) this.volume.apply(reserved)
    const made = { node: { mode }, dir, caller, place: null }
    const row = newNodeRow(this.volume, made, author.write())
    const unnamed = row.with({ nlink: 0 })
    this.volume.orphans.set(row.ino, unnamed)
    this.volume.show(unnamed)
    return row.ino
  }

  /** Removes a name that is no directory's. @throws {FsError} ENOENT, EISDIR */
  unlink(at: At): void {
    const victim = this.#victim(at)
    if (isDirectory(victim.row)) throw new FsError('EISDIR')
    this.#remove(at, victim)
  }

  /** Removes an empty directory. @throws {FsError} ENOENT, ENOTDIR, ENOTEMPTY */
  rmdir(at: At): void {
    const victim = this.#victim(at)
    if (!isDirectory(victim.row)) throw new FsError('ENOTDIR')
    if (victim.row.entries > 0) throw new FsError('ENOTEMPTY')
    this.#remove(at, victim)
  }

  /** Gives a node another name. @throws {FsError} EEXIST, ENOENT, EPERM (a directory), ENOSPC */
  link(ino: number, at: At): void {
    checkName(at.name)
    const { author, index } = this.volume.parts
    const dir = this.volume.directory(at.parent)
    if (index.dirent(at.parent, at.name)) throw new FsError('EEXIST')
    this.room.ensureNode()
    const old = this.volume.current(ino)
    if (isDirectory(old)) throw new FsError('EPERM')
    if (this.#isTangled(dir, old)) {
      this.#tangled.link(old, at)
      return
    }
    const reserved = author.reserve(0)
    const write = author.write()
    const record = withPlace(old.record, null, this.#placeOf(at), write)
    const row = old.with({ nlink: old.nlink + 1, ctimeNs: write.atNs }, record)
    const parent = this.#touched(dir, { entries: 1, subdirs: 0 }, write.atNs)
    const dirent: Dirent = { ino, dtype: dtypeOf(old.mode), link: linkIdOf(write) }
    const wasUnnamed = this.volume.orphans.delete(ino)
    this.volume.apply([
      ...reserved,
      { kind: 'node', ino, row },
      { kind: 'dirent', ...at, dirent },
      { kind: 'node', ino: dir.ino, row: parent, local: true }
    ])
    if (wasUnnamed) this.volume.stateFile(ino)
    this.volume.showAttr(row, ATTR.nlink | ATTR.ctime)
    this.#showDirent(at, dirent)
    this.volume.showDirectory(parent)
  }

  /**
   * Renames, as renameat2(2). One record changes, however much lies below a directory.
   * @param flags RENAME_NOREPLACE or RENAME_EXCHANGE
   * @throws {FsError} ENOENT, EEXIST, ENOTEMPTY, EISDIR, ENOTDIR, EINVAL (other flags)
   */
  rename(from: At, to: At, flags: number): void {
    checkName(to.name)
    if (flags & ~(RENAME.noReplace | RENAME.exchange)) throw new FsError('EINVAL')
    const moved = this.#victim(from)
    const target = this.volume.parts.index.dirent(to.parent, to.name)
    if (target && flags & RENAME.noReplace) throw new FsError('EEXIST')
    if (target?.ino === moved.row.ino) return
    const isExchange = (flags & RENAME.exchange) !== 0
    const replaced = target || isExchange ? this.#victim(to) : null
    if (replaced && !isExchange) this.#checkReplace(moved.row, replaced.row)
    const parents = [this.volume.directory(from.parent), this.volume.directory(to.parent)]
    if (this.#isTangled(...parents, moved.row, ...(replaced ? [replaced.row] : []))) {
      this.#tangled.rename(from, to, isExchange)
      return
    }
    if (isExchange) {
      this.#exchange(from, to, moved)
      return
    }
    this.#move(from, to, moved, replaced)
  }

  #checkReplace(moved: Row, replaced: Row): void {
    if (isDirectory(moved) && !isDirectory(replaced)) throw new FsError('ENOTDIR')
    if (!isDirectory(moved) && isDirectory(replaced)) throw new FsError('EISDIR')
    if (replaced.entries > 0) throw new FsError('ENOTEMPTY')
  }

  #move(from: At, to: At, moved: Victim, replaced: Victim | null): void {
    const { author } = this.volume.parts
    const changes = author.reserve(0)
    const write = author.write()
    const row = this.#placed(moved, to, write)
    const gone = replaced && this.#unlinked(replaced, write)
    const isDir = isDirectory(row)
    const subdirs = isDir ? 1 : 0
    const replacedEntries = replaced ? 1 : 0
    const replacedSubdirs = replaced && isDirectory(replaced.row) ? 1 : 0
    const arrive = { entries: 1 - replacedEntries, subdirs: subdirs - replacedSubdirs }
    const parents: Row[] = []
    if (from.parent === to.parent) {
      const delta = { entries: -replacedEntries, subdirs: -replacedSubdirs }
      parents.push(this.#touched(this.volume.directory(from.parent), delta, write.atNs))
    } else {
      const leave = { entries: -1, subdirs: -subdirs }
      parents.push(this.#touched(this.volume.directory(from.parent), leave, write.atNs))
      parents.push(this.#touched(this.volume.directory(to.parent), arrive, write.atNs))
    }
    if (gone) changes.push(...this.#goneChanges(gone))
    changes.push({ kind: 'node', ino: row.ino, row })
    changes.push({ kind: 'dirent', ...from, dirent: null })
    changes.push({ kind: 'dirent', ...to, dirent: moved.dirent })
    for (const dir of parents) changes.push({ kind: 'node', ino: dir.ino, row: dir, local: true })
    this.volume.apply(changes)
    if (gone) this.#showGone(gone)
    this.#hideDirent(from)
    this.#showDirent(to, moved.dirent)
    this.volume.showAttr(row, ATTR.ctime)
    if (isDir) this.volume.parts.plane.setParent(row.ino, to.parent)
    for (const dir of parents) this.volume.showDirectory(dir)
  }

  #exchange(from: At, to: At, moved: Victim): void {
    const { author, plane } = this.volume.parts
    const other = this.#victim(to)
    const changes = author.reserve(0)
    const write = author.write()
    const rows = [this.#placed(moved, to, write), this.#placed(other, from, author.write())]
    const shift =
      from.parent === to.parent
        ? 0
        : (isDirectory(other.row) ? 1 : 0) - (isDirectory(moved.row) ? 1 : 0)
    const parents = [
      this.#touched(this.volume.directory(from.parent), { entries: 0, subdirs: shift }, write.atNs)
    ]
    if (from.parent !== to.parent) {
      const delta = { entries: 0, subdirs: -shift }
      parents.push(this.#touched(this.volume.directory(to.parent), delta, write.atNs))
    }
    for (const row of rows) changes.push({ kind: 'node', ino: row.ino, row })
    changes.push({ kind: 'dirent', ...to, dirent: moved.dirent })
    changes.push({ kind: 'dirent', ...from, dirent: other.dirent })
    for (const dir of parents) changes.push({ kind: 'node', ino: dir.ino, row: dir, local: true })
    this.volume.apply(changes)
    this.#showDirent(to, moved.dirent)
    this.#showDirent(from, other.dirent)
    for (const row of rows) this.volume.showAttr(row, ATTR.ctime)
    if (isDirectory(moved.row)) plane.setParent(moved.row.ino, to.parent)
    if (isDirectory(other.row)) plane.setParent(other.row.ino, from.parent)
    for (const dir of parents) this.volume.showDirectory(dir)
  }

  #remove(at: At, victim: Victim): void {
    const { author } = this.volume.parts
    const dir = this.volume.directory(at.parent)
    if (this.#isTangled(dir, victim.row)) {
      this.#tangled.remove(at)
      return
    }
    const reserved = author.reserve(0)
    const write = author.write()
    const gone = this.#unlinked(victim, write)
    const subdirs = isDirectory(victim.row) ? -1 : 0
    const parent = this.#touched(dir, { entries: -1, subdirs }, write.atNs)
    this.volume.apply([
      ...reserved,
      ...this.#goneChanges(gone),
      { kind: 'dirent', ...at, dirent: null },
      { kind: 'node', ino: dir.ino, row: parent, local: true }
    ])
    this.#showGone(gone)
    this.#hideDirent(at)
    this.volume.showDirectory(parent)
  }

  #victim(at: At): Victim {
    checkName(at.name)
    const dirent = this.volume.parts.index.dirent(at.parent, at.name)
    if (!dirent) throw new FsError('ENOENT')
    return { dirent, row: this.volume.current(dirent.ino) }
  }

  #placeOf(at: At): Place {
    return { parent: this.volume.parts.author.idOf(at.parent), name: nameBytes(at.name) }
  }

  /** A directory after a change of its entries. */
  #touched(dir: Row, delta: Delta, atNs: bigint): Row {
    const subdirs = dir.subdirs + delta.subdirs
    return dir.with({
      subdirs,
      entries: dir.entries + delta.entries,
      nlink: 2 + subdirs,
      mtimeNs: atNs,
      ctimeNs: atNs,
      childAtNs: atNs
    })
  }

  #placed(moved: Victim, to: At, write: Write): Row {
    const record = withPlace(moved.row.record, moved.dirent.link, this.#placeOf(to), write)
    return moved.row.with({ ctimeNs: write.atNs }, record)
  }

  /** A node with one link less; nlink 0 = it has no name any more. */
  #unlinked(victim: Victim, write: Write): Row {
    const { row, dirent } = victim
    const nlink = isDirectory(row) ? 0 : row.nlink - 1
    // Where nobody else can have merged the node, nothing of it has to stay.
    if (nlink === 0 && !this.volume.parts.tables.isShared)
      return row.with({ nlink, ctimeNs: write.atNs })
    const record = withoutPlace(row.record, dirent.link, write)
    return row.with({ nlink, ctimeNs: write.atNs }, record)
  }

  /** The node without the link; of a last link also the note that its blocks are free. */
  #goneChanges(gone: Row): Change[] {
    const { ino } = gone
    if (gone.nlink > 0) return [{ kind: 'node', ino, row: gone }]
    // Whatever its size is now: a map lists the blocks of the last commit.
    const map = contentMapOf(dataWinner(gone.record))
    const changes: Change[] = [{ kind: 'node', ino, row: null }]
    if (this.volume.parts.tables.isShared) {
      changes.push({ kind: 'meta', key: TABLE.grave + ino, value: encodeRecord(gone.record) })
    }
    if (map && !map.equals(EMPTY_MAP_BYTES)) {
      changes.push({ kind: 'meta', key: deadKey(ino), value: map })
    }
    return changes
  }

  /** Whether one of these directories or nodes has to do with a conflict. */
  #isTangled(...rows: readonly Row[]): boolean {
    const { tables } = this.volume.parts
    if (!tables.isShared) return false
    return rows.some((row) => (isDirectory(row) ? tables.isTangledDir(row) : tables.isTangled(row)))
  }

  #showGone(gone: Row): void {
    if (gone.nlink === 0) this.volume.orphans.set(gone.ino, gone)
    this.volume.showAttr(gone, ATTR.nlink | ATTR.ctime)
  }

  #showDirent(at: At, dirent: Dirent): void {
    this.volume.parts.plane.addDirent(at.parent, nameBytes(at.name), dirent.ino, dirent.dtype)
    this.volume.grafts.noteName(at.parent, at.name)
  }

  #hideDirent(at: At): void {
    this.volume.parts.plane.removeDirent(at.parent, nameBytes(at.name))
    this.volume.grafts.noteName(at.parent, at.name)
  }
}
