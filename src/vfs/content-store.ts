/**
 * What the filesystem asks of the side that holds the generation (another thread): content in,
 * content out, records in. `daemon/` wires it to the worker.
 */
import type { ProjectionChange } from '../generation/projection.js'
import type { BlockRun, CommitBatch, GenerationInfo } from '../generation/types.js'
import type { NodeId } from '../format/ids.js'
import type { IngestResult, NodeEntry, SpaceInfo } from '../generation/types.js'

/** Blocks of a file to be brought into its local file. */
export interface FetchRequest {
  readonly ino: number
  /** Encoded content map that the blocks are looked up in. */
  readonly map: Uint8Array
  /** The data plane refuses the blocks when the file's base has changed since. */
  readonly baseEpoch: number
  readonly fileBlock: number
  readonly count: number
}

/** A frozen file to be put into the generation; its bytes are read from the data plane. */
export interface FrozenFile {
  readonly ino: number
  readonly base: Uint8Array | null
  readonly baseEnd: number
  readonly size: number
  /** Pairs [start, end) of frozen file offsets. */
  readonly ranges: Float64Array
}

/** See the file's head. Every call rejects with an FsError. */
export interface ContentStore {
  /** @returns false when the file's base has changed in between: ask again */
  fetch(request: FetchRequest, signal?: AbortSignal): Promise<boolean>
  ingest(files: readonly FrozenFile[]): Promise<readonly IngestResult[]>
  commit(batch: CommitBatch): Promise<number>
  barrier(): Promise<void>
  /** Records as they are stored; null: none. */
  records(ids: readonly NodeId[]): Promise<readonly NodeEntry[]>
  /** The generation's cores. */
  info(): Promise<Pick<GenerationInfo, 'dbLength' | 'blobsLength' | 'blobsKey'>>
  /** How many blocks of a range are not on this device. */
  coldBlocks(map: Uint8Array, fileBlock: number, count: number): Promise<number>
  /** The blocks of this generation that a content map uses, its own leaves included. */
  runsOf(map: Uint8Array): Promise<readonly BlockRun[]>
  clear(runs: readonly BlockRun[]): Promise<void>
  /**
   * Clears the records' old tree where that frees enough.
   * @param keepFrom bee version: its tree, and the history from there on, stay
   * @returns how many blocks were cleared
   */
  sweepRecords(keepFrom: number): Promise<number>
  /** Ends `sweepRecords` and `project` that are under way; `project` fails then. */
  stopTidying(): Promise<void>
  /**
   * Writes paths to the plain projection.
   * @param below takes out everything below this path first; null = nothing
   */
  project(
    changes: readonly ProjectionChange[],
    below: readonly Uint8Array[] | null
  ): Promise<unknown>
  compact(minBytes: number): Promise<boolean>
  space(): Promise<SpaceInfo>
}
