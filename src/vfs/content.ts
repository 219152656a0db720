/**
 * What the data plane could not do with a file's bytes by itself: make room for writes, fetch what
 * is not held locally, truncate, punch, seek.
 */
import { FsError } from '../base/errors.js'
import { BLOCK_BYTES, blocksOf } from '../format/content-map.js'
import { contentMapOf } from '../format/winner.js'
import { EMPTY_MAP, lookup } from '../format/content-map.js'
import { decodeMap } from '../format/map-codec.js'
import type { Row } from '../union/row.js'
import type { Attributes } from './attributes.js'
import { BackgroundReaders, type BackgroundParts } from './background-readers.js'
import type { ContentStore } from './content-store.js'
import { FILE_LIMIT } from './local-files.js'
import type { Volume } from './volume.js'

/** Modes of fallocate(2). */
const FALLOC = { keepSize: 1, punchHole: 2, zeroRange: 16 } as const
const SEEK_DATA = 3
const SEEK_HOLE = 4
/** Blocks fetched at once when a file is read in order. */
const READ_AHEAD_BLOCKS = 32
/** Longest time a read waits for blocks. */
const FETCH_DEADLINE_MS = 30_000
/** Files whose reading position is remembered. */
const POSITIONS = 1024

/** Keeps the room for writes; see `space.ts`. */
export interface WriteRoom {
  /** Makes room, evicting if it must. @throws {FsError} ENOSPC */
  ensure(bytes: number): void
}

/** The parts it works with. */
export interface ContentParts {
  readonly volume: Volume
  readonly attributes: Attributes
  readonly store: ContentStore
  readonly room: WriteRoom
  readonly background: Pick<BackgroundParts, 'limits' | 'nameOf' | 'alarms'>
  /** Tells the ingester that a file was cut while its freeze is being ingested. */
  readonly onTruncate: (ino: number, size: number) => void
}

/** See the file's head. */
export class Content {
  /** Blocks that are on their way, by `ino:block`. */
  readonly #fetching = new Map<string, Promise<void>>()
  /** Where the last fetch of a file ended: the next one there is a reader going on in order. */
  readonly #positions = new Map<number, number>()

  readonly #background: BackgroundReaders

  constructor(private readonly parts: ContentParts) {
    const { clock, tracker, files } = parts.volume.parts
    this.#background = new BackgroundReaders({
      ...parts.background,
      clock,
      release: (ino) =>
        !tracker.hasFile(ino) && !parts.volume.orphans.has(ino) && files.release(ino)
    })
  }

  /** Nothing is let go by itself any more. */
  close(): void {
    this.#background.close()
  }

  /**
   * Prepares a write that the data plane could not place; it is to be resumed afterwards.
   * @param fileOffset null: behind the end, where that is when the write is resumed
   * @param killSuidGid the writer may not keep set-id bits
   * @throws {FsError} ENOSPC, EFBIG
   */
  prepareWrite(ino: number, fileOffset: number | null, length: number, killSuidGid: boolean): void {
    const end = (fileOffset ?? this.parts.volume.current(ino).size) + length
    if (end > FILE_LIMIT) throw new FsError('EFBIG')
    if (killSuidGid) this.parts.attributes.set(ino, { killSuidGid: true })
    this.parts.room.ensure(length)
    this.parts.volume.parts.journal.ensureSpare()
    this.parts.volume.parts.files.ensure(ino, end)
  }

  /**
   * A new file was made to be written: a place for its first bytes now saves the first write a way
   * through here. Only a place in a file that is open already, so it can not fail for want of room.
   */
  expectWrite(ino: number): void {
    this.parts.volume.parts.files.reserve(ino)
  }

  /**
   * Brings the bytes of a range into the file's local file; the read is to be resumed afterwards.
   * @param pid the process that reads
   * @throws {FsError} EIO naming the block, ETIMEDOUT
   */
  async prepareRead(
    ino: number,
    { fileOffset, length }: { readonly fileOffset: number; readonly length: number },
    pid: number
  ): Promise<void> {
    const { volume } = this.parts
    const row = volume.row(ino)
    const end = Math.min(fileOffset + length, row.baseEnd)
    if (end <= fileOffset) return
    this.parts.room.ensure(0)
    volume.parts.files.ensure(ino, row.size)
    const first = Math.floor(fileOffset / BLOCK_BYTES)
    const wanted = blocksOf(end)
    const reader = this.#background.nameOf(pid)
    if (reader !== null && (await this.#admit(reader, row, { first, wanted }))) return
    this.#background.keep(ino)
    const inOrder = this.#positions.get(ino) === first || first === 0
    const last = inOrder
      ? Math.min(blocksOf(row.baseEnd), Math.max(wanted, first + READ_AHEAD_BLOCKS))
      : wanted
    this.#remember(ino, last)
    await this.#fetch(row, first, last)
  }

  /**
   * Reads for a background reader, where what it wants is not here.
   * @returns false: all of it is here
   */
  async #admit(
    reader: string,
    row: Row,
    { first, wanted }: { readonly first: number; readonly wanted: number }
  ): Promise<boolean> {
    const { store } = this.parts
    const map = contentMapOf(this.parts.volume.parts.tables.contentOf(row))
    const cold = map ? await store.coldBlocks(map, first, wanted - first) : 0
    if (cold === 0) return false
    this.#background.admit(reader, cold * BLOCK_BYTES)
    await this.#fetch(row, first, wanted)
    this.#background.noteRead(row.ino)
    return true
  }

  /** Sets a file's size. @throws {FsError} EFBIG, EINVAL (no file) */
  truncate(ino: number, size: number): void {
    if (size > FILE_LIMIT) throw new FsError('EFBIG')
    const { volume } = this.parts
    const row = volume.row(ino)
    if ((row.mode & 0o170000) !== 0o100000) throw new FsError('EINVAL')
    // The size is kept below until it is committed; a file without local bytes would be forgotten.
    volume.parts.files.ensure(ino, 0)
    volume.parts.journal.ensureSpare()
    volume.parts.plane.truncate(ino, size, volume.parts.clock.nowNs())
    this.#changed(ino, size)
  }

  /**
   * fallocate(2): room is not reserved beyond what the disk has now.
   * @throws {FsError} EOPNOTSUPP (collapse, insert, unshare), ENOSPC, EFBIG
   */
  allocate(ino: number, mode: number, fileOffset: number, length: number): void {
    const end = fileOffset + length
    if (end > FILE_LIMIT) throw new FsError('EFBIG')
    const { volume, room } = this.parts
    const { plane, files, clock } = volume.parts
    const size = volume.current(ino).size
    if (mode === 0 || mode === FALLOC.keepSize) {
      room.ensure(length)
      if (mode === 0 && end > size) this.truncate(ino, end)
      return
    }
    const zeroes = (mode & ~FALLOC.keepSize) === FALLOC.zeroRange
    const punches = mode === (FALLOC.punchHole | FALLOC.keepSize)
    if (!zeroes && !punches) throw new FsError('EOPNOTSUPP')
    const grows = zeroes && !(mode & FALLOC.keepSize)
    const zeroEnd = grows ? end : Math.min(end, size)
    if (zeroEnd > fileOffset) {
      volume.parts.journal.ensureSpare()
      files.ensure(ino, zeroEnd)
      const newSize = grows ? Math.max(size, end) : size
      plane.zeroRange(ino, fileOffset, zeroEnd - fileOffset, newSize, clock.nowNs())
      this.#changed(ino, null)
    }
  }

  /**
   * lseek(2) with SEEK_DATA or SEEK_HOLE.
   * @throws {FsError} ENXIO behind the end, or no data behind the offset; EINVAL
   */
  seek(ino: number, fileOffset: number, whence: number): number {
    if (whence !== SEEK_DATA && whence !== SEEK_HOLE) throw new FsError('EINVAL')
    const row = this.parts.volume.shown(ino)
    if (fileOffset >= row.size) throw new FsError('ENXIO')
    let at = fileOffset
    while (at < row.size) {
      const piece = this.#pieceAt(row, at)
      if (piece.data === (whence === SEEK_DATA)) return at
      at = piece.end
    }
    if (whence === SEEK_DATA) throw new FsError('ENXIO')
    return row.size
  }

  /** Forgets what is remembered of a node. */
  forget(ino: number): void {
    this.#positions.delete(ino)
  }

  /** What lies at a file offset, and how far it goes on. */
  #pieceAt(row: Row, fileOffset: number): { readonly data: boolean; readonly end: number } {
    const local = this.parts.volume.parts.plane.nextLocal(row.ino, fileOffset)
    if (local && local.start <= fileOffset) return { data: !local.hole, end: local.end }
    const limit = Math.min(local?.start ?? row.size, row.size)
    if (fileOffset >= row.baseEnd) return { data: false, end: limit }
    const bytes = contentMapOf(this.parts.volume.parts.tables.contentOf(row))
    const map = bytes ? decodeMap(bytes) : EMPTY_MAP
    const block = Math.floor(fileOffset / BLOCK_BYTES)
    const [segment] = lookup(map, block, blocksOf(row.baseEnd))
    if (!segment) return { data: false, end: limit }
    const segmentEnd = (segment.fileBlock + segment.count) * BLOCK_BYTES
    return { data: segment.type !== 'hole', end: Math.min(segmentEnd, limit) }
  }

  #changed(ino: number, cutTo: number | null): void {
    const { volume, onTruncate } = this.parts
    if (cutTo !== null) onTruncate(ino, cutTo)
    if (volume.orphans.has(ino)) return
    volume.parts.tracker.noteFile(ino, volume.parts.clock.monotonicMs())
    volume.parts.wake()
  }

  #remember(ino: number, block: number): void {
    if (this.#positions.size >= POSITIONS) this.#positions.clear()
    this.#positions.set(ino, block)
  }

  async #fetch(row: Row, first: number, last: number): Promise<void> {
    const waits: Promise<void>[] = []
    for (let block = first; block < last;) {
      const pending = this.#fetching.get(`${row.ino}:${block}`)
      if (pending) {
        waits.push(pending)
        block++
        continue
      }
      let end = block + 1
      while (end < last && !this.#fetching.has(`${row.ino}:${end}`)) end++
      waits.push(this.#start(row, block, end))
      block = end
    }
    await Promise.all(waits)
  }

  #start(row: Row, first: number, last: number): Promise<void> {
    const done = this.#request(row, first, last).finally(() => {
      for (let block = first; block < last; block++) this.#fetching.delete(`${row.ino}:${block}`)
    })
    for (let block = first; block < last; block++) this.#fetching.set(`${row.ino}:${block}`, done)
    return done
  }

  async #request(row: Row, first: number, last: number): Promise<void> {
    const map = contentMapOf(this.parts.volume.parts.tables.contentOf(row))
    if (!map) throw new FsError('EIO', `inode ${row.ino} has no content map below ${row.baseEnd}`)
    await this.parts.store.fetch(
      { ino: row.ino, map, baseEpoch: row.baseEpoch, fileBlock: first, count: last - first },
      AbortSignal.timeout(FETCH_DEADLINE_MS)
    )
  }
}
