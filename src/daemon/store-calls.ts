/**
 * What the main thread can ask of the store's thread. Everything is structured-clonable; content
 * does not cross: the store's thread reads frozen bytes and fills local files through the native
 * addon, which both threads share.
 */
import type { ProjectionChange } from '../generation/projection.js'
import type { BlockRun, CommitBatch, GenerationInfo } from '../generation/types.js'
import type { IngestResult, SpaceInfo } from '../generation/types.js'
import type { FetchRequest, FrozenFile } from '../vfs/content-store.js'
import type { NodeEntry, SeenEntry } from '../generation/types.js'
import type { ForeignCursor, ForeignPage } from '../generation/foreign.js'
import type { GenerationNumber, NodeId } from '../format/ids.js'
import type { ConnectedPeer, FollowedStatus } from './device-network.js'
import type { NetworkSetting } from './config.js'
import type { Joiner } from '../group/invite.js'
import type { Invitation, InvitationRequest } from './invitations.js'
import type { DeviceRole } from '../swarm/replicas.js'
import type { KnownGeneration, StoreEvent } from './store-events.js'

/** Everything that the store's thread needs to begin. */
export interface StoreWorkerData {
  readonly keyringPath: string
  readonly storeDirectory: string
  /** Of the native session that it reads frozen bytes from; null = there is no mount. */
  readonly sessionId: number | null
  /** null: no connections. */
  readonly network: NetworkSetting | null
  /** Fault point at which this process is to die, for the crash harness; null = none. */
  readonly fault: { readonly name: string; readonly countdown: number } | null
}

/** What is known of the generation beyond its own state. */
export interface StoreInfo extends GenerationInfo {
  readonly drive: string
  readonly deviceName: string
  readonly role: DeviceRole
  /** Everybody who belongs or belonged. */
  readonly known: readonly KnownGeneration[]
  /** Key of the plain projection: what a stock hyperdrive is opened with. */
  readonly projection: Uint8Array
}

/** Each call by name: arguments and result. */
export interface StoreCalls {
  info: { args: []; result: StoreInfo }
  fetch: { args: [request: FetchRequest]; result: boolean }
  ingest: { args: [files: readonly FrozenFile[]]; result: readonly IngestResult[] }
  commit: { args: [batch: CommitBatch]; result: number }
  barrier: { args: []; result: null }
  records: { args: [ids: readonly NodeId[]]; result: readonly NodeEntry[] }
  coldBlocks: { args: [map: Uint8Array, fileBlock: number, count: number]; result: number }
  runsOf: { args: [map: Uint8Array]; result: readonly BlockRun[] }
  clear: { args: [runs: readonly BlockRun[]]; result: null }
  sweepRecords: { args: [keepFrom: number]; result: number }
  stopTidying: { args: []; result: null }
  project: {
    args: [changes: readonly ProjectionChange[], below: readonly Uint8Array[] | null]
    result: null
  }
  compact: { args: [minBytes: number]; result: boolean }
  space: { args: []; result: SpaceInfo }
  /** Records with ids behind `gt`, ascending; an empty list at the end. */
  scan: { args: [gt: string | null, limit: number]; result: readonly NodeEntry[] }
  /** Members that are connected. */
  peers: { args: []; result: readonly ConnectedPeer[] }
  /** Generations of other devices. */
  followed: { args: []; result: readonly FollowedStatus[] }
  /** Records of another device's generation, from a cursor on. */
  readForeign: {
    args: [generation: GenerationNumber, cursor: ForeignCursor]
    result: ForeignPage
  }
  /** Records of what claims a name in a directory, by another device's generation; null: any. */
  listForeign: {
    args: [generation: GenerationNumber, parent: NodeId, name: Uint8Array | null]
    result: readonly NodeEntry[]
  }
  /** Opens an invitation; see `Invitations` for these four. */
  invite: { args: [request: InvitationRequest]; result: Invitation }
  inviteAnswered: { args: [code: string]; result: Joiner }
  inviteConfirm: { args: [code: string, digits: string]; result: Joiner }
  inviteCancel: { args: [code: string]; result: null }
  /** What this generation says that it has merged of others. */
  seen: { args: []; result: readonly SeenEntry[] }
  reclaimOrphans: { args: [knownLength: number, used: readonly BlockRun[]]; result: number }
  close: { args: []; result: null }
}

/** Name of a call. */
export type StoreCallName = keyof StoreCalls

/** A call on its way. */
export interface StoreRequest {
  readonly id: number
  readonly name: StoreCallName
  readonly args: readonly unknown[]
}

/** Its answer, or news. */
export type StoreReply =
  | { readonly event: StoreEvent }
  | { readonly id: number; readonly result: unknown }
  | { readonly id: number; readonly error: { readonly code: string; readonly message: string } }
  /** The thread is open (id 0), or could not be opened. */
  | { readonly id: 0; readonly opened: StoreInfo }
