/**
 * One Hyperdrive of one device: the `db` core (a Hyperbee of node records and directory entries)
 * and the `blobs` core (content blocks of up to 64 KiB and the leaf blocks of long content maps).
 *
 * Invariants: only this class appends to the two cores; blocks are appended before the records that
 * name them; nothing is announced or forgotten before `barrier()` has returned.
 */
import type { Keyring } from '../keys/keyring.js'
import type { Store } from '../store/store.js'
import type { FaultPoint } from '../base/fault.js'
import type { Logger } from '../base/log.js'
import type {
  BlockRun,
  CommitBatch,
  GenerationInfo,
  HistoryEntry,
  IngestRequest,
  IngestResult,
  NodeEntry,
  ReadOptions,
  SpaceInfo
} from './types.js'

/** Most records (nodes and dirents together) of one commit. */
export const COMMIT_LIMIT = 5000

/** Content above this many bytes gets no content hash: it would cost an eighth of the ingest. */
export const HASH_LIMIT_BYTES = 16 * 1024 * 1024

/** What a generation is opened from. */
export interface GenerationOptions {
  /** An open store; the generation does not close it. */
  readonly store: Store
  /** Keys of this device's current generation and the epoch keys. */
  readonly keyring: Keyring
  readonly log: Logger
  /** Fault points `ingest.blocks`, `ingest.records`, `ingest.barrier`. */
  readonly fault: FaultPoint
}

/** See the file's head. Made by `openGeneration`. */
export interface Generation {
  /** The state now; synchronous and cheap. */
  info(): GenerationInfo

  /**
   * Puts the frozen content of nodes into the blobs core: the blocks that frozen bytes touch are
   * assembled (frozen bytes over the base's), all-zero ones become holes, the others are appended;
   * small files share appends. Nothing is durable before `barrier`, and nothing is referenced
   * before `commit`; what an aborted or failed call appended is orphaned (`reclaimOrphans`).
   * Several calls may be in flight; their appends are queued.
   * @param requests bounded by the caller to some thousands
   * @param signal stops between batches
   * @returns one result per request, in order
   * @throws {FsError} EIO when a base block is corrupt or missing; ECANCELED when aborted
   */
  ingest(requests: readonly IngestRequest[], signal?: AbortSignal): Promise<IngestResult[]>

  /**
   * Writes records and directory entries as one atomic bee batch, sorted. May be repeated with the
   * same input: the outcome is the same. Durable after the next `barrier`.
   * @param batch at most `COMMIT_LIMIT` entries
   * @returns the bee's version after it
   */
  commit(batch: CommitBatch): Promise<number>

  /** Makes everything appended and committed so far survive power loss (fdatasync of the WAL). */
  barrier(): Promise<void>

  /**
   * Reads blocks of a file, verified and decrypted.
   * @param map encoded content map
   * @param fileBlock first file block
   * @param count how many, at most 256
   * @returns per block its bytes (the caller's to keep; a file's last block may be short: the rest
   *   reads as zeros), or null for a hole
   * @throws {FsError} EIO naming core and block when a block is corrupt; ETIMEDOUT; ECANCELED
   */
  read(
    map: Uint8Array,
    fileBlock: number,
    count: number,
    options?: ReadOptions
  ): Promise<(Uint8Array | null)[]>

  /**
   * Lists the block runs of this generation's blobs core that a map uses, its leaves included.
   * @param map encoded content map
   */
  runsOf(map: Uint8Array): Promise<BlockRun[]>

  /** The record of a node, or null where there is none. */
  getNode(id: string): Promise<Uint8Array | null>

  /**
   * All node records, ascending by id, at a version.
   * @param options `version`: bee version, default the head; `gt`: only ids behind this one;
   *   `limit`: at most so many
   */
  scanNodes(options?: {
    readonly version?: number
    readonly gt?: string
    readonly limit?: number
  }): AsyncIterable<NodeEntry & { readonly record: Uint8Array }>

  /**
   * The directory entries of one parent, ascending by name.
   * @param parent node id
   */
  scanDir(parent: string): AsyncIterable<{ readonly name: Uint8Array; readonly value: Uint8Array }>

  /**
   * The bee's changes, oldest first. O(changes).
   * @param range versions `[gte, lt)`; `lt` defaults to the head
   */
  history(range: { readonly gte: number; readonly lt?: number }): AsyncIterable<HistoryEntry>

  /**
   * Clears blocks of the blobs core: their bytes leave the disk with the next `compact`. Clearing
   * what is cleared already does nothing.
   */
  clear(runs: readonly BlockRun[]): Promise<void>

  /**
   * Clears the blocks in `[knownLength, length)` that no record references, after a crash.
   * @param knownLength blobs length as of the last durable commit
   * @param isReferenced whether a block is named by a record (or by a map's leaf)
   * @returns how many were cleared
   */
  reclaimOrphans(knownLength: number, isReferenced: (block: number) => boolean): Promise<number>

  /**
   * Clears the bee blocks that the head's tree no longer needs and that are older than a version:
   * history below it is gone. Bounded work per call by `signal`.
   * @param options `keepFrom`: versions at or above stay readable as history
   * @returns how many blocks were cleared
   */
  sweepRecords(options: {
    readonly keepFrom: number
    readonly signal?: AbortSignal
  }): Promise<number>

  /** Where the bytes are; walks the store directory, some ms. */
  space(): Promise<SpaceInfo>

  /**
   * Gives the bytes of cleared blocks back to the disk. Needs room for the rewrite.
   * @param options `minBytes`: does nothing below so many reclaimable bytes
   * @returns whether it compacted
   */
  compact(options?: { readonly minBytes?: number }): Promise<boolean>

  /** Flushes RocksDB's memtable (so that the next open is fast) and closes the drive. Idempotent. */
  close(): Promise<void>
}

/**
 * Opens this device's current generation, creating its cores the first time.
 * @throws {FsError} EIO when the store is corrupt
 */
export declare function openGeneration(options: GenerationOptions): Promise<Generation>
