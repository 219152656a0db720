/**
 * Which records count.
 *
 * A record counts when its author is a device by a record that counts, its role permits it, and no
 * revocation that counts cuts it. Two devices that revoke each other make that circular, so it is
 * computed between two bounds (the alternating fixpoint of well-founded semantics: Van Gelder,
 * "The alternating fixpoint of logic programs with negation", 1993): `possibly` holds what counts
 * if only what surely counts cuts, `surely` what counts even if everything possible cuts. What is
 * between them is contested; a third member's acknowledgement, or the phrase, decides it.
 *
 * Everything here is a function of the set: no step depends on the order of records.
 */
import type { Role } from './group-body.js'
import type { PublicKey, RecordHash } from './group-keys.js'
import type { GroupRecord } from './group-record.js'
import { type Cutter, cuts, cuttersOf } from './membership-cuts.js'
import type { GrantRecord, Hearing, RecordSet } from './membership-set.js'

/** Records that count, and the roles that they give. */
export interface Counted {
  readonly records: ReadonlySet<RecordHash>
  readonly roles: ReadonlyMap<PublicKey, Role>
}

/** What counts, what may, and what decided it. */
export interface Standing {
  readonly surely: Counted
  readonly possibly: Counted
  /** In force: revocations and seals. */
  readonly effective: readonly Cutter[]
  /** Neither in force nor void: whom they are about is suspended. */
  readonly contested: readonly Cutter[]
  /** Generations that handed over twice, and nobody has decided which one counts. */
  readonly splits: ReadonlySet<PublicKey>
}

/** What acknowledgements have decided so far. */
interface Decisions {
  /** Revocations that nothing cuts any more. */
  readonly final: Set<RecordHash>
  /** Of two hand-overs from one generation the one that counts. */
  readonly chosen: Map<PublicKey, RecordHash>
}

const NOTHING_DECIDED: Decisions = { final: new Set(), chosen: new Map() }

/** The group as one side of a dispute sees it. */
interface View {
  isMember(key: PublicKey): boolean
  knows(key: PublicKey): boolean
}

const RANK: Readonly<Record<Role, number>> = { blind: 0, cloud: 1, personal: 2 }

/** Decides what counts; see the file's head. */
export function standingOf(set: RecordSet, hearing: Hearing): Standing {
  const judge = new Judge(set, hearing)
  const decisions: Decisions = { final: new Set(), chosen: new Map() }
  for (;;) {
    const bounds = judge.bounds(decisions)
    if (!judge.decide(bounds, decisions)) return judge.standing(bounds, decisions)
  }
}

interface Bounds {
  readonly surely: Counted
  readonly possibly: Counted
}

class Judge {
  readonly #set: RecordSet
  readonly #hearing: Hearing
  readonly #cutters: ReadonlyMap<RecordHash, readonly Cutter[]>
  /** Revocations by devices that the phrase declared void. */
  readonly #voids: ReadonlySet<RecordHash>
  /** Those by the phrase: always in force. */
  readonly #byPhrase: readonly Cutter[]

  constructor(set: RecordSet, hearing: Hearing) {
    this.#set = set
    this.#hearing = hearing
    const recovers = set.records.flatMap(({ body }) => (body.type === 'recover' ? [body] : []))
    this.#voids = new Set(recovers.flatMap(({ voids }) => voids))
    this.#cutters = new Map(set.records.map((record) => [record.hash, cuttersOf(set, record)]))
    this.#byPhrase = set.records
      .filter(({ body }) => body.type === 'recover')
      .flatMap(({ hash }) => this.#cutters.get(hash) ?? [])
  }

  /** The two bounds under the decisions so far. */
  bounds(decisions: Decisions): Bounds {
    const always = this.#always(decisions)
    const all = [...this.#cutters.values()].flat()
    let possibly = this.#count(decisions, always, all)
    let surely = this.#count(decisions, this.#inForce(possibly, decisions), always)
    for (;;) {
      const less = this.#count(
        decisions,
        this.#inForce(surely, decisions),
        this.#inForce(possibly, decisions)
      )
      const more = this.#count(
        decisions,
        this.#inForce(less, decisions),
        this.#inForce(surely, decisions)
      )
      const isStable =
        less.records.size === possibly.records.size && more.records.size === surely.records.size
      possibly = less
      surely = more
      if (isStable) return { surely, possibly }
    }
  }

  /**
   * Takes what members have acknowledged into the decisions.
   * @returns whether that decided anything new
   */
  decide({ surely, possibly }: Bounds, decisions: Decisions): boolean {
    const contested = this.#contested({ surely, possibly }, decisions)
    const acknowledged = contested.filter((cutter) =>
      this.#isAcknowledged(cutter, contested, { surely, possibly })
    )
    const found = acknowledged.filter(
      (cutter) => !acknowledged.some((other) => areOpposed(cutter, other))
    )
    for (const { source } of found) decisions.final.add(source.hash)
    let isNew = found.length > 0
    for (const [from, handOvers] of this.#set.handOvers) {
      if (handOvers.length < 2 || decisions.chosen.has(from)) continue
      const seconded = handOvers.filter((one) => this.#isSeconded(one, handOvers, surely))
      const [choice] = seconded
      if (choice === undefined || seconded.length > 1) continue
      decisions.chosen.set(from, choice.hash)
      isNew = true
    }
    return isNew
  }

  /** The result. */
  standing(bounds: Bounds, decisions: Decisions): Standing {
    const effective = this.#inForce(bounds.surely, decisions)
    const splits = new Set<PublicKey>()
    for (const [from, handOvers] of this.#set.handOvers) {
      const alive = handOvers.filter(
        (record) => !effective.some((cutter) => settles(cutter, from, record))
      )
      if (alive.length > 1 && !decisions.chosen.has(from)) splits.add(from)
    }
    return { ...bounds, effective, contested: this.#contested(bounds, decisions), splits }
  }

  /** In force whatever else counts. */
  #always({ final }: Decisions): readonly Cutter[] {
    return [...this.#byPhrase, ...[...final].flatMap((hash) => this.#cutters.get(hash) ?? [])]
  }

  #inForce({ records }: Counted, decisions: Decisions): readonly Cutter[] {
    const hashes = new Set([...records, ...decisions.final])
    return this.#set.records
      .filter(({ hash }) => hashes.has(hash) && !this.#voids.has(hash))
      .flatMap(({ hash }) => this.#cutters.get(hash) ?? [])
  }

  #contested({ surely, possibly }: Bounds, { final }: Decisions): readonly Cutter[] {
    return this.#set.records
      .filter(
        ({ hash, body }) =>
          body.type === 'revoke' &&
          possibly.records.has(hash) &&
          !surely.records.has(hash) &&
          !final.has(hash) &&
          !this.#voids.has(hash)
      )
      .flatMap(({ hash }) => this.#cutters.get(hash) ?? [])
  }

  /**
   * The least set of records that support each other from genesis and the phrase on.
   * @param cutters what they cut does not count
   * @param removers what they cut or put out is no rival of a hand-over from the same one
   */
  #count(decisions: Decisions, cutters: readonly Cutter[], removers: readonly Cutter[]): Counted {
    const { genesis, byAuthor } = this.#set
    const records = new Set<RecordHash>()
    const roles = new Map<PublicKey, Role>()
    const waiting: PublicKey[] = []
    const admit = (key: PublicKey, role: Role): void => {
      const before = roles.get(key)
      if (before !== undefined && RANK[before] >= RANK[role]) return
      roles.set(key, role)
      waiting.push(key)
    }
    const take = (record: GroupRecord, author: Role | null): void => {
      records.add(record.hash)
      const { body } = record
      if (body.type === 'generation') admit(record.author, author ?? 'blind')
      else if ('device' in body && body.device !== null) {
        admit(body.device.signing, body.device.role)
      }
    }
    if (genesis === null) return { records, roles }
    take(genesis, null)
    for (const record of this.#set.records) if (record.body.type === 'recover') take(record, null)
    const isCut = (record: GroupRecord): boolean => cutters.some((cutter) => cuts(cutter, record))
    for (let key = waiting.pop(); key !== undefined; key = waiting.pop()) {
      const role = roles.get(key) ?? 'blind'
      for (const record of byAuthor.get(key) ?? []) {
        if (!records.has(record.hash) && mayWrite(role, record) && !isCut(record)) {
          take(record, role)
        }
      }
      for (const handOver of this.#set.handOvers.get(key) ?? []) {
        if (records.has(handOver.hash)) {
          admit(handOver.author, role) // a role that rose is handed over too
          continue
        }
        if (role === 'blind' || isCut(handOver)) continue
        if (this.#isUnrivalled(handOver, key, decisions, removers)) take(handOver, role)
      }
    }
    return { records, roles }
  }

  #isUnrivalled(
    record: GroupRecord,
    from: PublicKey,
    { chosen }: Decisions,
    removers: readonly Cutter[]
  ): boolean {
    const choice = chosen.get(from)
    if (choice !== undefined) return choice === record.hash
    const rivals = this.#set.handOvers.get(from) ?? []
    return rivals.every(
      (rival) =>
        rival.hash === record.hash || removers.some((cutter) => settles(cutter, from, rival))
    )
  }

  /**
   * Whether a third member knew of a revocation, and of nothing against it.
   *
   * Third is who is a member whichever side wins. A side can not change that by whom it makes up,
   * nor by a pin so low that it puts out whom it had known: its own words tell that it had.
   */
  #isAcknowledged(cutter: Cutter, contested: readonly Cutter[], bounds: Bounds): boolean {
    const against = contested.filter((other) => areOpposed(cutter, other))
    const ours = this.#viewOf(cutter)
    const sides = against
      .filter(({ source }) => ours.knows(source.author))
      .map((other) => this.#viewOf(other))
    return this.#acknowledgements(cutter.source, bounds.possibly).some((record) => {
      const { author } = record
      if (cutter.covers.has(author) || !ours.isMember(author)) return false
      if (this.#deviceOf(author) === this.#deviceOf(cutter.source.author)) return false
      if (!sides.every((side) => side.knows(author))) return false
      if (against.some(({ source }) => this.#hearing.hasSeen(record, source))) return false
      // What those that it puts out say against it does not count against the acknowledgement.
      return !contested.some(
        (other) =>
          cuts(other, record) && !cuts(cutter, other.source) && ours.knows(other.source.author)
      )
    })
  }

  /** Who belongs if a revocation is in force, and whom its author had known anyway. */
  #viewOf(cutter: Cutter): View {
    const { roles } = this.#count(NOTHING_DECIDED, [...this.#byPhrase, cutter], [])
    const past = this.#hearing.pastOf(cutter.source)
    const grants = (key: PublicKey): readonly GrantRecord[] => this.#set.grants.get(key) ?? []
    return {
      isMember: (key) => roles.has(key),
      knows: (key) => roles.has(key) || grants(key).some(({ record }) => past.has(record.hash))
    }
  }

  /** Whether another member acknowledged a hand-over that had not seen a rival of it. */
  #isSeconded(one: GroupRecord, rivals: readonly GroupRecord[], surely: Counted): boolean {
    const ownDevice = this.#deviceOf(one.author)
    return this.#acknowledgements(one, surely).some(
      (record) =>
        this.#deviceOf(record.author) !== ownDevice &&
        !rivals.some((rival) => rival !== one && this.#hearing.hasSeen(record, rival))
    )
  }

  #acknowledgements(of: GroupRecord, counted: Counted): readonly GroupRecord[] {
    return this.#set.records.filter(
      ({ body, hash }) =>
        body.type === 'acknowledge' && counted.records.has(hash) && body.records.includes(of.hash)
    )
  }

  /** The first generation of a device. */
  #deviceOf(key: PublicKey): PublicKey {
    const seen = new Set([key])
    for (const generation of seen) {
      const from = this.#set.grants.get(generation)?.find((grant) => grant.from !== null)?.from
      if (from === undefined || from === null || seen.has(from)) return generation
      seen.add(from)
    }
    return key
  }
}

/** Whether a revocation decides against one of two hand-overs from a generation. */
function settles(cutter: Cutter, from: PublicKey, handOver: GroupRecord): boolean {
  const isAimed = cutter.revocation !== null && cutter.covers.has(handOver.author)
  return cuts(cutter, handOver) || (isAimed && !cutter.covers.has(from))
}

function areOpposed(a: Cutter, b: Cutter): boolean {
  return a !== b && (cuts(a, b.source) || cuts(b, a.source))
}

function mayWrite(role: Role, { body }: GroupRecord): boolean {
  switch (body.type) {
    case 'device-add':
    case 'revoke':
    case 'settings':
      return role === 'personal'
    case 'acknowledge':
    case 'epoch':
      return role !== 'blind'
    case 'genesis':
    case 'recover':
    case 'generation':
      return false // these are taken by what they prove, not by their author's role
    case 'unknown':
      return role !== 'blind'
  }
}
