/**
 * The key spaces of the bee, as hyperbee's sub-encoders spell them: name, NUL, key. A stock reader
 * with a `SubEncoder` of the same name sees the same keys.
 */
import {
  SUB_DIR,
  SUB_NODE,
  SUB_SEEN,
  decodeSeenLength,
  direntKey,
  direntRange,
  encodeSeenLength,
  parseSeenKey,
  seenKey
} from '../format/dirent.js'
import { NODE_ID_BYTES, type NodeId, nodeIdToBytes } from '../format/ids.js'
import type { RecordChange, RecordPut, RecordRange } from '../store/records.js'
import type { CommitBatch, HistoryEntry, SeenEntry } from './types.js'

const NODE = prefixOf(SUB_NODE)
const DIR = prefixOf(SUB_DIR)
const SEEN = prefixOf(SUB_SEEN)

const SPACES = [
  { space: 'node', prefix: NODE },
  { space: 'dir', prefix: DIR },
  { space: 'seen', prefix: SEEN }
] as const

/** Bee key of a node's record. */
export function nodeRecordKey(id: NodeId): Buffer {
  return Buffer.concat([NODE, nodeIdToBytes(id)])
}

/** The node id's bytes in a bee key of the node space. */
export function nodeIdBytesOf(key: Buffer): Buffer {
  return key.subarray(NODE.length)
}

/** Bee range of all node records behind an id; null: of all. */
export function nodeRange(gt: NodeId | null): RecordRange {
  return gt === null ? { gte: NODE, lt: endOf(NODE) } : { gt: nodeRecordKey(gt), lt: endOf(NODE) }
}

/** Bee range of a directory's entries. */
export function directoryRange(parent: NodeId): RecordRange {
  const { gte, lt } = direntRange(parent)
  return { gte: Buffer.concat([DIR, gte]), lt: Buffer.concat([DIR, lt]) }
}

/** Bee key of a name in a directory. */
export function direntRecordKey(parent: NodeId, name: Buffer): Buffer {
  return Buffer.concat([DIR, direntKey({ parent, name })])
}

/** Bee range of all that a generation has seen. */
export function seenRange(): RecordRange {
  return { gte: SEEN, lt: endOf(SEEN) }
}

/**
 * What an entry of the seen space says.
 * @param key without its space's prefix
 * @throws {FsError} EIO when malformed
 */
export function seenEntryOf(key: Uint8Array, value: Uint8Array): SeenEntry {
  return { generation: parseSeenKey(bufferOf(key)), length: decodeSeenLength(bufferOf(value)) }
}

/** A key of the seen space without its prefix. */
export function seenKeyBytesOf(key: Buffer): Buffer {
  return key.subarray(SEEN.length)
}

/** The name in a bee key of the directory space. */
export function nameOf(key: Buffer): Buffer {
  return key.subarray(DIR.length + NODE_ID_BYTES + 1)
}

/** The bee's changes of a commit, sorted by key: sorted insertion is six times faster. */
export function changesOf(batch: CommitBatch): RecordPut[] {
  const changes: RecordPut[] = []
  for (const { id, record } of batch.nodes) {
    changes.push({ key: nodeRecordKey(id), value: record && bufferOf(record) })
  }
  for (const { key, value } of batch.dirents) {
    changes.push({ key: Buffer.concat([DIR, key]), value: value && bufferOf(value) })
  }
  for (const { generation, length } of batch.seen ?? []) {
    const key = Buffer.concat([SEEN, seenKey(generation)])
    changes.push({ key, value: encodeSeenLength(length) })
  }
  return changes.sort((a, b) => Buffer.compare(a.key, b.key))
}

/** A change of the bee by key space. */
export function historyEntryOf({ seq, key, value }: RecordChange): HistoryEntry {
  for (const { space, prefix } of SPACES) {
    if (key.subarray(0, prefix.length).equals(prefix)) {
      return { seq, space, key: key.subarray(prefix.length), value }
    }
  }
  return { seq, space: 'other', key, value }
}

/** The same bytes as a Buffer: what crosses a MessagePort arrives as a Uint8Array. */
export function bufferOf(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes)
    ? bytes
    : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}

function prefixOf(sub: string): Buffer {
  return Buffer.from(`${sub}\0`)
}

/** The first key behind all that begin with a prefix, whose last byte is NUL. */
function endOf(prefix: Buffer): Buffer {
  const end = Buffer.from(prefix)
  end[end.length - 1] = 1
  return end
}
