/** Who is put out, who decides when that is disputed, and what keeps counting: DESIGN 7. */
import { toPublicKey } from '../../src/format/group-keys.js'
import type { GroupRecord } from '../../src/format/group-record.js'
import { membershipOf } from '../../src/format/membership.js'
import { Party, WHERE, allOf, fakeVerifier, foundWith, hashOf } from './group-world.js'
import { test } from 'tap'

const party = (name: string, role?: 'personal' | 'cloud' | 'blind'): Party => new Party(name, role)

await test('nobody belongs without genesis, nor by one that another phrase signed', async (t) => {
  const first = foundWith(party('b'))
  const late = [...first.heard.values()].slice(1)
  t.same(
    membershipOf(late, WHERE, fakeVerifier).devices.filter(({ state }) => state === 'active'),
    []
  )
  const strange = { ...WHERE, identity: toPublicKey(hashOf('another phrase')) }
  t.same(membershipOf(first.heard.values(), strange, fakeVerifier).devices, [])
})

await test('a cloud device does not revoke, a blind one makes no epoch', async (t) => {
  const [cloud, blind, b] = [party('c', 'cloud'), party('d', 'blind'), party('b')]
  const first = foundWith(cloud, blind, b)
  cloud.revoke(b)
  cloud.epoch('one', first, cloud, b)
  blind.epoch('two', first)
  first.hear(cloud, blind)
  t.equal(first.state(b), 'active')
  t.equal(first.membership().epochs.all.length, 1)
})

await test('what a revoked device says beyond the pin never counts, whatever it cites', async (t) => {
  const [b, thief, x] = [party('b'), party('thief'), party('x')]
  const first = foundWith(b, thief)
  const before = thief.add(x)
  first.hear(thief)
  first.revoke(thief)
  thief.hear(first) // it knows, and goes on
  const y = party('y')
  thief.add(y)
  first.hear(thief)
  b.hear(thief)
  for (const device of [first, b]) {
    t.equal(device.state(thief), 'revoked')
    t.equal(device.state(x), 'active', 'admitted before the pin')
    t.equal(device.state(y), 'void')
  }
  t.ok(b.membership().counted.has(before.hash))
})

await test('a revoked device can not come back by handing over, nor be admitted again', async (t) => {
  const [thief, next] = [party('thief'), party('next')]
  const first = foundWith(thief, party('b'))
  first.revoke(thief)
  thief.handOver(next)
  first.hear(next)
  t.equal(first.state(next), 'revoked')
  first.add(thief)
  t.equal(first.state(thief), 'revoked')
})

await test('two that revoke each other are both suspended', async (t) => {
  const b = party('b')
  const first = foundWith(b)
  first.revoke(b)
  b.revoke(first)
  first.hear(b)
  t.equal(first.state(b), 'suspended')
  t.equal(first.state(first), 'suspended')
  t.match(first.membership().alarms, [{ code: 'CONTESTED' }, { code: 'CONTESTED' }])
})

await test('a third member that had not seen the other one decides', async (t) => {
  const [b, c] = [party('b'), party('c')]
  const first = foundWith(b, c)
  const mine = first.revoke(b)
  b.revoke(first)
  c.hear(mine)
  c.acknowledge(mine)
  first.hear(b, c)
  t.equal(first.state(b), 'revoked')
  t.equal(first.state(first), 'active')
})

await test('a third member that had seen both decides nothing', async (t) => {
  const [b, c] = [party('b'), party('c')]
  const first = foundWith(b, c)
  const mine = first.revoke(b)
  const theirs = b.revoke(first)
  c.hear(mine, theirs)
  c.acknowledge(mine)
  first.hear(b, c)
  t.equal(first.state(b), 'suspended')
  t.equal(first.state(first), 'suspended')
})

await test('when each side has a third member for it, the phrase decides', async (t) => {
  const [b, c, d] = [party('b'), party('c'), party('d')]
  const first = foundWith(b, c, d)
  const mine = first.revoke(b)
  const theirs = b.revoke(first)
  c.hear(mine)
  c.acknowledge(mine)
  d.hear(theirs)
  d.acknowledge(theirs)
  first.hear(b, c, d)
  t.equal(first.state(b), 'suspended')
  first.recover({ voids: [theirs.hash] })
  t.equal(first.state(b), 'revoked')
  t.equal(first.state(first), 'active')
  t.match(first.membership().alarms, [{ code: 'RECOVERED' }])
})

await test('a thief that revokes everybody can not take away what acknowledges its own', async (t) => {
  const [b, c, thief] = [party('b'), party('c'), party('thief')]
  const first = foundWith(b, c, thief)
  const mine = first.revoke(thief)
  b.hear(mine)
  b.acknowledge(mine)
  for (const target of [first, b, c]) thief.revoke(target)
  const crony = party('crony')
  thief.add(crony)
  crony.hear(thief)
  crony.acknowledge(...[...thief.heard.values()].filter(({ author }) => author === thief.key))
  c.hear(first, b, thief, crony)
  t.same(
    [first, b, c, thief, crony].map((device) => c.state(device)),
    ['active', 'active', 'active', 'revoked', 'void']
  )
})

await test('the phrase beats devices', async (t) => {
  const b = party('b')
  const first = foundWith(b)
  b.revoke(first)
  const fresh = party('fresh')
  fresh.hear(b)
  const pins = [fresh.pin(first)]
  const revocations = [{ target: b.key, pins: [{ ...fresh.pin(b), head: null }] }]
  t.equal(fresh.state(first), 'revoked')
  fresh.recover({ device: fresh.grant, revocations })
  t.equal(pins.length, 1)
  t.equal(fresh.state(b), 'revoked')
  t.equal(fresh.state(first), 'active', 'what the revoked device said does not count any more')
  t.equal(fresh.state(fresh), 'active')
})

await test('a recovery counts also when every device was revoked', async (t) => {
  const first = foundWith(party('b'))
  first.revoke(first)
  t.equal(first.state(first), 'revoked')
  const fresh = party('fresh').hear(first)
  fresh.recover({ device: fresh.grant })
  const c = party('c')
  fresh.add(c)
  t.equal(fresh.state(c), 'active')
})

await test('a hand-over seals the old generation and keeps the device', async (t) => {
  const [b, next] = [party('b'), party('b2')]
  const first = foundWith(b)
  b.handOver(next)
  const x = party('x')
  next.add(x)
  const late = party('late')
  b.add(late) // with the old key, behind the seal
  first.hear(b, next)
  const device = first.membership().devices.find(({ id }) => id === b.key)
  t.match(device, { state: 'active', current: { key: next.key } })
  t.equal(first.state(b), 'sealed')
  t.equal(first.state(x), 'active')
  t.equal(first.state(late), 'void')
  t.equal(first.membership().generations.get(b.key)?.cut?.length, 3)
})

await test('two hand-overs from one generation are void until another member decides', async (t) => {
  const [b, mine, thief] = [party('b'), party('mine'), party('thief')]
  const first = foundWith(b)
  const honest = b.handOver(mine)
  b.handOver(thief)
  first.hear(mine, thief)
  t.equal(first.state(b), 'suspended')
  t.equal(first.state(mine), 'void')
  t.equal(first.state(thief), 'void')
  t.match(first.membership().alarms, [{ code: 'HANDED_OVER_TWICE', generation: b.key }])
  const witness = party('b').hear(first)
  t.equal(witness.state(b), 'suspended')
  first.revoke(thief)
  t.equal(first.state(b), 'sealed')
  t.equal(first.state(mine), 'active')
  t.equal(first.state(thief), 'revoked')
  t.ok(first.membership().counted.has(honest.hash))
})

await test('a hand-over that another member knew first stands against a second one', async (t) => {
  const [b, mine, thief] = [party('b'), party('mine'), party('thief')]
  const first = foundWith(b)
  const honest = b.handOver(mine)
  first.hear(mine)
  first.acknowledge(honest)
  b.handOver(thief)
  first.hear(thief)
  t.equal(first.state(mine), 'active')
  t.equal(first.state(thief), 'void')
  t.same(first.membership().alarms, [])
})

await test('two records with one number suspend their author; what it said keeps counting', async (t) => {
  const [b, c, x] = [party('b'), party('c'), party('x')]
  const first = foundWith(b)
  const twin = party('b').hear(b)
  b.add(c)
  twin.add(x)
  first.hear(b, twin)
  t.equal(first.state(b), 'suspended')
  t.match(first.membership().alarms, [{ code: 'FORKED', generation: b.key }])
  t.equal(first.state(c), 'active', 'or a thief could put out whom the owner admitted')
  // A person looks at it, and pins the branch that is the owner's.
  const pin = { generation: b.key, head: { sequence: 0, hash: headHash(b, b) }, cores: [] }
  first.write({ type: 'revoke', target: b.key, pins: [pin] })
  t.equal(first.state(c), 'active')
  t.equal(first.state(x), 'void')
  t.equal(first.state(b), 'revoked')
})

function headHash(holder: Party, of: Party): GroupRecord['hash'] {
  const record = [...holder.heard.values()].findLast(({ author }) => author === of.key)
  if (record === undefined) throw new Error('no record')
  return record.hash
}

await test('an epoch that a revoked device made is not used, though it is no recipient', async (t) => {
  const [b, thief] = [party('b'), party('thief')]
  const first = foundWith(b, thief)
  thief.epoch('known to the thief', first, b)
  first.hear(thief)
  first.revoke(thief)
  t.equal(first.membership().epochs.current, null)
})

await test('three that revoke one another in a ring are all suspended', async (t) => {
  const [b, c] = [party('b'), party('c')]
  const first = foundWith(b, c)
  first.revoke(b)
  b.revoke(c)
  c.revoke(first)
  const records = allOf(first, b, c)
  const { generations } = membershipOf(records, WHERE, fakeVerifier)
  t.same(
    [...generations.values()].map(({ state }) => state),
    Array(3).fill('suspended')
  )
})

await test('a device that was told of its revocation does not revoke back', async (t) => {
  const b = party('b')
  const first = foundWith(b)
  const first2 = first.revoke(b)
  b.hear(first2)
  b.revoke(first) // its pin of the first device has that revocation
  first.hear(b)
  t.equal(first.state(first), 'active')
  t.equal(first.state(b), 'revoked')
})
