/** What operators ask about the drive's devices, answered from the store's thread. */
import { existsSync, rmSync } from 'node:fs'
import type { Alarms } from '../base/alarms.js'
import { FsError } from '../base/errors.js'
import { Failure } from '../control/failure.js'
import type { Call, DeviceReport, Operations } from '../control/operations.js'
import type { ConnectedPeer, FollowedStatus } from './device-network.js'
import type { HomePaths } from './home.js'
import type { LastSeen } from './last-seen.js'
import type { StoreClient } from './store-client.js'
import type { KnownGeneration } from './store-events.js'

/** A device was admitted without digits, by whoever held the code. */
export const BEARER_ALARM = 'BEARER_INVITE'

/** What it works with. */
export interface DeviceOperationsParts {
  readonly store: Pick<StoreClient, 'call'>
  /** Everybody who belongs or belonged, now. */
  readonly known: () => readonly KnownGeneration[]
  readonly lastSeen: LastSeen
}

/** The operations that it carries out. */
export type DeviceOperations = Pick<
  Operations,
  'devices' | 'invite' | 'inviteAnswered' | 'inviteConfirm' | 'inviteCancel'
>

/** Makes the operations. */
export function deviceOperations(parts: DeviceOperationsParts): DeviceOperations {
  const { store } = parts
  return {
    devices: async () => ({ devices: await listDevices(parts) }),
    invite: async (args) => {
      const { code, expiresMs } = await refusable(store.call('invite', args))
      return { code, expires: new Date(expiresMs).toISOString() }
    },
    inviteAnswered: async ({ code }, call) =>
      refusable(orGone(store.call('inviteAnswered', code), call)),
    inviteConfirm: async ({ code, digits }) => refusable(store.call('inviteConfirm', code, digits)),
    inviteCancel: async ({ code }) => {
      await store.call('inviteCancel', code)
      return {}
    }
  }
}

/** Tells of a device that nobody has confirmed. */
export function raiseBearerAlarm(alarms: Alarms, device: string, isThis: boolean): void {
  const message = isThis
    ? 'this device was admitted by a code alone: whoever had the code could have been'
    : `${device} was admitted by a code alone: make sure that it is yours ('pcfs device list')`
  alarms.raise(BEARER_ALARM, message, device)
}

/** Says once, in the first life of a home, that nobody has confirmed its admission. */
export function tellAdmission(
  { byCodeAlone }: Pick<HomePaths, 'byCodeAlone'>,
  alarms: Alarms,
  device: string
): void {
  if (!existsSync(byCodeAlone)) return
  raiseBearerAlarm(alarms, device, true)
  rmSync(byCodeAlone, { force: true })
}

async function listDevices(parts: DeviceOperationsParts): Promise<DeviceReport[]> {
  const { store, known, lastSeen } = parts
  const [connected, followed, { byteLength: ownBytes }] = await Promise.all([
    store.call('peers'),
    store.call('followed'),
    store.call('info')
  ])
  return describeDevices({ known: known(), connected, followed, lastSeen, ownBytes })
}

/** What is known of the devices. */
export interface KnownDevices {
  readonly known: readonly KnownGeneration[]
  readonly connected: readonly ConnectedPeer[]
  readonly followed: readonly FollowedStatus[]
  readonly lastSeen: LastSeen
  /** What this device has written, bytes. */
  readonly ownBytes: number
}

/** The devices as operators see them: this one first, then by name. */
export function describeDevices(all: KnownDevices): DeviceReport[] {
  const { known, connected, followed, lastSeen, ownBytes } = all
  const byDevice = new Map<string, KnownGeneration[]>()
  for (const one of known) {
    byDevice.set(one.device, [...(byDevice.get(one.device) ?? []), one])
  }
  const reports: DeviceReport[] = []
  for (const [id, generations] of byDevice) {
    const current = newestOf(generations)
    const isThis = generations.some(({ isOwn }) => isOwn)
    const seenMs = isThis ? Date.now() : lastSeen.of(id)
    reports.push({
      name: current.name ?? `device ${id.slice(0, 8)}`,
      role: current.role,
      state: current.state,
      lastSeen: seenMs === null ? null : new Date(seenMs).toISOString(),
      path: connected.find((peer) => peer.id === id)?.path ?? null,
      isThis,
      holds: HOLDS[current.role],
      byteLength: isThis ? ownBytes : bytesOf(generations, followed)
    })
  }
  return reports.sort((a, b) => Number(b.isThis) - Number(a.isThis) || compare(a.name, b.name))
}

const HOLDS: Readonly<Record<DeviceReport['role'], string>> = {
  personal: 'what it uses',
  cloud: 'everything',
  blind: 'everything, unreadable'
}

const STATES: readonly KnownGeneration['state'][] = ['active', 'suspended', 'revoked', 'sealed']

/** The generation that says what a device is now; devices have at least one. */
function newestOf(generations: readonly KnownGeneration[]): KnownGeneration {
  const sorted = [...generations].sort((a, b) => STATES.indexOf(a.state) - STATES.indexOf(b.state))
  const [first] = sorted
  if (first === undefined) throw new FsError('EIO', 'a device without a generation')
  return first
}

function bytesOf(
  generations: readonly KnownGeneration[],
  followed: readonly FollowedStatus[]
): number {
  const numbers = new Set(generations.map(({ generation }) => generation))
  const theirs = followed.filter(({ generation }) => numbers.has(generation))
  return theirs.reduce((sum, { db, blobs }) => sum + db.byteLength + blobs.byteLength, 0)
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}

/** What a device may not do, or was refused, as a script can tell it apart. */
async function refusable<T>(work: Promise<T>): Promise<T> {
  try {
    return await work
  } catch (error) {
    const isRefusal = error instanceof FsError && ['EACCES', 'EPERM'].includes(error.code)
    if (!isRefusal) throw error
    throw new Failure('refused', error.message, { code: error.code, cause: error })
  }
}

/** Ends the waiting when the asker has gone. */
function orGone<T>(work: Promise<T>, { signal }: Call): Promise<T> {
  return new Promise((resolve, reject) => {
    signal.addEventListener('abort', () => reject(new FsError('ECANCELED')), { once: true })
    work.then(resolve, reject)
  })
}
