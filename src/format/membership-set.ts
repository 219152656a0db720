/**
 * The records of one drive that are what they claim to be, and how they hang together.
 *
 * Invariants: whatever order or repetition the records come in, the set is the same; every record
 * in it is signed by its author, has the second signature that its type needs, names this drive,
 * and has all of its author's records before it in the set. Whether it counts is not decided here.
 */
import { type ChainHead, type Grant, grantSignable } from './group-body.js'
import type { CoreKey, PublicKey, RecordHash } from './group-keys.js'
import type { GroupRecord, RecordVerifier } from './group-record.js'

/** Which drive's records are looked at, and who may found it. */
export interface DriveIdentity {
  readonly drive: CoreKey
  /** The phrase's identity key. */
  readonly identity: PublicKey
}

/** A record that says that a key is a device. */
export interface GrantRecord {
  readonly record: GroupRecord
  readonly grant: Grant
  /** The generation that handed over; null: it is a new device. */
  readonly from: PublicKey | null
}

/** See the file's head. */
export interface RecordSet extends DriveIdentity {
  /** Ascending by author and sequence, then hash. */
  readonly records: readonly GroupRecord[]
  readonly byHash: ReadonlyMap<RecordHash, GroupRecord>
  readonly byAuthor: ReadonlyMap<PublicKey, readonly GroupRecord[]>
  /** The one that founded the drive; null: it is not here yet. */
  readonly genesis: GroupRecord | null
  /** Every claim that a key is a device, by that key. */
  readonly grants: ReadonlyMap<PublicKey, readonly GrantRecord[]>
  /** The hand-overs from a generation. */
  readonly handOvers: ReadonlyMap<PublicKey, readonly GroupRecord[]>
}

/** Gathers what is authentic and complete. */
export function recordSetOf(
  records: Iterable<GroupRecord>,
  drive: DriveIdentity,
  verifier: RecordVerifier
): RecordSet {
  const authentic = new Map<RecordHash, GroupRecord>()
  for (const record of records) {
    if (authentic.has(record.hash)) continue
    if (isAuthentic(record, drive, verifier)) authentic.set(record.hash, record)
  }
  const sorted = [...authentic.values()].sort(compareRecords)
  const byHash = new Map<RecordHash, GroupRecord>()
  for (const record of sorted) {
    const { previous } = record
    const before = previous === null ? null : byHash.get(previous)
    if (before === undefined) continue
    if (before !== null && !follows(record, before)) continue
    byHash.set(record.hash, record)
  }
  const complete = [...byHash.values()]
  const foundings = complete.filter(({ body }) => body.type === 'genesis')
  return {
    ...drive,
    records: complete,
    byHash,
    byAuthor: groupBy(complete, ({ author }) => author),
    // Only the phrase can make a second one; then all devices take the same.
    genesis: foundings.sort((a, b) => (a.hash < b.hash ? -1 : 1))[0] ?? null,
    grants: groupBy(complete.flatMap(grantOf), ({ grant }) => grant.signing),
    handOvers: groupBy(
      complete.filter(({ body }) => body.type === 'generation'),
      ({ body }) => (body.type === 'generation' ? body.from : null)
    )
  }
}

/** The claim that a record makes, if its type makes one. */
function grantOf(record: GroupRecord): readonly GrantRecord[] {
  const { body } = record
  switch (body.type) {
    case 'genesis':
    case 'device-add':
      return [{ record, grant: body.device, from: null }]
    case 'generation':
      return [{ record, grant: body.device, from: body.from }]
    case 'recover':
      return body.device === null ? [] : [{ record, grant: body.device, from: null }]
    default:
      return []
  }
}

function isAuthentic(
  record: GroupRecord,
  { drive, identity }: DriveIdentity,
  verifier: RecordVerifier
): boolean {
  if (record.drive !== drive) return false
  return (
    isWellFormed(record, drive, identity) &&
    isWitnessed(record, identity, verifier) &&
    verifier.signature(record.author, record.signed, record.signature)
  )
}

/** Whether a record's author may say at all what it says. */
function isWellFormed(record: GroupRecord, drive: CoreKey, identity: PublicKey): boolean {
  const { author, body, sequence } = record
  const isOwn = (grant: Grant): boolean => grant.signing === author && sequence === 0
  switch (body.type) {
    case 'genesis':
      return (
        body.identity === identity &&
        isOwn(body.device) &&
        body.device.role === 'personal' &&
        body.device.cores?.groupWriter === drive
      )
    case 'generation':
      return (
        isOwn(body.device) &&
        body.from !== author &&
        (body.seal === null || body.seal.generation === body.from)
      )
    case 'recover':
      return body.device === null || isOwn(body.device)
    case 'device-add':
      return body.device.signing !== author
    default:
      return true
  }
}

function isWitnessed(record: GroupRecord, identity: PublicKey, by: RecordVerifier): boolean {
  const { body, signed, witness } = record
  switch (body.type) {
    case 'genesis':
    case 'recover':
      return by.identity(identity, signed, witness)
    case 'generation':
      return by.signature(body.from, signed, witness)
    case 'device-add':
      return by.signature(body.device.signing, grantSignable(body.device), witness)
    default:
      return true
  }
}

function follows(record: GroupRecord, before: GroupRecord): boolean {
  return before.author === record.author && before.sequence === record.sequence - 1
}

function compareRecords(a: GroupRecord, b: GroupRecord): number {
  if (a.author !== b.author) return a.author < b.author ? -1 : 1
  if (a.sequence !== b.sequence) return a.sequence - b.sequence
  return a.hash < b.hash ? -1 : 1
}

function groupBy<K, T>(
  items: readonly T[],
  keyOf: (item: T) => K | null
): ReadonlyMap<K, readonly T[]> {
  const groups = new Map<K, T[]>()
  for (const item of items) {
    const key = keyOf(item)
    if (key === null) continue
    const group = groups.get(key)
    if (group === undefined) groups.set(key, [item])
    else group.push(item)
  }
  return groups
}

/**
 * A record of one author and all before it, as their hashes. Empty when it is not in the set.
 */
export function pathTo(set: RecordSet, author: PublicKey, head: ChainHead): Set<RecordHash> {
  const path = new Set<RecordHash>()
  let record = set.byHash.get(head.hash)
  if (record?.author !== author || record.sequence !== head.sequence) return path
  while (record !== undefined) {
    path.add(record.hash)
    record = record.previous === null ? undefined : set.byHash.get(record.previous)
  }
  return path
}

/** Who has heard of what, by the heads in the records: never by time. */
export class Hearing {
  readonly #set: RecordSet
  readonly #heads = new Map<RecordHash, ReadonlyMap<PublicKey, ChainHead>>()

  constructor(set: RecordSet) {
    this.#set = set
  }

  /** The newest record of each other author that was known to the author of a record. */
  headsOf(record: GroupRecord): ReadonlyMap<PublicKey, ChainHead> {
    // From the first record on, so that a long chain is no deep recursion.
    const chain: GroupRecord[] = []
    let known: ReadonlyMap<PublicKey, ChainHead> = new Map()
    let at: GroupRecord | undefined = record
    while (at !== undefined) {
      const done = this.#heads.get(at.hash)
      if (done !== undefined) {
        known = done
        break
      }
      chain.push(at)
      at = at.previous === null ? undefined : this.#set.byHash.get(at.previous)
    }
    for (const next of chain.reverse()) {
      if (next.heads.length > 0) known = raised(known, next)
      this.#heads.set(next.hash, known)
    }
    return known
  }

  /** A record and all that its author had said or cited, directly or by what it cited. */
  pastOf(record: GroupRecord): ReadonlySet<RecordHash> {
    const past = new Set([record.hash])
    for (const hash of past) {
      const at = this.#set.byHash.get(hash)
      if (at === undefined) continue
      if (at.previous !== null) past.add(at.previous)
      for (const head of at.heads) past.add(head.hash)
    }
    return past
  }

  /** Whether a record's author had another record when it wrote it. */
  hasSeen(record: GroupRecord, other: GroupRecord): boolean {
    const head = record.author === other.author ? record : this.headsOf(record).get(other.author)
    if (head === undefined || head.sequence < other.sequence) return false
    let at = this.#set.byHash.get(head.hash)
    // A head that is not here: its author can not be misquoted by us, so it is taken by its number.
    if (at === undefined) return true
    while (at !== undefined && at.sequence > other.sequence) {
      at = at.previous === null ? undefined : this.#set.byHash.get(at.previous)
    }
    return at?.hash === other.hash
  }
}

function raised(
  known: ReadonlyMap<PublicKey, ChainHead>,
  { heads }: GroupRecord
): ReadonlyMap<PublicKey, ChainHead> {
  const next = new Map(known)
  for (const head of heads) {
    const before = next.get(head.author)
    if (before === undefined || before.sequence < head.sequence) next.set(head.author, head)
  }
  return next
}
