/** Brings rows and whole directories from the index into the data plane's tables. */
import { FsError } from '../base/errors.js'
import { shownState } from '../format/shown-state.js'
import { STAT_BYTES } from '../union/row.js'
import type { Child } from '../union/index-store.js'
import type { Volume } from './volume.js'

/** Inodes handed over in one call. */
const BATCH = 2048
/** Directories that are remembered as given; it only matters while others are being brought in. */
const LOADED_LIMIT = 100_000

/** See the file's head. */
export class Directories {
  /** Directories that were given as a whole; some may have been forgotten below since. */
  #loaded = new Set<number>()

  constructor(private readonly volume: Volume) {}

  /** Gives one node to the data plane. @throws {FsError} ENOENT */
  loadNode(ino: number): void {
    this.volume.show(this.volume.row(ino))
  }

  /**
   * Gives a directory, all its names and their inodes, to the data plane.
   * @throws {FsError} ENOENT, ENOTDIR
   */
  load(ino: number): void {
    const row = this.volume.row(ino)
    if ((row.mode & 0o170000) !== 0o040000) throw new FsError('ENOTDIR')
    const children = this.volume.parts.index.children(ino)
    this.#loadInodes(children)
    let bytes = 0
    for (const child of children) bytes += 10 + child.name.length
    const packed = Buffer.allocUnsafe(bytes)
    let at = 0
    for (const { ino: child, dtype, name } of children) {
      packed.writeUInt32LE(child % 0x1_0000_0000, at)
      packed.writeUInt32LE(Math.floor(child / 0x1_0000_0000), at + 4)
      packed[at + 8] = dtype
      packed[at + 9] = name.length
      packed.write(name, at + 10, 'latin1')
      at += 10 + name.length
    }
    this.volume.parts.plane.putDir(ino, packed, children.length, this.#parentOf(ino))
    this.volume.grafts.showIn(ino)
    if (this.#loaded.size < LOADED_LIMIT) this.#loaded.add(ino)
  }

  /** Takes back all directories: they are asked for again. */
  unload(): void {
    const { plane } = this.volume.parts
    for (const ino of this.#loaded) {
      plane.dropDir(ino)
      plane.invalidateInode(ino, 0, 0)
    }
    this.#loaded = new Set()
  }

  #loadInodes(children: readonly Child[]): void {
    const packed = Buffer.allocUnsafe(BATCH * STAT_BYTES)
    let count = 0
    for (const child of children) {
      const row = this.volume.parts.index.node(child.ino)
      if (!row) continue
      this.volume.statOf(row).copy(packed, count * STAT_BYTES)
      if (++count === BATCH) {
        this.volume.parts.plane.putInodes(packed, count)
        count = 0
      }
    }
    if (count > 0) this.volume.parts.plane.putInodes(packed, count)
  }

  /** The directory that holds this one; a removed directory is its own parent. */
  #parentOf(ino: number): number {
    const { tables, author } = this.volume.parts
    const shown = tables.isShared ? shownState(tables).placeOf(author.idOf(ino)) : null
    if (shown) return author.inoOf(shown.parent)
    const record = this.volume.row(ino).record
    for (const versions of record.places.values()) {
      const place = versions[0]
      if (place && !place.deleted) return author.inoOf(place.parent)
    }
    return ino
  }
}
