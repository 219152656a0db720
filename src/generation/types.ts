/**
 * The words in which a generation is spoken to. All are structured-clonable (they cross a
 * MessagePort), except `FrozenReader`, which lives on the side that reads the frozen bytes.
 */
import type { GenerationNumber, NodeId } from '../format/ids.js'

/** A half-open range of bytes `[start, end)` of one file. */
export interface ByteRange {
  readonly start: number
  readonly end: number
}

/** A run of blocks of this generation's blobs core. */
export interface BlockRun {
  /** Core block index of the first block. */
  readonly block: number
  /** How many blocks, at least 1. */
  readonly count: number
}

/**
 * The frozen bytes of one node: they do not change until the ingest has returned. Calls are
 * synchronous and never overlap.
 */
export interface FrozenReader {
  /** Frozen ranges, ascending, not touching; the bytes written since the base map was made. */
  readonly ranges: readonly ByteRange[]
  /**
   * Copies the frozen bytes of `[fileOffset, fileOffset + buffer.length)` into `buffer`; other
   * bytes of the buffer stay as they are.
   * @returns what was copied as `[start, end, start, end, ...]`, offsets in the file
   */
  read(fileOffset: number, buffer: Uint8Array): ArrayLike<number>
  /**
   * The first frozen byte at or behind `fileOffset` that may be other than zero, or -1. It lets a
   * sparse file's frozen holes be passed over without reading them.
   */
  nextData(fileOffset: number): number
}

/** One node's content to be put into the blobs core. */
export interface IngestRequest {
  /** Encoded content map that the frozen bytes were written over; null for none. */
  readonly base: Uint8Array | null
  /**
   * Bytes of the base that still count: what lies at or behind it and is not frozen reads as
   * zeros. At most the size that the base was made with.
   */
  readonly baseEnd: number
  /** Size of the file at the freeze, bytes. */
  readonly size: number
  readonly frozen: FrozenReader
}

/** What became of one `IngestRequest`. */
export interface IngestResult {
  /** Encoded content map of the new content (also where every byte is a hole). */
  readonly map: Buffer
  /** Blocks of content and of the map itself that were appended for this node. */
  readonly appended: number
  /**
   * Blocks of THIS generation's blobs core (map leaves too) that the base used and the new map
   * does not. Other nodes or versions in the history may still use them: the caller decides.
   */
  readonly superseded: readonly BlockRun[]
  /** SHA-256 of the content when all of it passed and it is at most `HASH_LIMIT_BYTES`. */
  readonly hash: Buffer | null
}

/** A record to be put, or deleted where `record` is null. */
export interface NodeEntry {
  readonly id: NodeId
  readonly record: Uint8Array | null
}

/** A directory entry to be put, or deleted where `value` is null. */
export interface DirentEntry {
  /** `format/dirent` key: parent id, NUL, name. */
  readonly key: Uint8Array
  readonly value: Uint8Array | null
}

/**
 * Most entries (nodes and names together) of one commit: it is one write of RocksDB, and its blocks
 * are in memory until then, about 1 KiB each.
 */
export const COMMIT_LIMIT = 65_536

/** A `pcfs-seen` entry: up to where the bee of another generation has been merged. */
export interface SeenEntry {
  readonly generation: GenerationNumber
  /** Length (version) of its bee. */
  readonly length: number
}

/** One commit: all of it or nothing becomes visible. */
export interface CommitBatch {
  readonly nodes: readonly NodeEntry[]
  readonly dirents: readonly DirentEntry[]
  readonly seen?: readonly SeenEntry[]
}

/** The state of a generation. */
export interface GenerationInfo {
  /** First 6 bytes of the hash of the db core's key. */
  readonly generation: GenerationNumber
  /** Key of the db core (bee), 32 bytes. */
  readonly dbKey: Buffer
  /** Key of the blobs core, 32 bytes. */
  readonly blobsKey: Buffer
  /** Length of the db core; also the bee's version. */
  readonly dbLength: number
  readonly blobsLength: number
  /** Bytes of both cores together, superseded and cleared blocks included. */
  readonly byteLength: number
}

/** One change out of the bee's history. */
export interface HistoryEntry {
  /** Bee version of the change: a reader that has merged it asks for `gte: seq + 1` next. */
  readonly seq: number
  readonly space: 'node' | 'dir' | 'seen' | 'other'
  /** Key without its space's prefix. */
  readonly key: Uint8Array
  /** null: the key was deleted. */
  readonly value: Uint8Array | null
}

/** Where this generation's bytes are. */
export interface SpaceInfo {
  /** Bytes of blocks held by both cores (not cleared), as stored. */
  readonly heldBytes: number
  /** Blocks of the bee that are held: one for each record and name, and what history keeps. */
  readonly recordBlocks: number
  /** Bytes cleared and still on disk. */
  readonly reclaimableBytes: number
  /** Bytes of the files in the store directory (allocated). */
  readonly diskBytes: number
}

/** How long a read may wait, and who may call it off. */
export interface ReadOptions {
  readonly signal?: AbortSignal
  /** Deadline for blocks that are not on this device, ms. Default 30,000. */
  readonly timeoutMs?: number
}
