/**
 * What a member does by itself: it acknowledges, gives keys to who lacks them, and makes an epoch
 * when there is none to write under. All of it may be done by several members at once; that is
 * superfluous, never wrong.
 */
import { withDeadline } from '../base/deadline.js'
import { FsError } from '../base/errors.js'
import type { CorePin, Grant, Pin, Revocation } from '../format/group-body.js'
import type { CoreKey, PublicKey, RecordHash } from '../format/group-keys.js'
import { headOf } from '../format/group-author.js'
import { type Device, isReader } from '../format/membership.js'
import { toEpochId } from '../format/group-keys.js'
import { newEpoch } from '../keys/epoch.js'
import type { EpochRing } from '../keys/epoch-ring.js'
import { epochBody, sealText } from '../keys/sealing.js'
import type { Group } from './group.js'

/** Hashes in one acknowledgement: within the bounds of a record. */
const MAX_ACKNOWLEDGED = 64

/**
 * Says what this device has heard of: revocations and hand-overs of others, and (in its first
 * record) that it was admitted, so that it can not be said later that it knew nobody.
 * @returns how many records were acknowledged
 * @throws {FsError} as `Group.append`
 */
export async function acknowledge(group: Group): Promise<number> {
  if (!canSpeak(group)) return 0
  const { set, me, membership } = group
  const own = set.byAuthor.get(me) ?? []
  const said = new Set(own.flatMap(({ body }) => (body.type === 'acknowledge' ? body.records : [])))
  const device = group.device?.id
  const heard = membership.acknowledgeable.filter((hash) => {
    const author = set.byHash.get(hash)?.author
    return author !== undefined && membership.generations.get(author)?.device !== device
  })
  const admission = own.length === 0 ? (set.grants.get(me) ?? []) : []
  const all = [...admission.map(({ record }) => record.hash), ...heard]
  const records = [...new Set(all)].filter((hash) => !said.has(hash))
  for (let at = 0; at < records.length; at += MAX_ACKNOWLEDGED) {
    const some: readonly RecordHash[] = records.slice(at, at + MAX_ACKNOWLEDGED)
    await group.append({ type: 'acknowledge', records: some })
  }
  return records.length
}

/**
 * Seals the keys of epochs that this device has to the members that lack them, and takes those that
 * were sealed to it.
 * @returns how many seals were made
 * @throws {FsError} as `Group.append`
 */
export async function sealMissing(group: Group, ring: EpochRing): Promise<number> {
  await ring.adopt(group.membership.epochs)
  if (!canSpeak(group)) return 0
  let count = 0
  for (const epoch of ring.epochs) {
    const id = toEpochId(epoch.id)
    const lacking = group.membership.epochs.missing.filter((missing) => missing.epoch === id)
    const recipients = lacking.flatMap(({ recipient }) => grantOfMember(group, recipient))
    if (recipients.length === 0) continue
    const { drive } = ring.keyring
    await group.append(epochBody({ drive, epoch, recipients, recoveryBox: null }))
    count += recipients.length
  }
  return count
}

/**
 * Makes an epoch for all members that read, if there is none that is safe to write under.
 * @returns whether the group has an epoch now that this device can write under
 * @throws {FsError} as `Group.append`
 */
export async function ensureEpoch(group: Group, ring: EpochRing): Promise<boolean> {
  await ring.adopt(group.membership.epochs)
  if (group.membership.epochs.current === null && canSpeak(group)) {
    const { drive } = ring.keyring
    const readers = group.membership.devices.filter(isReader)
    const recipients = readers.map(({ current }) => current.grant)
    const { recoveryBox } = group.membership
    await group.append(epochBody({ drive, epoch: newEpoch(drive), recipients, recoveryBox }))
    await ring.adopt(group.membership.epochs)
  }
  const current = group.membership.epochs.current?.id
  return ring.currentEpoch !== null && toEpochId(ring.currentEpoch.id) === current
}

/**
 * Admits a device, and gives it all keys that this one has.
 * @param grant what it says of itself; its name is sealed here
 * @param witness its signature over the grant
 * @throws {FsError} EPERM when this device may not; as `Group.append`
 */
export async function admit(
  group: Group,
  ring: EpochRing,
  joiner: { readonly grant: Grant; readonly witness: Buffer; readonly name: string }
): Promise<void> {
  if (!group.isActive || group.device?.role !== 'personal') {
    throw new FsError('EPERM', 'only a personal device that is a member admits others')
  }
  await ensureEpoch(group, ring)
  const epoch = ring.currentEpoch
  const name = epoch === null ? null : sealText(epoch, joiner.name)
  await group.append({ type: 'device-add', device: { ...joiner.grant, name } }, joiner.witness)
  await sealMissing(group, ring)
}

/**
 * Waits until this device is a member and can read: what a device does that has just paired.
 * @param options `ms`: how long; `signal`: ends it sooner
 * @throws {FsError} ETIMEDOUT when nobody has admitted it (or refused, which it is not told);
 *   the signal's reason
 */
export async function admitted(
  group: Group,
  ring: EpochRing,
  options: { readonly ms: number; readonly signal?: AbortSignal }
): Promise<void> {
  const isReady = async (): Promise<boolean> => {
    await ring.adopt(group.membership.epochs)
    if (!group.isActive) return false
    return group.device?.role === 'blind' || ring.currentEpoch !== null
  }
  const what = 'being admitted by the inviting device'
  await withDeadline({ ...options, what }, async (signal) => {
    while (!(await isReady())) await changeOf(group, signal)
  })
  await acknowledge(group)
}

/** The next change of the membership. */
function changeOf(group: Group, signal: AbortSignal): Promise<void> {
  return new Promise<void>((resolve, reject) => {
    const end = (): void => {
      stop()
      signal.removeEventListener('abort', onAbort)
    }
    const onAbort = (): void => {
      end()
      reject(signal.reason instanceof Error ? signal.reason : new FsError('EINTR', 'ended'))
    }
    const stop = group.onChange(() => {
      end()
      resolve()
    })
    signal.addEventListener('abort', onAbort, { once: true })
  })
}

/**
 * What puts a device out and keeps everything of it that is here.
 * @param pinOf how much of a core is here; null: nothing
 */
export async function revocationOf(
  group: Group,
  device: Device,
  pinOf: (key: CoreKey) => Promise<CorePin | null>
): Promise<Revocation> {
  const pins: Pin[] = []
  for (const { key, grant, state } of device.generations) {
    // What a sealed one said is within its seal already.
    if (state === 'sealed' || state === 'void') continue
    const keys = grant.cores === null ? [] : Object.values<CoreKey>({ ...grant.cores })
    const cores = await Promise.all(keys.map(pinOf))
    const held = cores.filter((pin) => pin !== null)
    pins.push({ generation: key, head: headOf(group.set, key), cores: held })
  }
  return { target: device.id, pins }
}

/** Whether this device's word counts. */
function canSpeak(group: Group): boolean {
  const { device, isActive } = group
  return isActive && device !== null && device.role !== 'blind'
}

function grantOfMember(group: Group, key: PublicKey): readonly Grant[] {
  const generation = group.membership.generations.get(key)
  return generation === undefined ? [] : [generation.grant]
}
