/** Properties of membership over random histories of devices, honest and hostile ones. */
import assert from 'node:assert'
import * as fc from 'fast-check'
import t from 'tap'
import type { ChainHead, RecordBody, Role } from '../../src/format/group-body.js'
import { toCoreKey } from '../../src/format/group-keys.js'
import { type GroupRecord, decodeGroupRecord } from '../../src/format/group-record.js'
import { type Membership, isReader, membershipOf } from '../../src/format/membership.js'
import { Hearing, recordSetOf } from '../../src/format/membership-set.js'
import { standingOf } from '../../src/format/membership-standing.js'
import {
  Party,
  WHERE,
  allOf,
  fakeVerifier,
  foundWith,
  hashOf,
  signedRecord
} from './group-world.js'

/** The same histories in every run, so that a red one can be repeated. */
const SEED = Number(process.env['PCFS_GROUP_SEED'] ?? 20261123)
const RUNS = Number(process.env['PCFS_GROUP_RUNS'] ?? 300)

t.setTimeout(Math.max(60_000, RUNS * 200))

const ROLES: readonly Role[] = ['personal', 'personal', 'personal', 'personal', 'cloud', 'blind']

interface Step {
  readonly what: number
  readonly who: number
  readonly whom: number
  readonly n: number
}

const steps: fc.Arbitrary<readonly Step[]> = fc.array(
  fc.record({ what: fc.nat(99), who: fc.nat(99), whom: fc.nat(99), n: fc.nat(5) }),
  { maxLength: 40 }
)

/** Plays a history; whoever acts does not know whether it is a member. */
function play(history: readonly Step[]): Party[] {
  const others = ROLES.slice(1).map((role, at) => new Party(`device ${at}`, role))
  const parties = [foundWith(...others), ...others]
  for (const [at, step] of history.entries()) {
    const who = parties[step.who % parties.length]
    const whom = parties[step.whom % parties.length]
    if (who !== undefined && whom !== undefined) act(parties, { who, whom, step, at })
  }
  return parties
}

interface Turn {
  readonly who: Party
  readonly whom: Party
  readonly step: Step
  readonly at: number
}

function act(parties: Party[], { who, whom, step, at }: Turn): void {
  const { what, n } = step
  if (what < 35) who.hear(whom)
  else if (what < 45) who.revoke(whom, n)
  else if (what < 60) {
    const all = [...who.heard.values()]
    who.acknowledge(
      ...all.filter(({ body }) => body.type === 'revoke' || body.type === 'generation')
    )
  } else if (what < 70) who.epoch(`epoch ${at}`, ...parties.slice(0, n + 1))
  else if (what < 78) {
    const next = new Party(`device of ${at}`, ROLES[n] ?? 'personal')
    who.add(next)
    parties.push(next.hear(who))
  } else if (what < 86) {
    const next = new Party(`next of ${at}`, who.role)
    who.handOver(next)
    parties.push(next)
  } else if (what < 88) who.recover({ voids: revocationsOf(who).slice(0, n) })
  else if (what < 93) {
    // The same keys in two places: their next records have one number.
    parties.push(new Party(who.name, who.role).hear(who))
  } else lie(who, whom, step)
}

/** Records that an honest device would not write, correctly signed. */
function lie(who: Party, whom: Party, { n }: Step): void {
  const record = who.acknowledge()
  who.heard.delete(record.hash)
  const pins = [{ generation: whom.key, head: n < 3 ? null : oldHead(who, whom, n), cores: [] }]
  const body: RecordBody = { type: 'revoke', target: whom.key, pins }
  const heads = n < 2 ? [] : [{ author: whom.key, sequence: 9, hash: record.hash }]
  if (whom.key !== who.key) who.hear(signedRecord({ ...record, heads, body }))
}

/** A record of somebody that a device knows, but not its last one. */
function oldHead(who: Party, whom: Party, n: number): ChainHead | null {
  const own = [...who.heard.values()].filter(({ author }) => author === whom.key)
  const record = own[n % Math.max(own.length, 1)]
  return record === undefined ? null : { sequence: record.sequence, hash: record.hash }
}

function revocationsOf(party: Party): GroupRecord['hash'][] {
  return [...party.heard.values()]
    .filter(({ body }) => body.type === 'revoke')
    .map(({ hash }) => hash)
}

function membership(records: Iterable<GroupRecord>): Membership {
  return membershipOf(records, WHERE, fakeVerifier)
}

/** What others act upon: everything but claims that do not count. */
function essence(of: Membership): unknown {
  const isReal = ({ state }: { state: string }): boolean => state !== 'void'
  return {
    devices: of.devices.filter(isReal),
    counted: of.counted,
    revocations: of.revocations,
    epochs: of.epochs,
    alarms: of.alarms
  }
}

await t.test('order and repetition do not matter', async () => {
  fc.assert(
    fc.property(steps, fc.infiniteStream(fc.nat()), (history, chance) => {
      const records = allOf(...play(history))
      const shuffled = [...records, ...records.slice(0, 10)]
        .map((record) => ({ record, rank: chance.next().value ?? 0 }))
        .sort((a, b) => a.rank - b.rank)
        .map(({ record }) => record)
      assert.deepStrictEqual(membership(shuffled), membership(records))
    }),
    { numRuns: RUNS, seed: SEED }
  )
})

await t.test('devices that have heard the same agree, whatever they heard first', async () => {
  fc.assert(
    fc.property(steps, (history) => {
      const parties = play(history)
      const [first, second] = parties
      assert(first !== undefined && second !== undefined)
      for (const party of parties) first.hear(party)
      for (const party of parties.reverse()) second.hear(party)
      assert.deepStrictEqual(first.membership(), second.membership())
    }),
    { numRuns: RUNS, seed: SEED }
  )
})

await t.test('what counts is within what a role permits, and never beyond a pin', async () => {
  fc.assert(
    fc.property(steps, (history) => {
      const set = recordSetOf(allOf(...play(history)), WHERE, fakeVerifier)
      const standing = standingOf(set, new Hearing(set))
      for (const record of set.records) {
        if (!standing.surely.records.has(record.hash)) continue
        assert(standing.possibly.records.has(record.hash))
        const { type } = record.body
        if (type === 'genesis' || type === 'recover') continue
        const role = standing.surely.roles.get(record.author)
        assert(role !== undefined && role !== 'blind')
        if (type === 'revoke' || type === 'device-add') assert.equal(role, 'personal')
        for (const { covers, allowed, source } of standing.effective) {
          if (source === record || !covers.has(record.author)) continue
          assert(allowed.get(record.author)?.has(record.hash) ?? true)
        }
      }
    }),
    { numRuns: RUNS, seed: SEED }
  )
})

await t.test(
  'content is written only under an epoch whose recipients are active readers',
  async () => {
    fc.assert(
      fc.property(steps, (history) => {
        const { epochs, devices } = membership(allOf(...play(history)))
        const readers = new Set(devices.filter(isReader).map(({ current }) => current.key))
        for (const key of epochs.current?.recipients ?? []) assert(readers.has(key))
        for (const { recipient } of epochs.missing) assert(readers.has(recipient))
      }),
      { numRuns: RUNS, seed: SEED }
    )
  }
)

await t.test(
  'strangers, replays from other drives and broken signatures change nothing',
  async () => {
    fc.assert(
      fc.property(steps, fc.nat(20), (history, salt) => {
        const records = allOf(...play(history))
        const stranger = new Party(`stranger ${salt}`).hear(...records)
        const crony = new Party('crony')
        const strange = [
          stranger.add(crony),
          ...records.slice(0, 3).map((r) => stranger.acknowledge(r))
        ]
        const target = records.find(({ body }) => body.type === 'device-add')
        assert(target !== undefined)
        const replay = signedRecord({ ...target, drive: toCoreKey(hashOf('another drive')) })
        const broken = records.map(({ bytes }) => spoil(bytes))
        const hostile = [...broken, ...strange, replay, ...records]
        assert.deepStrictEqual(essence(membership(hostile)), essence(membership(records)))
      }),
      { numRuns: RUNS, seed: SEED }
    )
  }
)

/** The same statement with another signature. */
function spoil(bytes: Buffer): GroupRecord {
  const record = decodeGroupRecord(bytes)
  const at = bytes.indexOf(record.signature)
  const spoilt = Buffer.from(bytes)
  spoilt.writeUInt8(255 - spoilt.readUInt8(at), at)
  return decodeGroupRecord(spoilt)
}

await t.test(
  'a revoked device may say what it likes: without a counter-revocation nothing changes',
  async () => {
    fc.assert(
      fc.property(steps, fc.array(fc.nat(5), { maxLength: 6 }), (history, words) => {
        const parties = play(history)
        const records = allOf(...parties)
        const before = membership(records)
        const target = before.revocations.find(({ isContested }) => !isContested)?.target
        const thief = parties.find(({ key }) => key === target)
        fc.pre(thief !== undefined && !before.alarms.some(({ code }) => code === 'RECOVERED'))
        thief.hear(...records)
        const size = before.counted.size
        for (const [at, word] of words.entries()) {
          if (word < 2) thief.add(new Party(`crony ${at}`))
          else if (word < 4) thief.epoch(`theirs ${at}`, ...parties)
          else thief.acknowledge(...records.filter(({ body }) => body.type === 'revoke'))
        }
        const after = membership(allOf(thief))
        assert.equal(after.counted.size, size)
        assert.deepStrictEqual(essence(after), essence(before))
      }),
      { numRuns: RUNS, seed: SEED }
    )
  }
)

await t.test(
  'an honest group of three puts out a thief for ever, whatever the thief signs',
  async () => {
    fc.assert(
      fc.property(steps, (history) => {
        const [b, c, thief] = [new Party('b'), new Party('c'), new Party('thief')]
        const first = foundWith(b, c, thief)
        // As any device that joins, while it was still its owner's.
        thief.acknowledge(...thief.heard.values())
        const revocation = first.hear(thief).revoke(thief)
        for (const member of [b, c]) {
          member.hear(revocation)
          member.acknowledge(revocation)
        }
        // The thief and whomever it makes up know everything and may sign anything.
        const crew = [thief.hear(first, b, c)]
        for (const [at, step] of history.entries()) {
          const who = crew[step.who % crew.length]
          const whom = [first, b, c, ...crew][step.whom % (3 + crew.length)]
          const isPhrase = step.what >= 86 && step.what < 88
          if (who === undefined || whom === undefined || isPhrase) continue
          const before = new Set([first, b, c].map(({ heard }) => heard.size))
          act(crew, { who, whom, step, at })
          assert.equal(before.size, new Set([first, b, c].map(({ heard }) => heard.size)).size)
        }
        const result = membership(allOf(first, b, c, ...crew))
        const active = result.devices.filter(({ state }) => state === 'active').map(({ id }) => id)
        assert.deepEqual(active, [first.key, b.key, c.key].sort())
      }),
      { numRuns: RUNS, seed: SEED }
    )
  }
)
