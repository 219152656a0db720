/**
 * Who belongs: a pure function of the set of group records. Every device that has the same records
 * computes the same membership, whatever it heard first and however often.
 *
 * The parts: `membership-set` (which records are authentic), `membership-cuts` (what a revocation
 * takes away), `membership-standing` (which records count), `membership-epochs`, and here what it
 * means for devices.
 */
import type { CorePin, Grant, Revocation, Role, Sealed } from './group-body.js'
import type { PublicKey, RecordHash } from './group-keys.js'
import type { GroupRecord, RecordVerifier } from './group-record.js'
import type { Cutter } from './membership-cuts.js'
import { type Epochs, epochsOf } from './membership-epochs.js'
import { type DriveIdentity, Hearing, type RecordSet, recordSetOf } from './membership-set.js'
import { type Standing, standingOf } from './membership-standing.js'

/**
 * active: a member; sealed: a later generation of the same device took over; suspended: nothing new
 * of it counts until a person decides; revoked: put out; void: its admission does not count.
 */
export type GenerationState = 'active' | 'sealed' | 'suspended' | 'revoked' | 'void'

/** What a person is told of. */
export type GroupAlarm =
  | { readonly code: 'FORKED'; readonly generation: PublicKey }
  | { readonly code: 'HANDED_OVER_TWICE'; readonly generation: PublicKey }
  | { readonly code: 'CONTESTED'; readonly author: PublicKey; readonly target: PublicKey }
  | { readonly code: 'RECOVERED'; readonly record: RecordHash; readonly author: PublicKey }
  | { readonly code: 'UPGRADE_NEEDED'; readonly record: RecordHash; readonly author: PublicKey }

/** One set of keys and cores of a device. */
export interface Generation {
  readonly key: PublicKey
  /** The key of the device's first generation: the device's id. */
  readonly device: PublicKey
  readonly grant: Grant
  readonly role: Role
  /** The generation that it took over from. */
  readonly from: PublicKey | null
  /** Who admitted it; itself for the first device, a recovered one and a hand-over. */
  readonly admittedBy: PublicKey
  readonly state: GenerationState
  /** What of its cores counts; null: all. A core that is not in it counts for nothing. */
  readonly cut: readonly CorePin[] | null
}

/** One home. */
export interface Device {
  /** The signing key of its first generation. */
  readonly id: PublicKey
  readonly role: Role
  /** That of its newest generation. */
  readonly state: GenerationState
  readonly current: Generation
  /** Oldest first. */
  readonly generations: readonly Generation[]
}

/** A revocation that is in force, or contested. */
export interface RevocationState extends Revocation {
  readonly record: RecordHash
  readonly author: PublicKey
  readonly isContested: boolean
  /** Members (device ids) that have said nothing since they may have heard of it. */
  readonly unheard: readonly PublicKey[]
}

/** See the file's head. */
export interface Membership extends DriveIdentity {
  /** null: the drive's first record is not here yet, and nobody belongs. */
  readonly recoveryBox: PublicKey | null
  /** Ascending by id. */
  readonly devices: readonly Device[]
  readonly generations: ReadonlyMap<PublicKey, Generation>
  readonly revocations: readonly RevocationState[]
  readonly epochs: Epochs
  /** Sealed settings, those that came after others last. */
  readonly settings: readonly (Sealed & { readonly record: RecordHash })[]
  /** What a member may say for the first time: hand-overs and revocations that it may know of. */
  readonly acknowledgeable: readonly RecordHash[]
  readonly alarms: readonly GroupAlarm[]
  /** Hashes of the records that count. */
  readonly counted: ReadonlySet<RecordHash>
}

/**
 * Computes the membership of a drive.
 * @param records in any order, any number of times, hostile ones among them
 */
export function membershipOf(
  records: Iterable<GroupRecord>,
  drive: DriveIdentity,
  verifier: RecordVerifier
): Membership {
  return membershipOfSet(recordSetOf(records, drive, verifier))
}

/** The membership of records that were verified already. */
export function membershipOfSet(set: RecordSet): Membership {
  const hearing = new Hearing(set)
  const standing = standingOf(set, hearing)
  const generations = generationsOf(set, standing)
  const devices = devicesOf(generations)
  const counted = standing.surely.records
  const records = set.records.filter(({ hash }) => counted.has(hash))
  const readers = devices.filter(isReader).map(({ current }) => current.key)
  const { genesis } = set
  return {
    drive: set.drive,
    identity: set.identity,
    recoveryBox: genesis?.body.type === 'genesis' ? genesis.body.recoveryBox : null,
    devices,
    generations,
    revocations: revocationsOf(set, standing, hearing, devices),
    epochs: epochsOf(records, readers),
    settings: settingsOf(records, hearing),
    acknowledgeable: records
      .filter(({ body }) => body.type === 'revoke' || body.type === 'generation')
      .map(({ hash }) => hash)
      .concat(contestedHashes(standing)),
    alarms: alarmsOf(set, standing, records),
    counted
  }
}

/** Whether a device is a member that may hold keys. */
export function isReader({ role, state }: Device): boolean {
  return state === 'active' && role !== 'blind'
}

function contestedHashes({ contested }: Standing): readonly RecordHash[] {
  return contested.map(({ source }) => source.hash)
}

function generationsOf(set: RecordSet, standing: Standing): ReadonlyMap<PublicKey, Generation> {
  const generations = new Map<PublicKey, Generation>()
  for (const key of [...set.grants.keys()].sort()) {
    const generation = generationOf(set, standing, key)
    if (generation !== null) generations.set(key, generation)
  }
  return generations
}

function generationOf(set: RecordSet, standing: Standing, key: PublicKey): Generation | null {
  const grants = set.grants.get(key) ?? []
  const rank = ({ record }: { readonly record: GroupRecord }): number => {
    if (standing.surely.records.has(record.hash)) return 2
    return standing.possibly.records.has(record.hash) ? 1 : 0
  }
  // Of several admissions of one key (its keys and cores are the same) the one that counts most.
  const [best] = [...grants].sort(
    (a, b) => rank(b) - rank(a) || (a.record.hash < b.record.hash ? -1 : 1)
  )
  if (best === undefined) return null
  const role = standing.surely.roles.get(key) ?? standing.possibly.roles.get(key)
  return {
    key,
    device: rootOf(set, key),
    grant: best.grant,
    from: best.from,
    role: role ?? best.grant.role,
    admittedBy: best.record.author,
    state: stateOf(set, standing, key),
    cut: cutOf(standing, key)
  }
}

function stateOf(set: RecordSet, standing: Standing, key: PublicKey): GenerationState {
  const { surely, possibly, effective, contested, splits } = standing
  const isCovered = (cutter: Cutter): boolean =>
    cutter.revocation !== null && cutter.covers.has(key)
  if (effective.some(isCovered)) return 'revoked'
  if (!possibly.roles.has(key)) return 'void'
  if (!surely.roles.has(key) || contested.some(isCovered)) return 'suspended'
  if (splits.has(key) || isForked(set, standing, key)) return 'suspended'
  const successors = set.handOvers.get(key) ?? []
  return successors.some(({ hash }) => surely.records.has(hash)) ? 'sealed' : 'active'
}

/** Whether an author signed two different records with the same number, and both still count. */
function isForked(set: RecordSet, { possibly }: Standing, key: PublicKey): boolean {
  const numbers = new Set<number>()
  for (const { sequence, hash } of set.byAuthor.get(key) ?? []) {
    if (!possibly.records.has(hash)) continue
    if (numbers.has(sequence)) return true
    numbers.add(sequence)
  }
  return false
}

/** What of a generation's cores counts: the least that any revocation or seal in force leaves. */
function cutOf({ effective }: Standing, key: PublicKey): readonly CorePin[] | null {
  let cut: readonly CorePin[] | null = null
  for (const { source, revocation, allowed } of effective) {
    if (!allowed.has(key)) continue
    const { body } = source
    const seals = body.type === 'generation' && body.seal !== null ? [body.seal] : []
    const pins = (revocation?.pins ?? seals).filter(({ generation }) => generation === key)
    // A generation that a revocation covers and does not list counts for nothing.
    for (const cores of pins.length === 0 ? [[]] : pins.map((pin) => pin.cores)) {
      cut = cut === null ? cores : leastOf(cut, cores)
    }
  }
  return cut === null ? null : [...cut].sort((a, b) => (a.key < b.key ? -1 : 1))
}

function leastOf(a: readonly CorePin[], b: readonly CorePin[]): readonly CorePin[] {
  return a.flatMap((pin) => {
    const other = b.find(({ key }) => key === pin.key)
    if (other === undefined) return []
    return [comparePins(pin, other) <= 0 ? pin : other]
  })
}

function comparePins(a: CorePin, b: CorePin): number {
  return a.length - b.length || a.fork - b.fork || a.treeHash.compare(b.treeHash)
}

function rootOf(set: RecordSet, key: PublicKey): PublicKey {
  const seen = new Set([key])
  for (const generation of seen) {
    const from = set.grants.get(generation)?.find((grant) => grant.from !== null)?.from
    if (from === undefined || from === null) return generation
    if (seen.has(from)) return [...seen].sort()[0] ?? key
    seen.add(from)
  }
  return key
}

function devicesOf(generations: ReadonlyMap<PublicKey, Generation>): readonly Device[] {
  const byDevice = new Map<PublicKey, Generation[]>()
  for (const generation of generations.values()) {
    byDevice.set(generation.device, [...(byDevice.get(generation.device) ?? []), generation])
  }
  return [...byDevice.keys()].sort().flatMap((id) => {
    const all = inOrder(byDevice.get(id) ?? [], id)
    const current = currentOf(all)
    if (current === null) return []
    return [{ id, role: current.role, state: current.state, current, generations: all }]
  })
}

/** Oldest first: each behind the one that it took over from. */
function inOrder(generations: readonly Generation[], root: PublicKey): readonly Generation[] {
  const ordered = generations.filter(({ key }) => key === root)
  const rest = new Set(generations.filter(({ key }) => key !== root))
  for (const before of ordered) {
    for (const next of rest) {
      if (next.from !== before.key) continue
      ordered.push(next)
      rest.delete(next)
    }
  }
  return [...ordered, ...rest]
}

/** The newest generation that is not void; of a revoked or suspended device the newest of all. */
function currentOf(generations: readonly Generation[]): Generation | null {
  const alive = generations.filter(({ state }) => state !== 'void' && state !== 'sealed')
  return alive.at(-1) ?? generations.at(-1) ?? null
}

function revocationsOf(
  set: RecordSet,
  standing: Standing,
  hearing: Hearing,
  devices: readonly Device[]
): readonly RevocationState[] {
  const heardBy = (device: Device, record: GroupRecord): boolean =>
    device.generations.some(({ key }) =>
      (set.byAuthor.get(key) ?? []).some(
        (own) => standing.possibly.records.has(own.hash) && hearing.hasSeen(own, record)
      )
    )
  const list = (cutters: readonly Cutter[], isContested: boolean): readonly RevocationState[] =>
    cutters.flatMap(({ source, revocation }) => {
      if (revocation === null) return []
      const unheard = devices.filter((device) => isReader(device) && !heardBy(device, source))
      return [
        {
          ...revocation,
          record: source.hash,
          author: source.author,
          isContested,
          unheard: unheard.map(({ id }) => id)
        }
      ]
    })
  return [...list(standing.effective, false), ...list(standing.contested, true)]
}

/** By how many of them their authors had seen: whoever knew of another's comes behind it. */
function settingsOf(
  records: readonly GroupRecord[],
  hearing: Hearing
): readonly (Sealed & { readonly record: RecordHash })[] {
  const all = records.filter(({ body }) => body.type === 'settings')
  const known = (record: GroupRecord): number =>
    all.filter((other) => hearing.hasSeen(record, other)).length
  return all
    .flatMap((record) =>
      record.body.type === 'settings' ? [{ record, sealed: record.body.sealed }] : []
    )
    .map(({ record, sealed }) => ({ ...sealed, record: record.hash, rank: known(record) }))
    .sort((a, b) => a.rank - b.rank || (a.record < b.record ? -1 : 1))
    .map(({ epoch, bytes, record }) => ({ epoch, bytes, record }))
}

function alarmsOf(
  set: RecordSet,
  standing: Standing,
  counted: readonly GroupRecord[]
): readonly GroupAlarm[] {
  const alarms: GroupAlarm[] = []
  for (const key of [...set.grants.keys()].sort()) {
    if (isForked(set, standing, key)) alarms.push({ code: 'FORKED', generation: key })
    if (standing.splits.has(key)) alarms.push({ code: 'HANDED_OVER_TWICE', generation: key })
  }
  for (const { source, revocation } of standing.contested) {
    if (revocation === null) continue
    alarms.push({ code: 'CONTESTED', author: source.author, target: revocation.target })
  }
  for (const { body, hash, author } of counted) {
    if (body.type === 'recover') alarms.push({ code: 'RECOVERED', record: hash, author })
    if (body.type === 'unknown') alarms.push({ code: 'UPGRADE_NEEDED', record: hash, author })
  }
  return alarms
}
