/**
 * Wires the filesystem up: native session, store thread, index, vfs, dispatcher; opens upward and
 * closes downward.
 */
import { readFileSync } from 'node:fs'
import { Alarms } from '../base/alarms.js'
import { openInSteps, type CloseStack } from '../base/close-stack.js'
import type { Clock } from '../base/clock.js'
import { Failure } from '../control/failure.js'
import type { Finding } from '../control/operations.js'
import { toGenerationNumber } from '../format/ids.js'
import { AttachedHandlers } from '../fuse/attached-handlers.js'
import { Dispatcher } from '../fuse/dispatcher.js'
import { loadNative, type Native, type Session } from '../fuse/native.js'
import { Index } from '../union/index-store.js'
import { Filesystem as Vfs } from '../vfs/filesystem.js'
import { Attachments } from './attachments.js'
import { ConflictNotice, listConflicts } from './conflicts.js'
import { deviceOperations, tellAdmission } from './device-operations.js'
import { Devices } from './devices.js'
import type { FilesystemOperations } from './filesystem.js'
import type { Filesystem, FilesystemOptions, OpenFilesystem } from './filesystem.js'
import { limitsOf } from './limits.js'
import { LastSeen } from './last-seen.js'
import { fillIndex } from './offline.js'
import { currentBootId } from './state.js'
import type { StoreInfo } from './store-calls.js'
import { StoreClient } from './store-client.js'

/** File times come from the same clock in both threads and in the native side. */
function nativeClock(native: Native): Clock {
  return {
    nowNs: () => native.nowNs(),
    nowMs: () => Date.now(),
    monotonicMs: () => performance.now()
  }
}

/** How often a long operation says how far it is. */
const PROGRESS_MS = 500

interface Parts {
  readonly native: Native
  readonly session: Session
  readonly dispatcher: Dispatcher
  readonly store: StoreClient
  readonly info: StoreInfo
  readonly vfs: Vfs
  readonly alarms: Alarms
  readonly devices: Devices
  readonly lastSeen: LastSeen
  readonly attachments: Attachments
}

/** A mounted filesystem; see `filesystem.ts`. */
class MountedFilesystem implements Filesystem {
  readonly operations: FilesystemOperations

  constructor(
    private readonly parts: Parts,
    private readonly stack: CloseStack
  ) {
    const { store, devices, lastSeen, vfs, attachments } = parts
    this.operations = {
      ...deviceOperations({ store, known: () => devices.known, lastSeen }),
      ...attachments.operations,
      conflicts: async (_, { signal }) => ({
        conflicts: await listConflicts(vfs.volume.parts.index, signal)
      })
    }
  }

  async status(): ReturnType<Filesystem['status']> {
    const { store, vfs, alarms, devices } = this.parts
    const { peers, generations } = await devices.status()
    const info = await store.call('info')
    const { records } = vfs.volume.parts.tracker.counts
    const { dbLength: length, byteLength } = info
    return {
      drive: info.drive,
      device: { name: info.deviceName, role: info.role },
      peers,
      generations: [
        {
          device: info.deviceName,
          generation: info.generation.toString(16),
          length,
          held: length,
          byteLength
        },
        ...generations
      ],
      backlog: { spoolBytes: vfs.backlogBytes(), records, uploadBytes: 0 },
      alarms: alarms.list()
    }
  }

  flush: Filesystem['flush'] = async (call) => {
    const { vfs, store } = this.parts
    const total = vfs.backlogBytes()
    const { byteLength: before } = await store.call('info')
    const tell = async (): Promise<void> => {
      const { byteLength } = await store.call('info')
      call.progress({ done: Math.min(byteLength - before, total), total, unit: 'bytes' })
    }
    // A store that fails says so to the flush itself.
    const timer = setInterval(() => void tell().catch(() => undefined), PROGRESS_MS)
    try {
      await vfs.flush()
    } finally {
      clearInterval(timer)
    }
  }

  async unmount(lazy: boolean): Promise<void> {
    try {
      await this.parts.session.unmount({ lazy })
    } catch (error) {
      if (!(error instanceof Error && 'code' in error && error.code === 'EBUSY')) throw error
      throw new Failure('mount-busy', 'files in the mount are open; close them, or use --lazy', {
        cause: error
      })
    }
  }

  async close(): Promise<void> {
    await this.stack.close()
  }

  async examine(): Promise<Finding[]> {
    const space = await this.parts.store.space()
    const message = `${space.diskBytes} bytes on disk, ${space.reclaimableBytes} to be reclaimed`
    return [{ check: 'store', state: 'ok', message, mend: null }]
  }
}

/** The name of a process, or null when it is gone or not ours to see. */
function processName(pid: number): string | null {
  try {
    return readFileSync(`/proc/${pid}/comm`, 'utf8').trim()
  } catch {
    return null
  }
}

function mountSession(native: Native, options: FilesystemOptions, onWork: () => void): Session {
  const { allowOther, suid, dev } = options.config
  return native.mount(
    {
      mountpoint: options.mountPath,
      fsname: options.home.root,
      allowOther,
      suid,
      dev,
      undoDir: options.home.spool
    },
    { onWork }
  )
}

function makeVfs(
  options: FilesystemOptions,
  parts: Omit<Parts, 'vfs' | 'attachments'> & { index: Index; notice: ConflictNotice }
): Vfs {
  const { native, session, store, info, index, alarms, devices } = parts
  const { home, config, log, fault } = options
  const limits = limitsOf(home.root, process.env)
  return new Vfs({
    journalDirectory: home.journal,
    spoolDirectory: home.spool,
    index,
    plane: session,
    store,
    generation: toGenerationNumber(info.generation),
    ownership: {
      numericIds: config.numericIds,
      uid: process.geteuid?.() ?? 0,
      gid: process.getegid?.() ?? 0
    },
    clock: nativeClock(native),
    crc32c: (bytes, seed) => native.crc32c(bytes, seed),
    bootId: currentBootId(),
    salt: Buffer.from(info.drive, 'hex').readBigUInt64LE(0),
    ...limits,
    background: { limits: limits.background, nameOf: processName },
    deviceName: (generation) => devices.nameOf(generation),
    isKnown: (generation) => devices.isKnown(generation),
    belonging: () => devices.belonging(),
    onConflict: () => parts.notice.note(),
    alarms,
    log,
    fault
  })
}

function attach(parts: {
  readonly options: FilesystemOptions
  readonly session: Session
  readonly vfs: Vfs
  readonly dispatcher: Dispatcher
}): Attachments {
  const { options, session, vfs, dispatcher } = parts
  const { home, log, config } = options
  const attachments = new Attachments({
    home,
    vfs,
    network: config.network,
    keepBytes: limitsOf(home.root, process.env).attachedBytes,
    nowMs: () => Date.now(),
    log
  })
  const { foreign, grafts } = attachments
  dispatcher.attached = new AttachedHandlers({ session, foreign, grafts })
  return attachments
}

/** The fault points inside of native code; all others are JavaScript's. */
const NATIVE_FAULT = /^(write|sync)\./

/** Opens the filesystem of a home and mounts it. */
export const openFilesystem: OpenFilesystem = async (options) =>
  openInSteps(async (stack) => {
    const { home, log, faultPlan } = options
    const native = loadNative()
    let dispatcher: Dispatcher | null = null
    const session = mountSession(native, options, () => dispatcher?.work())
    stack.push(() => session.close())
    // Native code knows only its own points, and refuses other names.
    if (faultPlan !== null && NATIVE_FAULT.test(faultPlan.name)) {
      session.setFault(faultPlan.name, faultPlan.countdown)
    }
    const { client: store, info } = await StoreClient.open({
      keyringPath: home.keyring,
      storeDirectory: home.store,
      sessionId: session.id,
      network: options.config.network,
      fault: faultPlan
    })
    stack.push(() => store.close())
    const index = Index.open(home.index)
    stack.push(() => index.close())
    if (index.isEmpty && info.dbLength > 0) {
      log.warn({}, 'the index is gone; it is made anew from the store')
      const { journal } = home
      await fillIndex(index, { store, info, journal }, nativeClock(native), () => undefined)
    }
    let isEnded = false
    dispatcher = new Dispatcher({
      session,
      now: () => native.nowNs(),
      log,
      onEnded: () => {
        if (!isEnded) options.onEnded()
        isEnded = true
      }
    })
    const alarms = new Alarms()
    tellAdmission(home, alarms, info.deviceName)
    const lastSeen = new LastSeen(home.lastSeen, nativeClock(native), log)
    const notice = new ConflictNotice()
    stack.push(() => notice.close())
    const devices = new Devices({
      store,
      known: info.known,
      alarms,
      log,
      monotonicMs: () => performance.now(),
      onPeer: options.onPeer,
      lastSeen
    })
    const parts = { native, session, dispatcher, store, info, alarms, devices, lastSeen }
    const vfs = makeVfs(options, { ...parts, index, notice })
    dispatcher.attach(vfs)
    const report = await vfs.open()
    log.info({ ...report }, 'recovered')
    stack.push(() => vfs.close())
    devices.start(vfs)
    stack.push(() => devices.close())
    const attachments = attach({ options, session, vfs, dispatcher })
    stack.push(() => attachments.close())
    dispatcher.serve()
    return new MountedFilesystem({ ...parts, vfs, attachments }, stack)
  })
