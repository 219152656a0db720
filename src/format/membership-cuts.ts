/** What a revocation or a hand-over takes away: records and core blocks beyond a pin. */
import type { Revocation } from './group-body.js'
import type { PublicKey, RecordHash } from './group-keys.js'
import type { GroupRecord } from './group-record.js'
import { type RecordSet, pathTo } from './membership-set.js'

/** One revocation, or the seal of one hand-over, ready to be asked what it cuts. */
export interface Cutter {
  /** The record that says so. */
  readonly source: GroupRecord
  /** null: the seal of a hand-over. */
  readonly revocation: Revocation | null
  /** The generations that it is about. */
  readonly covers: ReadonlySet<PublicKey>
  /** Their records that count all the same; a generation that is not in it loses none. */
  readonly allowed: ReadonlyMap<PublicKey, ReadonlySet<RecordHash>>
}

/** What a record takes away from others; none for most types. */
export function cuttersOf(set: RecordSet, record: GroupRecord): readonly Cutter[] {
  const { body } = record
  switch (body.type) {
    case 'revoke':
      return [revocationCutter(set, record, body)]
    case 'recover':
      return body.revocations.map((revocation) => revocationCutter(set, record, revocation))
    case 'generation': {
      if (body.seal === null) return []
      const { head } = body.seal
      const allowed = head === null ? new Set<RecordHash>() : countedUpTo(set, body.from, head)
      const covers = new Set([body.from])
      return [
        { source: record, revocation: null, covers, allowed: new Map([[body.from, allowed]]) }
      ]
    }
    default:
      return []
  }
}

/** Whether a record counts for nothing if the cutter's source counts. */
export function cuts({ source, covers, allowed }: Cutter, record: GroupRecord): boolean {
  if (source.hash === record.hash || !covers.has(record.author)) return false
  // The phrase beats devices: what it signed is nobody's to take away.
  if (record.body.type === 'genesis' || record.body.type === 'recover') return false
  const path = allowed.get(record.author)
  return path !== undefined && !path.has(record.hash)
}

function revocationCutter(set: RecordSet, source: GroupRecord, revocation: Revocation): Cutter {
  const covers = descendants(set, revocation.target)
  const allowed = new Map<PublicKey, ReadonlySet<RecordHash>>()
  const sealed = ancestors(
    set,
    revocation.pins.map(({ generation }) => generation)
  )
  for (const generation of covers) {
    const pins = revocation.pins.filter((pin) => pin.generation === generation)
    // What a listed generation has taken over from ended where its hand-over says.
    if (pins.length === 0 && sealed.has(generation)) continue
    const paths = pins.map(({ head }) =>
      head === null ? new Set<RecordHash>() : countedUpTo(set, generation, head)
    )
    allowed.set(generation, common(paths))
  }
  return { source, revocation, covers, allowed }
}

/** Records up to a pinned one; while that one is not here, all with a number up to its. */
function countedUpTo(
  set: RecordSet,
  author: PublicKey,
  head: { readonly sequence: number; readonly hash: RecordHash }
): ReadonlySet<RecordHash> {
  const path = pathTo(set, author, head)
  if (path.size > 0) return path
  const records = set.byAuthor.get(author) ?? []
  return new Set(
    records.filter(({ sequence }) => sequence <= head.sequence).map(({ hash }) => hash)
  )
}

function common(paths: readonly ReadonlySet<RecordHash>[]): ReadonlySet<RecordHash> {
  const [first = new Set<RecordHash>(), ...others] = paths
  return new Set([...first].filter((hash) => others.every((other) => other.has(hash))))
}

/** A generation and all that took over from it, by any hand-over that was ever signed. */
export function descendants(set: RecordSet, root: PublicKey): ReadonlySet<PublicKey> {
  const found = new Set([root])
  for (const generation of found) {
    for (const { author } of set.handOvers.get(generation) ?? []) found.add(author)
  }
  return found
}

/** The generations that the given ones took over from. */
function ancestors(set: RecordSet, from: readonly PublicKey[]): ReadonlySet<PublicKey> {
  const found = new Set(from)
  for (const generation of found) {
    for (const grant of set.grants.get(generation) ?? []) {
      if (grant.from !== null) found.add(grant.from)
    }
  }
  return found
}
