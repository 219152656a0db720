/**
 * The filesystem as the daemon's life sees it: something that is opened on a home and a mount
 * point, and closed again. What is inside (worker, index, vfs, FUSE session) is wired up here.
 */
import type { Alarm } from '../base/alarms.js'
import type { FaultPoint } from '../base/fault.js'
import type { Logger } from '../base/log.js'
import type { Call, Finding, Operations, StatusReport } from '../control/operations.js'
import type { AttachOperations } from './attachments.js'
import type { DaemonConfig } from './config.js'
import type { DeviceOperations } from './device-operations.js'
import type { FaultPlan } from './fault-point.js'
import type { HomePaths } from './home.js'
import type { StoreTrust } from './state.js'

/** What a filesystem is opened with. */
export interface FilesystemOptions {
  readonly config: DaemonConfig
  readonly home: HomePaths
  /** Where to mount: absolute, an empty directory, without symbolic links. */
  readonly mountPath: string
  /** Whether the store may be appended to at once. */
  readonly trust: StoreTrust
  readonly log: Logger
  readonly fault: FaultPoint
  /** The same fault point for those who cannot be given a function; null = none. */
  readonly faultPlan: FaultPlan | null
  /** Called once when the mount has ended without our `unmount`: someone else unmounted it. */
  readonly onEnded: () => void
  /** Called when another device is connected: it may see what this one has written. */
  readonly onPeer: () => void
}

/** What a filesystem tells about itself; each part is a part of `status`. */
export interface FilesystemStatus {
  readonly drive: string
  readonly device: StatusReport['device']
  readonly peers: StatusReport['peers']
  readonly generations: StatusReport['generations']
  readonly backlog: StatusReport['backlog']
  readonly alarms: readonly Alarm[]
}

/** Operations that a filesystem carries out by itself. */
export type FilesystemOperations = DeviceOperations &
  AttachOperations &
  Pick<Operations, 'conflicts'>

/** A mounted filesystem. */
export interface Filesystem {
  /** Cheap; asks the store's thread. */
  status(): Promise<FilesystemStatus>
  /** Resolves when all that was written before is in the Corestore, and durable. */
  flush(call: Call): Promise<void>
  /**
   * Takes the mount away. May be called again after a failure.
   * @param lazy also when files are open
   * @throws {Failure} `mount-busy` when files are open
   */
  unmount(lazy: boolean): Promise<void>
  /** Makes everything durable and lets go of the home. After `unmount`. */
  close(): Promise<void>
  /** What else operators can ask. */
  readonly operations: FilesystemOperations
  /** What can be looked at while it runs. */
  examine(): Promise<Finding[]>
}

/** Opens a filesystem; resolves when the mount answers. */
export type OpenFilesystem = (options: FilesystemOptions) => Promise<Filesystem>
