/** Pairing over a real private DHT: who is admitted, and who is not. */
import { systemClock } from '../../src/base/clock.js'
import type { Role } from '../../src/format/group-body.js'
import { admitted } from '../../src/group/duties.js'
import { decodeCode, digitsOf, encodeCode } from '../../src/group/pairing-format.js'
import { type Candidacy, openCandidacy } from '../../src/group/candidacy.js'
import { Invite, type InviteOptions } from '../../src/group/invite.js'
import { nameOfGrant } from '../../src/group/names.js'
import { type DeviceKeys, newDeviceKeys } from '../../src/keys/identity.js'
import { openText } from '../../src/keys/sealing.js'
import { coreKey } from '../../src/store/core.js'
import { type Home, type Testnet, activeCount, connect, firstHome, openHome } from './homes.js'
import { privateDht, tempDirectory } from './homes.js'
import assert from 'node:assert'
import BlindPairing from 'blind-pairing'
import * as fc from 'fast-check'
import Hyperswarm from 'hyperswarm'
import { type Test, test } from 'tap'

/** A swarm for pairing alone, with a key that nobody knows. */
function pairingSwarm(t: Test, testnet: Testnet): Hyperswarm {
  const keyPair = newDeviceKeys().noise
  const swarm = new Hyperswarm({
    dht: testnet.createNode(),
    keyPair,
    firewall: () => false,
    relayThrough: () => null,
    maxPeers: 8,
    maxParallel: 3
  })
  t.teardown(() => swarm.destroy())
  return swarm
}

interface World {
  readonly t: Test
  readonly testnet: Testnet
  readonly first: Home
}

async function world(t: Test): Promise<World> {
  return { t, testnet: await privateDht(t), first: await firstHome(t) }
}

async function invite(of: World, options: Partial<InviteOptions> = {}): Promise<Invite> {
  const { group, ring } = of.first
  const swarm = pairingSwarm(of.t, of.testnet)
  const open = await Invite.open({ group, ring, swarm, clock: systemClock(), ...options })
  of.t.teardown(() => open.close())
  return open
}

async function ask(
  { t, testnet }: World,
  code: string,
  options: { role?: Role; name?: string; keys?: DeviceKeys; offer?: Buffer; ms?: number } = {}
): Promise<Candidacy> {
  const { role = 'personal', name = 'phone', keys = newDeviceKeys(), offer = null } = options
  const { ms = 20_000 } = options
  const candidacy = await openCandidacy({
    code,
    swarm: pairingSwarm(t, testnet),
    keys,
    deviceName: name,
    role,
    coreKeyOf: coreKey,
    offer,
    ms
  })
  t.teardown(() => candidacy.close())
  return candidacy
}

await test('a device joins with a code, and the digits that it shows', async (t) => {
  const here = await world(t)
  const { first, testnet } = here
  const open = await invite(here)
  const start = performance.now()
  const joined = await ask(here, open.code)
  t.comment(`${Math.round(performance.now() - start)} ms to the digits`)
  t.match(joined.digits, /^\d{6}$/)
  t.match(await open.answered, { name: 'phone', role: 'personal' })
  t.equal(activeCount(first.group.membership), 1, 'not before the digits are typed')
  t.same(joined.keyring.drive, first.keyring.drive)
  t.same(joined.keyring.identity, first.keyring.identity)
  t.same(joined.inviter, first.keyring.noise.publicKey)
  t.same(joined.keyring.epochs, [], 'no key comes by pairing')
  const digits = joined.digits ?? ''
  await open.confirm(`${digits.slice(0, 3)} ${digits.slice(3)}`)
  const phone = await openHome(t, joined.keyring, await tempDirectory(t))
  await connect(t, testnet, first, phone)
  await admitted(phone.group, phone.ring, { ms: 5_000 })
  t.same(phone.ring.currentEpoch, first.ring.currentEpoch)
  const name = phone.group.device?.current.grant.name
  t.equal(name && openText(name, phone.ring.epochs), 'phone')
  t.same(await joined.verdict, { kind: 'admitted', name: 'phone' })
  await t.rejects(open.confirm(digits), { code: 'ETIMEDOUT' }, 'single use')
})

await test('other digits admit nobody, and there is no second attempt', async (t) => {
  const here = await world(t)
  const open = await invite(here)
  const { digits, keyring, verdict } = await ask(here, open.code)
  const wrong = String((Number(digits) + 1) % 1_000_000).padStart(6, '0')
  await t.rejects(open.confirm(wrong), { code: 'EACCES' })
  t.same(await verdict, { kind: 'refused' }, 'the joiner is told')
  await t.rejects(open.confirm(digits ?? ''), { code: 'ETIMEDOUT' })
  t.equal(activeCount(here.first.group.membership), 1)
  const phone = await openHome(t, keyring, await tempDirectory(t))
  await t.rejects(admitted(phone.group, phone.ring, { ms: 100 }), { code: 'ETIMEDOUT' })
})

await test('the first joiner that answers is the only one', async (t) => {
  const here = await world(t)
  const open = await invite(here)
  const one = await ask(here, open.code)
  await t.rejects(ask(here, open.code), { code: 'EACCES' })
  await open.confirm(one.digits ?? '')
  t.equal(activeCount(here.first.group.membership), 2)
  t.ok(here.first.group.set.grants.size === 2)
})

await test('an invite ends by the monotonic clock, or when it is closed', async (t) => {
  const here = await world(t)
  let nowMs = 1_000
  const clock = { ...systemClock(), monotonicMs: () => nowMs }
  const open = await invite(here, { clock })
  t.equal(open.leftMs, 15 * 60 * 1000)
  const { digits } = await ask(here, open.code)
  nowMs += 15 * 60 * 1000
  await t.rejects(open.confirm(digits ?? ''), { code: 'ETIMEDOUT' })
  const short = await invite(here, { openMs: 50 })
  await t.rejects(short.answered, { code: 'ETIMEDOUT' })
  t.equal(short.leftMs, 0)
  t.equal(activeCount(here.first.group.membership), 1)
})

await test('a bearer invite admits whoever holds it, and both sides know that', async (t) => {
  const here = await world(t)
  const open = await invite(here, { isBearer: true })
  const [joined] = await Promise.all([
    ask(here, open.code, { role: 'cloud' }),
    open.answered.then(() => open.confirm(''))
  ])
  t.equal(joined.digits, null)
  t.ok(open.isBearer)
  t.equal(activeCount(here.first.group.membership), 2)
  t.equal(here.first.group.membership.devices.find(({ role }) => role === 'cloud')?.state, 'active')
})

await test('a blind device is admitted without cores and keys', async (t) => {
  const here = await world(t)
  const open = await invite(here, { isBearer: true })
  const [joined] = await Promise.all([
    ask(here, open.code, { role: 'blind' }),
    open.answered.then(() => open.confirm(''))
  ])
  const blind = await openHome(t, joined.keyring, await tempDirectory(t))
  await connect(t, here.testnet, here.first, blind)
  await admitted(blind.group, blind.ring, { ms: 5_000 })
  t.same(blind.ring.epochs, [])
})

await test('a joiner is told when nobody decides in time, or the invite is taken back', async (t) => {
  const here = await world(t)
  const short = await invite(here, { openMs: 1500 })
  const { openMs, verdict } = await ask(here, short.code)
  t.equal(openMs, 2000, 'in whole seconds')
  t.same(await verdict, { kind: 'over' })
  const open = await invite(here)
  const waiting = await ask(here, open.code)
  open.end({ kind: 'over' })
  t.same(await waiting.verdict, { kind: 'over' })
})

await test('a joiner that was stopped half way goes on as the same one', async (t) => {
  const here = await world(t)
  const open = await invite(here)
  const keys = newDeviceKeys()
  const first = await ask(here, open.code, { keys })
  await first.close()
  const again = await ask(here, open.code, { keys })
  t.equal(again.digits, first.digits, 'it may ask again')
  await again.close()
  const later = await ask(here, open.code, { keys, offer: first.offer })
  t.equal(later.digits, first.digits, 'or goes on from what it kept')
  await open.confirm(first.digits ?? '')
  t.same(await later.verdict, { kind: 'admitted', name: 'phone' })
})

await test('a name that is taken gets a number', async (t) => {
  const here = await world(t)
  const names: (string | undefined)[] = []
  const long = 'é'.repeat(32)
  for (const name of ['phone', 'phone', 'first', long, long]) {
    const open = await invite(here, { isBearer: true })
    const joined = await ask(here, open.code, { name })
    await open.answered
    names.push((await open.confirm('')).name)
    t.same(await joined.verdict, { kind: 'admitted', name: names.at(-1) })
  }
  t.same(names, ['phone', 'phone-2', 'first-2', long, `${'é'.repeat(31)}-2`])
  const { group, ring } = here.first
  const { devices } = group.membership
  const shown = devices.map(({ current }) => nameOfGrant(current.grant, ring.epochs))
  t.same(new Set(shown), new Set(['first', ...names]))
})

await test('a code for one role admits no other', async (t) => {
  const here = await world(t)
  const open = await invite(here, { role: 'cloud', isBearer: true })
  await t.rejects(ask(here, open.code), { code: 'EINVAL', message: /cloud/ })
  // A joiner that does not care: the same invite behind a code without a role.
  const { invite: bytes } = decodeCode(open.code)
  const any = encodeCode({ invite: bytes, role: null })
  await t.rejects(ask(here, any), { code: 'EACCES', message: /refused/ })
  await Promise.all([ask(here, open.code, { role: 'cloud' }), open.answered])
  t.match(await open.confirm(''), { role: 'cloud' }, 'the invite was not used up by that')
})

await test("who knows the code can not answer in the inviter's place", async (t) => {
  const here = await world(t)
  const open = await invite(here)
  await open.close()
  // The code has everything that blind-pairing knows an inviter by.
  const { seed, discoveryKey } = BlindPairing.decodeInvite(decodeCode(open.code).invite)
  const data = Buffer.from('my drive')
  const own = BlindPairing.createInvite(Buffer.alloc(32, 9), { data, seed })
  const pairing = new BlindPairing(pairingSwarm(t, here.testnet), { poll: 10_000 })
  t.teardown(() => pairing.close())
  let asked = 0
  const member = pairing.addMember({
    discoveryKey,
    onadd: (request) => {
      asked++
      request.open(own.publicKey)
      request.confirm({ key: Buffer.alloc(32, 9), additional: own.additional })
      return Promise.resolve()
    }
  })
  await member.flushed()
  await t.rejects(ask(here, open.code, { ms: 5_000 }), { code: 'ETIMEDOUT' })
  t.ok(asked > 0)
})

await test('only a personal member invites', async (t) => {
  const here = await world(t)
  const { testnet } = here
  const keyring = { ...here.first.keyring, ...newDeviceKeys(), origin: [], epochs: [] }
  const stranger = await openHome(t, keyring, await tempDirectory(t))
  const swarm = pairingSwarm(t, testnet)
  const { group, ring } = stranger
  await t.rejects(Invite.open({ group, ring, swarm, clock: systemClock() }), { code: 'EPERM' })
})

await test('a code is read back, however it was typed, and told apart from a mistyped one', async (t) => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 1, maxLength: 90 }), fc.nat(), (array, at) => {
      const bytes = Buffer.from(array)
      const roles = [null, 'personal', 'cloud', 'blind'] as const
      const said = { invite: bytes, role: roles[at % 4] ?? null }
      const code = encodeCode(said)
      assert.deepEqual(decodeCode(code), said)
      assert.deepEqual(decodeCode(` ${code.toUpperCase().replaceAll(/(.{9})/g, '$1-\n')} `), said)
      const place = at % code.length
      const other = code[place] === 'b' ? 'c' : 'b'
      const typo = code.slice(0, place) + other + code.slice(place + 1)
      // The last letter may have bits that mean nothing.
      if (place < code.length - 1) assert.throws(() => decodeCode(typo), { code: 'EINVAL' })
    }),
    { seed: 20261123 }
  )
  for (const bad of ['', 'pcfs1', 'pcfs1a', 'hello', 'pcfs1!!!!']) {
    t.throws(() => decodeCode(bad), { code: 'EINVAL' })
  }
})

await test('digits depend on every bit of both sides', async () => {
  fc.assert(
    fc.property(fc.nat(7), fc.nat(63), (bit, byte) => {
      const [offer, request] = [Buffer.alloc(64), Buffer.alloc(64)]
      const flipped = Buffer.alloc(64)
      flipped.writeUInt8(1 << bit, byte)
      const digits = digitsOf(offer, request)
      assert.notEqual(digitsOf(flipped, request), digits)
      assert.notEqual(digitsOf(offer, flipped), digits)
    }),
    { seed: 20261123 }
  )
})
