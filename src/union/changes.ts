/**
 * What a change of the index is: a list of puts and deletions that may be applied again without
 * harm. The journal stores them as they are, so that recovery is nothing but applying them.
 *
 * One item: u8 kind, u16 key length, u32 value length, key, value. Kinds: 1 node, 2 dirent, 3 meta;
 * 128 is added when the item deletes (and has no value), 64 when it is only of this device.
 */
import { toLinkId, type LinkId } from '../format/ids.js'
import { Row, readSafe } from './row.js'

/**
 * A name as stored: one character per byte (latin1), so that any bytes survive and compare fast.
 */
export type Name = string

/** What a directory entry points at. */
export interface Dirent {
  readonly ino: number
  /** `DT_*` of readdir(3). */
  readonly dtype: number
  /** Which of the node's places this is (format/record.ts). */
  readonly link: LinkId
}

/** One put (or, with null, deletion) of the index. */
export type Change =
  | {
      readonly kind: 'node'
      readonly ino: number
      readonly row: Row | null
      /** Only facts of this device changed, or what others wrote: nothing to commit. */
      readonly local?: boolean
    }
  | {
      readonly kind: 'dirent'
      readonly parent: number
      readonly name: Name
      readonly dirent: Dirent | null
      /** As a node's. */
      readonly local?: boolean
    }
  | { readonly kind: 'meta'; readonly key: string; readonly value: Buffer | null }

const KINDS = { node: 1, dirent: 2, meta: 3 } as const
const DELETES = 128
const LOCAL = 64
const ITEM_HEAD = 7
const EMPTY = Buffer.alloc(0)

/** The index's key of a node: its ino, 8 bytes, big endian. */
export function nodeKey(ino: number): Buffer {
  const key = Buffer.allocUnsafe(8)
  key.writeUInt32BE(Math.floor(ino / 0x1_0000_0000), 0)
  key.writeUInt32BE(ino % 0x1_0000_0000, 4)
  return key
}

/** The ino at the start of a node or dirent key. */
export function inoOfKey(key: Buffer): number {
  return key.readUInt32BE(0) * 0x1_0000_0000 + key.readUInt32BE(4)
}

/** The index's key of a directory entry: the parent's ino, then the name. */
export function direntKey(parent: number, name: Name): Buffer {
  const key = Buffer.allocUnsafe(8 + name.length)
  key.writeUInt32BE(Math.floor(parent / 0x1_0000_0000), 0)
  key.writeUInt32BE(parent % 0x1_0000_0000, 4)
  key.write(name, 8, 'latin1')
  return key
}

/** The bytes of a directory entry: u64 ino (little endian), u8 dtype, link id. */
export function encodeDirent(dirent: Dirent): Buffer {
  const bytes = Buffer.allocUnsafe(9 + dirent.link.length)
  bytes.writeUInt32LE(dirent.ino % 0x1_0000_0000, 0)
  bytes.writeUInt32LE(Math.floor(dirent.ino / 0x1_0000_0000), 4)
  bytes[8] = dirent.dtype
  bytes.write(dirent.link, 9, 'latin1')
  return bytes
}

/** @see encodeDirent */
export function decodeDirent(bytes: Buffer): Dirent {
  return {
    ino: readSafe(bytes, 0),
    dtype: bytes[8] ?? 0,
    link: toLinkId(bytes.toString('latin1', 9))
  }
}

function keyOf(change: Change): Buffer {
  switch (change.kind) {
    case 'node':
      return nodeKey(change.ino)
    case 'dirent':
      return direntKey(change.parent, change.name)
    case 'meta':
      return Buffer.from(change.key)
  }
}

function valueOf(change: Change): Buffer | null {
  switch (change.kind) {
    case 'node':
      return change.row?.bytes ?? null
    case 'dirent':
      return change.dirent && encodeDirent(change.dirent)
    case 'meta':
      return change.value
  }
}

/** How many bytes a change takes in `encodeChanges`, about: names count as their characters. */
export function encodedLength(change: Change): number {
  const keyBytes = change.kind === 'meta' ? change.key.length : 8 + nameLength(change)
  return ITEM_HEAD + keyBytes + (valueOf(change)?.length ?? 0)
}

function nameLength(change: Change): number {
  return change.kind === 'dirent' ? change.name.length : 0
}

/**
 * The bytes of a list of changes, for the journal.
 * @param head one byte that comes before them
 */
export function encodeChanges(changes: readonly Change[], head: number): Buffer {
  const keys = changes.map(keyOf)
  const values = changes.map(valueOf)
  let byteLength = 1
  for (const [i, key] of keys.entries()) {
    byteLength += ITEM_HEAD + key.length + (values[i]?.length ?? 0)
  }
  const bytes = Buffer.allocUnsafe(byteLength)
  bytes[0] = head
  let at = 1
  for (const [i, change] of changes.entries()) {
    const key = keys[i] ?? EMPTY
    const value = values[i]
    const isLocal = change.kind !== 'meta' && change.local === true
    bytes[at] = KINDS[change.kind] | (value ? 0 : DELETES) | (isLocal ? LOCAL : 0)
    bytes.writeUInt16LE(key.length, at + 1)
    bytes.writeUInt32LE(value?.length ?? 0, at + 3)
    bytes.set(key, at + ITEM_HEAD)
    at += ITEM_HEAD + key.length
    if (value) {
      bytes.set(value, at)
      at += value.length
    }
  }
  return bytes
}

function decodeChange(code: number, key: Buffer, value: Buffer | null): Change {
  const local = (code & LOCAL) !== 0 && { local: true }
  switch (code & ~LOCAL) {
    case KINDS.node: {
      const row = value && new Row(Buffer.from(value))
      return { kind: 'node', ino: inoOfKey(key), row, ...local }
    }
    case KINDS.dirent: {
      const name = key.toString('latin1', 8)
      const dirent = value && decodeDirent(value)
      return { kind: 'dirent', parent: inoOfKey(key), name, dirent, ...local }
    }
    case KINDS.meta:
      return { kind: 'meta', key: key.toString(), value: value && Buffer.from(value) }
    default:
      throw new Error(`unknown change kind ${code} in the journal`)
  }
}

/** @see encodeChanges. The changes own their bytes. */
export function decodeChanges(bytes: Buffer): Change[] {
  const changes: Change[] = []
  for (let at = 0; at < bytes.length;) {
    const code = bytes[at] ?? 0
    const keyEnd = at + ITEM_HEAD + bytes.readUInt16LE(at + 1)
    const valueEnd = keyEnd + bytes.readUInt32LE(at + 3)
    const value = code & DELETES ? null : bytes.subarray(keyEnd, valueEnd)
    changes.push(decodeChange(code & ~DELETES, bytes.subarray(at + ITEM_HEAD, keyEnd), value))
    at = valueEnd
  }
  return changes
}
