/** What the main thread can ask of the thread that reads attached drives; structured-clonable. */
import type { ForeignBlob, ForeignChange, ForeignState } from '../attach/types.js'
import type { ForeignListing, ForeignLookup } from '../attach/types.js'
import type { NetworkSetting } from './config.js'

/** Everything that the thread needs to begin. */
export interface AttachWorkerData {
  /** null = no network. */
  readonly network: NetworkSetting | null
  /** Content that is kept of each drive. */
  readonly keepBytes: number
}

/** Each call by name: arguments, of which the first is the drive's number, and result. */
export interface AttachCalls {
  open: { args: [drive: number, directory: string, key: string]; result: null }
  /** @param remove also what was kept of it */
  close: { args: [drive: number, directory: string, remove: boolean]; result: null }
  state: { args: [drive: number]; result: ForeignState }
  list: { args: [drive: number, path: string]; result: ForeignListing }
  lookup: { args: [drive: number, path: string]; result: ForeignLookup }
  read: {
    args: [drive: number, blob: ForeignBlob, fileOffset: number, length: number]
    result: Uint8Array
  }
}

/** Name of a call. */
export type AttachCallName = keyof AttachCalls

/** A call on its way. */
export interface AttachRequest {
  readonly id: number
  readonly name: AttachCallName
  readonly args: readonly unknown[]
}

/** What comes back: an answer, or news of a drive. */
export type AttachReply =
  | { readonly id: number; readonly result: unknown }
  | { readonly id: number; readonly error: { readonly code: string; readonly message: string } }
  | { readonly drive: number; readonly change: ForeignChange }
