/**
 * The journal's segments: JavaScript makes, recycles and reads them; the data plane appends.
 *
 * A segment is a preallocated file `<id>.seg` in the home's `journal/`. One is being written, one
 * lies ready as its successor, and those behind are kept until everything in them is both in the
 * Corestore and in the index. A finished segment becomes a spare again, so that the fdatasync of an
 * fsync has no new blocks to allocate. Entry numbers go on without a gap: a recycled segment's
 * stale entries are recognised because theirs do not follow.
 *
 * Layout (also in format/FORMAT.md): 64-byte header `PCFSJRNL`, u32 version, u32 header length,
 * u64 segment id, u64 first seq, u64 salt; then entries: u32 crc32c (seeded with the salt, over all
 * that follows, the zeros up to 8 too), u32 payload length, u64 seq, u8 type, 7 zero bytes,
 * payload, zeros up to 8.
 */
import {
  closeSync,
  fsyncSync,
  openSync,
  readSync,
  renameSync,
  unlinkSync,
  writeSync
} from 'node:fs'
import { existsSync, readFileSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { readSafe } from '../union/row.js'
import { syncDirectory } from './local-files.js'
import type { DataPlane } from './plane.js'

const MAGIC = 'PCFSJRNL'
const HEADER_BYTES = 64
const ENTRY_BYTES = 24
/** Bytes of a segment. */
const SEGMENT_BYTES = 16 * 1024 * 1024
/** Finished segments that are kept as spares. */
const SPARES = 2

/** Entry types. */
export const ENTRY = { write: 1, truncate: 2, zero: 3, meta: 4, mark: 5, bind: 6 } as const

/** One entry as read back. */
export interface JournalEntry {
  readonly seq: number
  readonly type: number
  /** A view into the segment's bytes. */
  readonly payload: Buffer
}

/** What reading the journal gave. */
export interface JournalContents {
  readonly entries: readonly JournalEntry[]
  /** The number that the next entry gets. */
  readonly nextSeq: number
  /** Bytes behind the last good entry that looked like a torn or damaged one. */
  readonly damaged: boolean
}

/** Reads and checks checksums; `daemon/` passes the native one. */
export type Crc32c = (bytes: Buffer, seed: number) => number

function segmentIds(directory: string): number[] {
  return readdirSync(directory)
    .filter((name) => /^\d+\.seg$/.test(name))
    .map((name) => Number.parseInt(name, 10))
    .sort((a, b) => a - b)
}

interface Scan {
  readonly entries: JournalEntry[]
  readonly firstSeq: number
  readonly nextSeq: number
  readonly damaged: boolean
}

/** Reads one segment's entries up to the first that is not good. */
function scanSegment(bytes: Buffer, atLeast: number, crc: Crc32c): Scan | null {
  if (bytes.length < HEADER_BYTES || bytes.toString('latin1', 0, 8) !== MAGIC) return null
  const first = readSafe(bytes, 24)
  if (first === 0 || first < atLeast) return null
  const seed = crc(bytes.subarray(32, 40), 0)
  const entries: JournalEntry[] = []
  let seq = first
  let at = HEADER_BYTES
  for (; at + ENTRY_BYTES <= bytes.length; seq++) {
    const length = bytes.readUInt32LE(at + 4)
    const end = at + ENTRY_BYTES + length
    const next = Math.ceil(end / 8) * 8
    if (readSafe(bytes, at + 8) !== seq || next > bytes.length) break
    if (crc(bytes.subarray(at + 4, next), seed) !== bytes.readUInt32LE(at)) {
      return { entries, firstSeq: first, nextSeq: seq, damaged: true }
    }
    const payload = bytes.subarray(at + ENTRY_BYTES, end)
    entries.push({ seq, type: bytes[at + 16] ?? 0, payload })
    at = next
  }
  return { entries, firstSeq: first, nextSeq: seq, damaged: false }
}

/**
 * Reads all entries that follow on each other without a gap.
 * @param directory the home's `journal/`
 * @param trustAll true when the machine has not lost power since (same boot id): every entry
 *   counts; false: only those up to the last mark, which are a consistent state
 */
export function readJournal(directory: string, trustAll: boolean, crc: Crc32c): JournalContents {
  let entries: JournalEntry[] = []
  let nextSeq = 0
  let damaged = false
  for (const id of segmentIds(directory)) {
    const scan = scanSegment(readFileSync(join(directory, `${id}.seg`)), nextSeq, crc)
    if (!scan) continue
    // A gap: what lies before it had been released, and its removal was not durable.
    if (scan.firstSeq > nextSeq) entries = []
    for (const entry of scan.entries) entries.push(entry)
    nextSeq = scan.nextSeq
    damaged ||= scan.damaged
    if (scan.damaged) break
  }
  const end = Math.max(nextSeq, 1)
  if (trustAll) return { entries, nextSeq: end, damaged }
  // A mark stands behind what was written while the files were being synced: what counts is the
  // sequence number that it covers, not its own place.
  const covered = entries.findLast((entry) => entry.type === ENTRY.mark)?.payload.readBigUInt64LE(0)
  const trusted = Math.max(Number(covered ?? 0n), readTrusted(directory))
  const kept = entries.filter((entry) => entry.seq <= trusted)
  return { entries: kept, nextSeq: end, damaged }
}

/** In the journal's directory: the last entry that a recovery has trusted. */
const TRUSTED_FILE = 'trusted'

function readTrusted(directory: string): number {
  const path = join(directory, TRUSTED_FILE)
  return existsSync(path) ? Number(readFileSync(path, 'utf8')) : 0
}

/**
 * Notes, durably, what a recovery from a power loss trusts: the mark that said so stands behind it
 * and is cut off, and the recovery itself may be interrupted.
 * @param seq the last trusted entry
 */
export function noteTrusted(directory: string, seq: number): void {
  const path = join(directory, TRUSTED_FILE)
  writeFileSync(`${path}.new`, String(seq), { mode: 0o600, flush: true })
  renameSync(`${path}.new`, path)
  syncDirectory(directory)
}

/**
 * Makes everything behind a given entry unreadable, durably, so that what recovery did not trust is
 * not trusted by a later recovery either.
 * @param lastSeq the last entry that stays; 0 keeps none
 */
export function cutJournal(directory: string, lastSeq: number, crc: Crc32c): void {
  for (const id of segmentIds(directory)) {
    const path = join(directory, `${id}.seg`)
    const bytes = readFileSync(path)
    const scan = scanSegment(bytes, 0, crc)
    if (!scan) continue
    if (scan.firstSeq > lastSeq) {
      // Nothing of it counts; its header would look like the end of a gap.
      unlinkSync(path)
      continue
    }
    if (scan.nextSeq - 1 <= lastSeq) continue
    const kept = scan.entries.filter((entry) => entry.seq <= lastSeq)
    if (kept.length === 0) {
      unlinkSync(path)
      continue
    }
    const last = kept.at(-1)?.payload
    const end = last ? last.byteOffset - bytes.byteOffset + last.length : HEADER_BYTES
    const fd = openSync(path, 'r+')
    writeSync(fd, Buffer.alloc(ENTRY_BYTES), 0, ENTRY_BYTES, Math.ceil(end / 8) * 8)
    fsyncSync(fd)
    closeSync(fd)
  }
  syncDirectory(directory)
}

/** The segments of a running journal; see the file's head. */
export class Journal {
  /** Oldest first; at the end those that lie ready. */
  #segments: number[] = []
  /** How many lie ready. */
  #spares = 0
  /** Finished files that wait to become spares. */
  #recycled: string[] = []
  /** Sequence number of the newest entry that JavaScript appended. */
  lastSeq = 0

  /**
   * @param directory the home's `journal/`; exists
   * @param plane appends to the segments
   */
  constructor(
    readonly directory: string,
    private readonly plane: Pick<DataPlane, 'journalOpen' | 'journalSpare' | 'journalAppend'>
  ) {}

  /**
   * Starts writing in a fresh segment behind those that are there.
   * @param nextSeq the number of the first entry
   * @param salt seeds the checksums
   * @throws {Error} ENOSPC
   */
  open(nextSeq: number, salt: bigint): void {
    this.#segments = segmentIds(this.directory)
    for (const name of readdirSync(this.directory)) {
      if (name.endsWith('.free')) unlinkSync(join(this.directory, name))
    }
    const id = (this.#segments.at(-1) ?? 0) + 1
    const fd = this.#prepare(id)
    this.#segments.push(id)
    this.plane.journalOpen({
      fd,
      segmentId: id,
      fileOffset: 0,
      limit: SEGMENT_BYTES,
      nextSeq,
      salt
    })
    this.lastSeq = nextSeq - 1
    this.addSpare()
  }

  /**
   * Appends an entry of JavaScript's; it survives kill -9 when this returns.
   * @returns its sequence number
   * @throws {Error} ENOSPC when the disk has no room for another segment
   */
  append(payload: Buffer): number {
    try {
      this.lastSeq = this.plane.journalAppend(payload, payload.length)
    } catch (error) {
      if (!(error instanceof Error && 'code' in error && error.code === 'EAGAIN')) throw error
      this.addSpare()
      this.lastSeq = this.plane.journalAppend(payload, payload.length)
    }
    return this.lastSeq
  }

  /** The spare was taken into use. */
  onSwitched(): void {
    this.#spares--
  }

  /**
   * Sees to it that a spare lies ready, so that the data plane need not refuse an entry.
   * @throws {Error} ENOSPC
   */
  ensureSpare(): void {
    if (this.#spares < 1) this.addSpare()
  }

  /** Readies another segment. @throws {Error} ENOSPC */
  addSpare(): void {
    const id = (this.#segments.at(-1) ?? 0) + 1
    const recycled = this.#recycled.pop()
    const path = this.#path(id)
    if (recycled) renameSync(recycled, path)
    const fd = recycled ? openSync(path, 'r+') : this.#prepare(id)
    syncDirectory(this.directory)
    this.#segments.push(id)
    this.plane.journalSpare(fd, id, SEGMENT_BYTES)
    this.#spares++
  }

  /**
   * Gives up the segments in which every entry is at or below a sequence number.
   * @param seq everything up to here is in the Corestore and in the index, durably
   */
  release(seq: number): void {
    while (this.#segments.length - this.#spares > 1) {
      const [oldest, next] = this.#segments
      if (oldest === undefined || next === undefined) return
      const nextFirst = this.#firstSeq(next)
      if (nextFirst === null || nextFirst > seq + 1) return
      this.#segments.shift()
      if (this.#recycled.length >= SPARES) {
        unlinkSync(this.#path(oldest))
        continue
      }
      const free = join(this.directory, `${oldest}.free`)
      renameSync(this.#path(oldest), free)
      this.#recycled.push(free)
    }
  }

  /** Segments that recovery has deleted. */
  forget(ids: readonly number[]): void {
    this.#segments = this.#segments.filter((id) => !ids.includes(id))
  }

  /** How many segments hold entries. */
  get segmentCount(): number {
    return this.#segments.length - this.#spares
  }

  #path(id: number): string {
    return join(this.directory, `${id}.seg`)
  }

  /** Written with zeros, not just allocated: converting unwritten extents would slow each fsync. */
  #prepare(id: number): number {
    const fd = openSync(this.#path(id), 'w+', 0o600)
    const zeros = Buffer.alloc(1024 * 1024)
    try {
      for (let at = 0; at < SEGMENT_BYTES;) at += writeSync(fd, zeros, 0, zeros.length, at)
    } catch (error) {
      // Half a segment would only keep the disk full.
      closeSync(fd)
      unlinkSync(this.#path(id))
      throw error
    }
    return fd
  }

  #firstSeq(id: number): number | null {
    const header = Buffer.alloc(HEADER_BYTES)
    const fd = openSync(this.#path(id), 'r')
    try {
      readSync(fd, header, 0, HEADER_BYTES, 0)
    } finally {
      closeSync(fd)
    }
    const first = readSafe(header, 24)
    return header.toString('latin1', 0, 8) === MAGIC && first > 0 ? first : null
  }
}
