/**
 * One Hyperdrive of one device: the `db` core (a Hyperbee of node records and directory entries)
 * and the `blobs` core (content blocks of up to 64 KiB and the leaf blocks of long content maps).
 *
 * Invariants: only this class appends to the two cores; blocks are appended before the records that
 * name them; nothing is announced or forgotten before `barrier()` has returned.
 */
import { assert } from '../base/assert.js'
import type { FaultPoint } from '../base/fault.js'
import type { Logger } from '../base/log.js'
import { blocksIn } from '../format/content-map.js'
import { type GenerationNumber, type NodeId, generationNumber } from '../format/ids.js'
import { nodeIdFromBytes } from '../format/ids.js'
import { decodeMap } from '../format/map-codec.js'
import type { Keyring } from '../keys/keyring.js'
import type { Appender } from '../store/appender.js'
import type { Core } from '../store/core.js'
import { Records } from '../store/records.js'
import type { Store } from '../store/store.js'
import { BlockReader } from './block-reader.js'
import { BlockWriter } from './block-writer.js'
import { ClearedCore } from './cleared-core.js'
import { FileIngest } from './ingest.js'
import * as keys from './key-spaces.js'
import { compactSpace, spaceOf } from './space.js'
import { COMMIT_LIMIT } from './types.js'
import type {
  BlockRun,
  CommitBatch,
  GenerationInfo,
  HistoryEntry,
  IngestRequest,
  IngestResult,
  NodeEntry,
  ReadOptions,
  SeenEntry,
  SpaceInfo
} from './types.js'

/** Most blocks of one read: 16 MiB. */
const READ_LIMIT = 256

/** What a generation is opened from. */
export interface GenerationOptions {
  /** An open store; the generation does not close it. */
  readonly store: Store
  /** Keys of this device's current generation. */
  readonly keyring: Pick<Keyring, 'db' | 'blobs'>
  readonly log: Logger
  /** Fault points `ingest.blocks`, `ingest.records`, `ingest.barrier`. */
  readonly fault: FaultPoint
}

interface Parts {
  readonly db: ClearedCore
  readonly blobs: ClearedCore
  readonly appender: Appender
  readonly records: Records
}

/**
 * Opens this device's current generation, creating its cores the first time.
 * @throws {FsError} EIO when the store is corrupt
 */
export async function openGeneration(options: GenerationOptions): Promise<Generation> {
  const { store, keyring } = options
  const opened: { close(): Promise<void> }[] = []
  try {
    const db = await store.openCore({ keyPair: keyring.db })
    opened.push(db)
    const blobs = await store.openCore({ keyPair: keyring.blobs })
    opened.push(blobs)
    const appender = await store.openAppender(blobs)
    opened.push(appender)
    const records = new Records(db, blobs.key)
    await records.ready()
    const cleared = { db: await ClearedCore.open(db), blobs: await ClearedCore.open(blobs) }
    return new Generation(options, { ...cleared, appender, records })
  } catch (error) {
    for (const one of opened.reverse()) await one.close().catch(() => undefined)
    throw error
  }
}

/** See the file's head. Made by `openGeneration`. */
export class Generation {
  readonly #options: GenerationOptions
  readonly #db: Core
  readonly #blobs: Core
  readonly #cleared: Pick<Parts, 'db' | 'blobs'>
  readonly #appender: Appender
  readonly #records: Records
  readonly #reader: BlockReader
  readonly #number: GenerationNumber
  /** Arenas that block writers share. */
  readonly #arenas: Buffer[] = []
  #closing: Promise<void> | null = null

  /** Use `openGeneration`. */
  constructor(options: GenerationOptions, parts: Parts) {
    this.#options = options
    this.#cleared = parts
    this.#db = parts.db.core
    this.#blobs = parts.blobs.core
    this.#appender = parts.appender
    this.#records = parts.records
    this.#reader = new BlockReader(options.store, this.#blobs)
    this.#number = generationNumber(this.#db.key)
  }

  /** The state now; synchronous and cheap. */
  info(): GenerationInfo {
    return {
      generation: this.#number,
      dbKey: this.#db.key,
      blobsKey: this.#blobs.key,
      dbLength: this.#db.length,
      blobsLength: this.#blobs.length,
      byteLength: this.#db.byteLength + this.#blobs.byteLength
    }
  }

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
  async ingest(requests: readonly IngestRequest[], signal?: AbortSignal): Promise<IngestResult[]> {
    const writer = new BlockWriter(this.#appender, this.#options.fault, this.#arenas)
    const tools = { core: this.#blobs.key, reader: this.#reader, writer, signal }
    try {
      const files: FileIngest[] = []
      for (const request of requests) {
        const file = new FileIngest(request, tools)
        await file.assemble()
        files.push(file)
      }
      await writer.flush()
      const results: IngestResult[] = []
      for (const file of files) results.push(await file.finish())
      return results
    } catch (error) {
      await writer.abandon()
      throw error
    }
  }

  /**
   * Writes records and directory entries as one atomic bee batch, sorted. May be repeated with the
   * same input: the outcome is the same. Durable after the next `barrier`.
   * @param batch at most `COMMIT_LIMIT` entries
   * @returns the bee's version after it
   */
  async commit(batch: CommitBatch): Promise<number> {
    const changes = keys.changesOf(batch)
    assert(changes.length <= COMMIT_LIMIT, 'a commit beyond its limit')
    await this.#records.apply(changes)
    this.#options.fault('ingest.records')
    return this.#records.version
  }

  /** Makes everything appended and committed so far survive power loss (fdatasync of the WAL). */
  async barrier(): Promise<void> {
    await this.#options.store.barrier()
    this.#options.fault('ingest.barrier')
  }

  /**
   * Reads blocks of a file, verified and decrypted.
   * @param map encoded content map
   * @param fileBlock first file block
   * @param count how many, at most 256
   * @returns per block its bytes (the caller's to keep; a file's last block may be short: the rest
   *   reads as zeros), or null for a hole
   * @throws {FsError} EIO naming core and block when a block is corrupt; ETIMEDOUT; ECANCELED
   */
  async read(
    map: Uint8Array,
    fileBlock: number,
    count: number,
    options?: ReadOptions
  ): Promise<(Buffer | null)[]> {
    assert(count <= READ_LIMIT, 'a read beyond its limit')
    return this.#reader.read(decodeMap(keys.bufferOf(map)), { fileBlock, count }, options)
  }

  /**
   * How many blocks of a file's range are not on this device.
   * @param map encoded content map
   */
  coldBlocks(
    map: Uint8Array,
    range: { readonly fileBlock: number; readonly count: number }
  ): Promise<number> {
    return this.#reader.coldBlocks(decodeMap(keys.bufferOf(map)), range)
  }

  /**
   * Lists the block runs of this generation's blobs core that a map uses, its leaves included.
   * @param map encoded content map
   */
  async runsOf(map: Uint8Array): Promise<BlockRun[]> {
    const whole = { from: 0, to: Infinity }
    const loaded = await this.#reader.loadLeaves(decodeMap(keys.bufferOf(map)), whole)
    return blocksIn(loaded, this.#blobs.key).map(({ coreBlock, count }) => {
      return { block: coreBlock, count }
    })
  }

  /** The record of a node, or null where there is none. */
  getNode(id: NodeId): Promise<Buffer | null> {
    return this.#records.get(keys.nodeRecordKey(id))
  }

  /**
   * All node records, ascending by id, at a version.
   * @param options `version`: bee version, default the head; `gt`: only ids behind this one;
   *   `limit`: at most so many
   */
  async *scanNodes(
    options: { readonly version?: number; readonly gt?: NodeId; readonly limit?: number } = {}
  ): AsyncGenerator<NodeEntry & { readonly record: Buffer }> {
    const { version, gt, limit } = options
    const range = { ...keys.nodeRange(gt ?? null), ...(limit !== undefined && { limit }) }
    for await (const { key, value } of this.#records.scan(range, version)) {
      yield { id: nodeIdFromBytes(keys.nodeIdBytesOf(key)), record: value }
    }
  }

  /**
   * The directory entries of one parent, ascending by name.
   * @param parent node id
   */
  async *scanDir(
    parent: NodeId
  ): AsyncGenerator<{ readonly name: Buffer; readonly value: Buffer }> {
    for await (const { key, value } of this.#records.scan(keys.directoryRange(parent))) {
      yield { name: keys.nameOf(key), value }
    }
  }

  /** What this generation says that it has merged of others. */
  async seen(): Promise<SeenEntry[]> {
    const seen: SeenEntry[] = []
    for await (const { key, value } of this.#records.scan(keys.seenRange())) {
      seen.push(keys.seenEntryOf(keys.seenKeyBytesOf(key), value))
    }
    return seen
  }

  /**
   * The bee's changes, oldest first. O(changes).
   * @param range versions `[gte, lt)`; `lt` defaults to the head
   */
  async *history(range: {
    readonly gte: number
    readonly lt?: number
  }): AsyncGenerator<HistoryEntry> {
    const lt = range.lt ?? this.#records.version
    for await (const change of this.#records.history(range.gte, lt)) {
      yield keys.historyEntryOf(change)
    }
  }

  /**
   * Clears blocks of the blobs core: their bytes leave the disk with the next `compact`. Clearing
   * what is cleared already does nothing.
   */
  async clear(runs: readonly BlockRun[]): Promise<void> {
    await this.#cleared.blobs.clear(runs)
  }

  /**
   * Clears the blocks in `[knownLength, length)` that no record references, after a crash.
   * @param knownLength blobs length as of the last durable commit
   * @param isReferenced whether a block is named by a record (or by a map's leaf)
   * @returns how many were cleared
   */
  reclaimOrphans(knownLength: number, isReferenced: (block: number) => boolean): Promise<number> {
    const { blobs } = this.#cleared
    return blobs.clearUnwanted(knownLength, blobs.core.length, isReferenced)
  }

  /**
   * Clears the bee blocks that the head's tree no longer needs and that are older than a version:
   * history below it is gone. It walks the whole tree, so it does so only when there were enough
   * changes since the last time to pay for it; may be called often.
   * @param options `keepFrom`: versions at or above stay readable as history; `isForced`: also when
   *   it does not pay
   * @returns how many blocks were cleared
   */
  async sweepRecords(options: {
    readonly keepFrom: number
    readonly isForced?: boolean
    readonly signal?: AbortSignal
  }): Promise<number> {
    const { keepFrom, isForced = false, signal } = options
    const { db } = this.#cleared
    if (!isForced && !(await db.isSweepDue(keepFrom))) return 0
    return db.sweep(this.#records, keepFrom, signal)
  }

  /** Where the bytes are; walks the store directory, some ms. */
  space(): Promise<SpaceInfo> {
    return spaceOf(this.#options.store, this.#cleared)
  }

  /**
   * Gives the bytes of cleared blocks back to the disk: at once those of files that are wholly
   * dead, the others when so many are dead that a rewrite pays (`space.ts`).
   * @param options `minBytes`: does nothing unless so many were cleared since the last time
   * @returns whether it did anything
   */
  compact(options: { readonly minBytes?: number } = {}): Promise<boolean> {
    const cores = [this.#cleared.db, this.#cleared.blobs]
    return compactSpace(this.#options.store, cores, options.minBytes ?? 0)
  }

  /** Closes the cores; the store stays open. Nothing else may be in flight. Idempotent. */
  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async #close(): Promise<void> {
    await this.#reader.close()
    await this.#appender.close()
    await this.#records.close()
    await this.#blobs.close()
    await this.#db.close()
  }
}
