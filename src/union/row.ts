/**
 * One row of the index: what this device knows of a node, as one buffer.
 *
 * A row begins with the very bytes that the native inode table takes (so that listing 10,000
 * entries decodes nothing), goes on with local facts that no record carries, and ends with the
 * node's merged record. Rows are immutable: a change makes a new one.
 *
 * ```
 *   0  u64 ino                48  u32 mode      72  u64 baseEnd
 *   8  u64 size               52  u32 nlink     80  u64 baseEpoch
 *  16  i64 atime, ns          56  u32 uid       88  u64 allocated bytes
 *  24  i64 mtime, ns          60  u32 gid       96  16 zero bytes
 *  32  i64 ctime, ns          64  u32 rdev     112  u32 subdirectories, 116 u32 entries
 *  40  i64 btime, ns          68  u32 flags    120  i64 last change of a child, ns
 *                                              128  u64 dataSeq, 136 u32 1 = owner is "self"
 *                                              140  u32 marks, 144 the record
 * ```
 */
import { decodeRecord, encodeRecord } from '../format/record-codec.js'
import type { NodeRecord } from '../format/record.js'

/** Bytes of the part that is shared with the native inode table. */
export const STAT_BYTES = 112
const HEAD_BYTES = 144

/** The fields of a row that a change may set; times in nanoseconds since 1970. */
export interface RowFields {
  readonly ino: number
  readonly size: number
  readonly atimeNs: bigint
  readonly mtimeNs: bigint
  readonly ctimeNs: bigint
  readonly btimeNs: bigint
  readonly mode: number
  readonly nlink: number
  readonly uid: number
  readonly gid: number
  readonly rdev: number
  /** What the native inode table wants to know; 2 = no extended attributes. */
  readonly flags: number
  /** Content at or beyond this file offset that is not held locally reads as zeros. */
  readonly baseEnd: number
  /** Counts the changes of the content map, so that a late fetch of the old one is refused. */
  readonly baseEpoch: number
  /** Bytes that the content takes, holes left out; shown as `st_blocks`. */
  readonly allocated: number
  readonly subdirs: number
  readonly entries: number
  /** When a child was last added, removed or renamed; 0 = never since the last explicit mtime. */
  readonly childAtNs: bigint
  /** The journal's sequence number up to which the record's content map covers all writes. */
  readonly dataSeq: number
  /** 1: owned by whoever mounts; `uid` and `gid` are what that was when the row was made. */
  readonly ownedBySelf: number
  /** Bits of {@link MARK}. */
  readonly marks: number
}

/** What an operation has to know before it takes the short way. */
export const MARK = {
  /** A directory that has to do with a conflict, or lives only because of what is in it. */
  tangled: 1,
  /** A conflict copy without a record of its own: the row's record only shows its content. */
  virtual: 2
} as const

type Field = keyof RowFields
type Kind = 'u32' | 'u64' | 'i64'

const LAYOUT: readonly (readonly [field: Field, byteOffset: number, kind: Kind])[] = [
  ['ino', 0, 'u64'],
  ['size', 8, 'u64'],
  ['atimeNs', 16, 'i64'],
  ['mtimeNs', 24, 'i64'],
  ['ctimeNs', 32, 'i64'],
  ['btimeNs', 40, 'i64'],
  ['mode', 48, 'u32'],
  ['nlink', 52, 'u32'],
  ['uid', 56, 'u32'],
  ['gid', 60, 'u32'],
  ['rdev', 64, 'u32'],
  ['flags', 68, 'u32'],
  ['baseEnd', 72, 'u64'],
  ['baseEpoch', 80, 'u64'],
  ['allocated', 88, 'u64'],
  ['subdirs', 112, 'u32'],
  ['entries', 116, 'u32'],
  ['childAtNs', 120, 'i64'],
  ['dataSeq', 128, 'u64'],
  ['ownedBySelf', 136, 'u32'],
  ['marks', 140, 'u32']
]

/** Reads a u64 that is known to be a safe integer (sizes to 8 PiB, counters, inos). */
export function readSafe(bytes: Buffer, byteOffset: number): number {
  return bytes.readUInt32LE(byteOffset) + bytes.readUInt32LE(byteOffset + 4) * 0x1_0000_0000
}

/** Writes a safe integer as u64, little endian. */
export function writeSafe(bytes: Buffer, value: number, byteOffset: number): void {
  bytes.writeUInt32LE(value % 0x1_0000_0000, byteOffset)
  bytes.writeUInt32LE(Math.floor(value / 0x1_0000_0000), byteOffset + 4)
}

function setFields(bytes: Buffer, fields: Partial<RowFields>): void {
  for (const [field, byteOffset, kind] of LAYOUT) {
    const value = fields[field]
    if (value === undefined) continue
    if (kind === 'i64') bytes.writeBigInt64LE(BigInt(value), byteOffset)
    else if (kind === 'u64') writeSafe(bytes, Number(value), byteOffset)
    else bytes.writeUInt32LE(Number(value), byteOffset)
  }
}

/** An immutable row; see the file's head for its bytes. */
export class Row {
  #record: NodeRecord | undefined

  /** @param bytes the whole row; owned by the row from now on */
  constructor(readonly bytes: Buffer) {}

  /** A new row from all its fields and the node's record. */
  static create(fields: Partial<RowFields>, record: NodeRecord): Row {
    const encoded = encodeRecord(record)
    const bytes = Buffer.alloc(HEAD_BYTES + encoded.length)
    setFields(bytes, fields)
    bytes.set(encoded, HEAD_BYTES)
    const row = new Row(bytes)
    row.#record = record
    return row
  }

  /** This row with some fields, and optionally the record, changed. */
  with(fields: Partial<RowFields>, record?: NodeRecord): Row {
    if (record === undefined) {
      const bytes = Buffer.from(this.bytes)
      setFields(bytes, fields)
      const row = new Row(bytes)
      row.#record = this.#record
      return row
    }
    const encoded = encodeRecord(record)
    const bytes = Buffer.alloc(HEAD_BYTES + encoded.length)
    this.bytes.copy(bytes, 0, 0, HEAD_BYTES)
    setFields(bytes, fields)
    bytes.set(encoded, HEAD_BYTES)
    const row = new Row(bytes)
    row.#record = record
    return row
  }

  /** The part that the native inode table takes; a view, not a copy. */
  get stat(): Buffer {
    return this.bytes.subarray(0, STAT_BYTES)
  }

  /** The merged record as stored; a view, not a copy. */
  get recordBytes(): Buffer {
    return this.bytes.subarray(HEAD_BYTES)
  }

  /** The merged record, decoded once. */
  get record(): NodeRecord {
    this.#record ??= decodeRecord(this.recordBytes)
    return this.#record
  }

  get ino(): number {
    return readSafe(this.bytes, 0)
  }
  get size(): number {
    return readSafe(this.bytes, 8)
  }
  get atimeNs(): bigint {
    return this.bytes.readBigInt64LE(16)
  }
  get mtimeNs(): bigint {
    return this.bytes.readBigInt64LE(24)
  }
  get ctimeNs(): bigint {
    return this.bytes.readBigInt64LE(32)
  }
  get mode(): number {
    return this.bytes.readUInt32LE(48)
  }
  get nlink(): number {
    return this.bytes.readUInt32LE(52)
  }
  get uid(): number {
    return this.bytes.readUInt32LE(56)
  }
  get gid(): number {
    return this.bytes.readUInt32LE(60)
  }
  get baseEnd(): number {
    return readSafe(this.bytes, 72)
  }
  get baseEpoch(): number {
    return readSafe(this.bytes, 80)
  }
  get allocated(): number {
    return readSafe(this.bytes, 88)
  }
  get subdirs(): number {
    return this.bytes.readUInt32LE(112)
  }
  get entries(): number {
    return this.bytes.readUInt32LE(116)
  }
  get childAtNs(): bigint {
    return this.bytes.readBigInt64LE(120)
  }
  get dataSeq(): number {
    return readSafe(this.bytes, 128)
  }
  get ownedBySelf(): boolean {
    return this.bytes.readUInt32LE(136) === 1
  }
  get marks(): number {
    return this.bytes.readUInt32LE(140)
  }
  /** @see MARK */
  get isTangled(): boolean {
    return (this.marks & MARK.tangled) !== 0
  }
  /** @see MARK */
  get isVirtual(): boolean {
    return (this.marks & MARK.virtual) !== 0
  }
}
