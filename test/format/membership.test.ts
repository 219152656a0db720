/** Who belongs, by what the records say: each case of DESIGN 7 by itself. */
import { keyBytes } from '../../src/format/group-keys.js'
import { type GroupRecord, decodeGroupRecord } from '../../src/format/group-record.js'
import { membershipOf } from '../../src/format/membership.js'
import { Party, WHERE, fakeVerifier, found, foundWith, hashOf } from './group-world.js'
import {
  DRIVE,
  IDENTITY,
  RECOVERY_BOX,
  fakeSignature,
  grantFor,
  signedRecord
} from './group-world.js'
import { toCoreKey, toPublicKey } from '../../src/format/group-keys.js'
import { test } from 'tap'

const party = (name: string, role?: 'personal' | 'cloud' | 'blind'): Party => new Party(name, role)

await test('the first device is a member by genesis alone', async (t) => {
  const first = found()
  const { devices, recoveryBox } = first.membership()
  t.match(devices, [{ id: first.key, role: 'personal', state: 'active' }])
  t.equal(recoveryBox, RECOVERY_BOX)
})

await test('a device is admitted by a personal device only', async (t) => {
  const [cloud, blind, x, y] = [party('c', 'cloud'), party('d', 'blind'), party('x'), party('y')]
  const first = foundWith(cloud, blind)
  cloud.add(x)
  blind.add(y)
  first.hear(cloud, blind)
  t.equal(first.state(cloud), 'active')
  t.equal(first.state(blind), 'active')
  t.equal(first.state(x), 'void')
  t.equal(first.state(y), 'void')
})

await test('a key with cores that its owner did not sign is not admitted', async (t) => {
  const b = party('b')
  const first = found()
  const honest = first.add(b)
  const device = { ...b.grant, box: toPublicKey(hashOf('my own box')) }
  const statement = { ...honest, body: { type: 'device-add' as const, device } }
  const forged = signedRecord(statement)
  // The device's signature is the one over its true keys, seen in the honest record.
  const bytes = Buffer.concat([
    forged.bytes.subarray(0, forged.bytes.length - honest.witness.length),
    honest.witness
  ])
  const membership = membershipOf(
    [...first.heard.values()]
      .filter(({ hash }) => hash !== honest.hash)
      .concat(decodeGroupRecord(bytes)),
    WHERE,
    fakeVerifier
  )
  t.equal(membership.generations.get(b.key), undefined)
})

await test('bad signatures and records of another drive count for nothing', async (t) => {
  const b = party('b')
  const first = found()
  const add = first.add(b)
  const spoilt = Buffer.from(add.bytes)
  spoilt.fill(0, spoilt.length - add.witness.length - 3, spoilt.length - add.witness.length - 1)
  const other = signedRecord({ ...add, drive: toCoreKey(hashOf('other drive')) })
  const base = [...first.heard.values()].filter(({ hash }) => hash !== add.hash)
  for (const bad of [decodeGroupRecord(spoilt), other]) {
    t.equal(membershipOf([...base, bad], WHERE, fakeVerifier).devices.length, 1)
  }
  const mixed = [decodeGroupRecord(spoilt), ...base, add]
  t.equal(membershipOf(mixed, WHERE, fakeVerifier).devices.length, 2, 'the sound copy counts')
})

await test("a record whose author's earlier ones are missing waits for them", async (t) => {
  const [b, c] = [party('b'), party('c')]
  const first = foundWith(b)
  const add = first.add(c)
  const records = [...first.heard.values()]
  const without = records.filter(
    ({ body }) => body.type !== 'device-add' || body.device.signing !== b.key
  )
  t.ok(without.includes(add))
  t.equal(membershipOf(without, WHERE, fakeVerifier).generations.get(c.key), undefined)
  t.equal(membershipOf(records, WHERE, fakeVerifier).generations.get(c.key)?.state, 'active')
})

await test('of several revocations the least of each core counts', async (t) => {
  const [b, thief] = [party('b'), party('thief')]
  const first = foundWith(b, thief)
  first.revoke(thief, 10)
  b.revoke(thief, 7)
  first.hear(b)
  const cut = first.membership().generations.get(thief.key)?.cut
  t.same(
    cut?.map(({ length }) => length),
    [7, 7, 7]
  )
})

await test('a device writes under an epoch whose recipients are all members', async (t) => {
  const [b, c] = [party('b'), party('c')]
  const first = foundWith(b, c)
  t.equal(first.membership().epochs.current, null, 'none: it has to make one')
  first.epoch('one', first, b, c)
  t.equal(first.membership().epochs.current?.recipients.length, 3)
  first.revoke(c)
  t.equal(first.membership().epochs.current, null)
  first.epoch('two', first, b)
  b.hear(first)
  b.epoch('three', first, b)
  first.hear(b)
  const { all, current } = first.membership().epochs
  t.equal(all.length, 3)
  const safe = all.filter(({ isSafe }) => isSafe)
  t.equal(safe.length, 2)
  t.equal(current?.id, safe.map(({ id }) => id).sort()[0], 'of several the smallest id')
})

await test('two revocations made apart end in an epoch that excludes both', async (t) => {
  const [b, x, y] = [party('b'), party('x'), party('y')]
  const first = foundWith(b, x, y)
  first.revoke(x)
  first.epoch('without x', first, b, y)
  b.revoke(y)
  b.epoch('without y', first, b, x)
  first.hear(b)
  t.equal(first.membership().epochs.current, null)
  first.epoch('without both', first, b)
  t.same(first.membership().epochs.current?.recipients, [first.key, b.key].sort())
})

await test('a member without a key is listed, until somebody seals it', async (t) => {
  const b = party('b')
  const first = found()
  first.epoch('one', first)
  first.add(b)
  const { missing, all } = first.membership().epochs
  t.same(missing, [{ epoch: all[0]?.id, recipient: b.key }])
  first.epoch('one', b)
  t.same(first.membership().epochs.missing, [])
  t.same(first.membership().epochs.current?.recipients, [first.key, b.key].sort())
})

await test('who has not heard of a revocation is known by heads', async (t) => {
  const [b, c, d] = [party('b'), party('c'), party('d')]
  const first = foundWith(b, c, d)
  const revocation = first.revoke(d)
  t.same(first.membership().revocations[0]?.unheard, [b.key, c.key].sort())
  c.epoch('later, but without having heard', first, b, c)
  b.hear(first)
  b.acknowledge(revocation)
  first.hear(b, c)
  t.same(first.membership().revocations[0]?.unheard, [c.key])
})

await test('an unknown type from a member asks for a newer pcfs; from a stranger it does not', async (t) => {
  const b = party('b')
  const first = foundWith(b)
  party('stranger')
    .hear(first)
    .write({ type: 'unknown', tag: 77, bytes: Buffer.from('x') })
  const stranger = party('stranger').hear(first)
  stranger.write({ type: 'unknown', tag: 77, bytes: Buffer.from('x') })
  first.hear(stranger)
  t.same(first.membership().alarms, [])
  const record = b.write({ type: 'unknown', tag: 77, bytes: Buffer.from('x') })
  first.hear(b)
  t.same(first.membership().alarms, [
    { code: 'UPGRADE_NEEDED', record: record.hash, author: b.key }
  ])
})

await test('settings come in the order in which they were known', async (t) => {
  const b = party('b')
  const first = foundWith(b)
  const epoch = first.epoch('one', first, b)
  t.ok(epoch)
  const id = first.membership().epochs.all[0]?.id
  if (id === undefined) throw new Error('no epoch')
  const set = (who: Party, text: string): GroupRecord =>
    who.write({ type: 'settings', sealed: { epoch: id, bytes: Buffer.from(text) } })
  set(first, '1')
  b.hear(first)
  set(b, '2')
  first.hear(b)
  set(first, '3')
  t.same(
    first.membership().settings.map(({ bytes }) => bytes.toString()),
    ['1', '2', '3']
  )
})

await test('genesis can not be told again by a device', async (t) => {
  const first = found()
  const body = { type: 'genesis' as const, identity: IDENTITY, recoveryBox: RECOVERY_BOX }
  const x = party('x')
  const device = { ...grantFor('x', 'personal'), cores: first.grant.cores }
  const statement = {
    drive: DRIVE,
    author: x.key,
    sequence: 0,
    previous: null,
    heads: [],
    body: { ...body, device }
  }
  const record = signedRecord(statement)
  const forged = Buffer.from(record.bytes)
  fakeSignature(x.key, record.signed).copy(forged, forged.length - 64)
  t.equal(keyBytes(x.key).length, 32)
  first.hear(decodeGroupRecord(forged))
  t.equal(first.membership().generations.get(x.key), undefined)
})
