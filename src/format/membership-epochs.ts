/** Which epoch a device writes under, and who lacks which key. */
import type { Seal } from './group-body.js'
import {
  EPOCH_ID_BYTES,
  type EpochId,
  type PublicKey,
  type RecordHash,
  toEpochId
} from './group-keys.js'
import type { GroupRecord } from './group-record.js'

/** A content key, as far as records tell of it. */
export interface Epoch {
  readonly id: EpochId
  /** H("epoch", drive, key), 32 bytes. */
  readonly commitment: Buffer
  /**
   * Everyone who has the key by records that count, ascending: those whom it was sealed to, and
   * those who sealed it.
   */
  readonly recipients: readonly PublicKey[]
  /** Every seal, with the record that has it; a bad one may stand beside a good one. */
  readonly seals: readonly (Seal & { readonly record: RecordHash })[]
  /** The key for the phrase. */
  readonly recoverySeals: readonly Buffer[]
  /** Whether every recipient is a member that reads: content may be written under it. */
  readonly isSafe: boolean
}

/** A member that an epoch's key has to be sealed to, for it to read. */
export interface MissingSeal {
  readonly epoch: EpochId
  readonly recipient: PublicKey
}

/** The epochs of a drive. */
export interface Epochs {
  /** Ascending by id, then commitment. */
  readonly all: readonly Epoch[]
  /** What this group writes under; null: a member that reads has to make one. */
  readonly current: Epoch | null
  /** For members that read. */
  readonly missing: readonly MissingSeal[]
}

/** The id of the epoch with this commitment. */
export function epochIdOf(commitment: Buffer): EpochId {
  return toEpochId(commitment.subarray(0, EPOCH_ID_BYTES))
}

/**
 * @param records that count
 * @param readers the newest generation of each member that may read
 */
export function epochsOf(records: readonly GroupRecord[], readers: readonly PublicKey[]): Epochs {
  const reading = new Set(readers)
  const byCommitment = new Map<string, GroupRecord[]>()
  for (const record of records) {
    if (record.body.type !== 'epoch') continue
    const name = record.body.commitment.toString('hex')
    byCommitment.set(name, [...(byCommitment.get(name) ?? []), record])
  }
  const all = [...byCommitment.keys()]
    .sort()
    .map((name) => epochFrom(byCommitment.get(name) ?? [], Buffer.from(name, 'hex'), reading))
  return { all, current: currentOf(all, readers), missing: missingOf(all, readers) }
}

function epochFrom(
  records: readonly GroupRecord[],
  commitment: Buffer,
  readers: ReadonlySet<PublicKey>
): Epoch {
  const recipients = new Set<PublicKey>()
  const seals: (Seal & { readonly record: RecordHash })[] = []
  const recoverySeals: Buffer[] = []
  for (const { author, body, hash } of records) {
    if (body.type !== 'epoch') continue
    recipients.add(author)
    for (const seal of body.seals) {
      recipients.add(seal.recipient)
      seals.push({ ...seal, record: hash })
    }
    if (body.recoverySeal !== null) recoverySeals.push(body.recoverySeal)
  }
  return {
    id: epochIdOf(commitment),
    commitment,
    recipients: [...recipients].sort(),
    seals,
    recoverySeals,
    isSafe: [...recipients].every((key) => readers.has(key))
  }
}

/**
 * The safe epoch that the most members read, and of several the one with the smallest id: so a
 * device that was just admitted is not kept out by an older key that it has not got yet.
 */
function currentOf(all: readonly Epoch[], readers: readonly PublicKey[]): Epoch | null {
  const count = ({ recipients }: Epoch): number =>
    readers.filter((reader) => recipients.includes(reader)).length
  let best: Epoch | null = null
  for (const epoch of all) {
    if (epoch.isSafe && (best === null || count(epoch) > count(best))) best = epoch
  }
  return best
}

function missingOf(all: readonly Epoch[], readers: readonly PublicKey[]): readonly MissingSeal[] {
  return all.flatMap(({ id, recipients }) =>
    readers
      .filter((reader) => !recipients.includes(reader))
      .map((recipient) => ({ epoch: id, recipient }))
  )
}
