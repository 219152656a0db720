/** The group over real stores and a real private DHT. */
import { keyBytes } from '../../src/format/group-keys.js'
import { type GroupRecord, decodeGroupRecord } from '../../src/format/group-record.js'
import { nextStatement } from '../../src/format/group-author.js'
import { toPublicKey } from '../../src/format/group-keys.js'
import { acknowledge, ensureEpoch, revocationOf, sealMissing } from '../../src/group/duties.js'
import { usePhrase } from '../../src/keys/identity.js'
import { grantOf, signRecord } from '../../src/keys/record-signing.js'
import { coreKey } from '../../src/store/core.js'
import { activeCount, connect, firstHome, joinedHome, openHome, privateDht } from './homes.js'
import { type Home, joining, tempDirectory, until } from './homes.js'
import { setTimeout as sleep } from 'node:timers/promises'
import { test } from 'tap'

const pinNothing = (): Promise<null> => Promise.resolve(null)

async function revoke(by: Home, target: Home): Promise<GroupRecord> {
  const device = by.group.membership.devices.find(({ id }) => id === target.group.me)
  if (device === undefined) throw new Error('no such device')
  const revocation = await revocationOf(by.group, device, pinNothing)
  return by.group.append({ type: 'revoke', ...revocation })
}

await test('a new home is a member of its own drive, and still when it is opened again', async (t) => {
  const first = await firstHome(t)
  t.ok(first.group.isActive)
  t.same(keyBytes(first.group.membership.drive), first.keyring.drive)
  t.ok(await ensureEpoch(first.group, first.ring), 'the first epoch is there')
  await first.close()
  const again = await openHome(t, first.keyring, first.directory)
  t.ok(again.group.isActive)
  t.equal(again.group.set.records.length, 2, 'genesis and epoch, once')
})

await test('a device that has only the drive id finds everybody, and its keys', async (t) => {
  const testnet = await privateDht(t)
  const first = await firstHome(t)
  const second = await joinedHome(t, first)
  t.same(second.group.membership.devices, [])
  const start = performance.now()
  await connect(t, testnet, first, second)
  await until(second.group, (now) => activeCount(now) === 2 && now.epochs.missing.length === 0)
  t.comment(`${Math.round(performance.now() - start)} ms from connecting to membership`)
  t.ok(await ensureEpoch(second.group, second.ring))
  t.same(second.ring.currentEpoch, first.ring.currentEpoch)
  await acknowledge(second.group)
  await until(first.group, () => first.group.set.byAuthor.has(second.group.me))
  t.same(first.group.membership, second.group.membership)
})

await test('a blind device hears everything, says nothing and gets no keys', async (t) => {
  const testnet = await privateDht(t)
  const first = await firstHome(t)
  const blind = await joinedHome(t, first, 'blind')
  await connect(t, testnet, first, blind)
  await until(blind.group, (now) => activeCount(now) === 2)
  await sealMissing(first.group, first.ring)
  t.same(first.group.membership.epochs.missing, [])
  await ensureEpoch(blind.group, blind.ring)
  t.equal(blind.ring.currentEpoch, null)
  t.equal(await acknowledge(blind.group), 0)
  await t.rejects(blind.group.append({ type: 'acknowledge', records: [] }), { code: 'EROFS' })
})

await test('it goes on when the first device is lost for ever', async (t) => {
  const testnet = await privateDht(t)
  const first = await firstHome(t)
  const [second, third] = [await joinedHome(t, first), await joinedHome(t, first)]
  for (const home of [second, third]) {
    await connect(t, testnet, first, home)
    await until(home.group, (now) => activeCount(now) === 3 && now.epochs.missing.length === 0)
    await acknowledge(home.group)
    await ensureEpoch(home.group, home.ring)
  }
  await first.close()
  await connect(t, testnet, second, third)
  const fourth = await joinedHome(t, second)
  await until(third.group, (now) => activeCount(now) === 4)
  await connect(t, testnet, third, fourth)
  await until(fourth.group, (now) => activeCount(now) === 4 && now.epochs.missing.length === 0)
  t.ok(await ensureEpoch(fourth.group, fourth.ring), 'it reads and writes what they do')
  await revoke(third, first)
  await until(fourth.group, (now) => activeCount(now) === 3)
  t.ok(await ensureEpoch(third.group, third.ring))
  await until(second.group, (now) => now.epochs.current?.recipients.length === 3)
  t.notSame(third.ring.currentEpoch, second.ring.currentEpoch, 'a new epoch without the lost one')
  t.ok(await ensureEpoch(second.group, second.ring))
  t.same(third.ring.currentEpoch, second.ring.currentEpoch)
})

await test('a revoked device is read up to its pin and no further', async (t) => {
  const testnet = await privateDht(t)
  const first = await firstHome(t)
  const [second, thief] = [await joinedHome(t, first), await joinedHome(t, first)]
  for (const home of [second, thief]) {
    await connect(t, testnet, first, home)
    await until(home.group, (now) => activeCount(now) === 3)
    await acknowledge(home.group)
  }
  await until(first.group, () => first.group.set.byAuthor.has(thief.group.me))
  const cores = first.group.membership.generations.get(thief.group.me)?.grant.cores
  const key = cores?.groupWriter
  if (key === undefined) throw new Error('no core')
  const head = await first.group.headOfCore(key)
  const device = first.group.membership.devices.find(({ id }) => id === thief.group.me)
  if (device === undefined || head === null) throw new Error('no device')
  const revocation = await revocationOf(first.group, device, async (core) =>
    core === key ? { key, ...head } : null
  )
  await first.group.append({ type: 'revoke', ...revocation })
  await until(thief.group, (now) => activeCount(now) === 2)
  await thief.group.append({ type: 'acknowledge', records: [] })
  await until(second.group, (now) => activeCount(now) === 2)
  await acknowledge(second.group)
  await until(first.group, (now) => now.revocations[0]?.unheard.length === 0)
  await sleep(200)
  t.equal(first.group.set.byAuthor.get(thief.group.me)?.length, 1, 'nothing behind the pin')
  t.equal((await first.group.headOfCore(key))?.treeHash.length, 32)
})

await test('a recovered machine enters through any member that it reaches', async (t) => {
  const testnet = await privateDht(t)
  const first = await firstHome(t)
  const second = await joinedHome(t, first)
  await connect(t, testnet, first, second)
  await until(second.group, (now) => activeCount(now) === 2)
  const fresh = joining(first)
  const device = grantOf(fresh, { role: 'personal', name: null, coreKeyOf: coreKey })
  const record = await usePhrase(first.phrase, async ({ sign }) =>
    signRecord(
      nextStatement(second.group.set, toPublicKey(fresh.signing.publicKey), {
        type: 'recover',
        nonce: Buffer.alloc(32, 5),
        device,
        revocations: [],
        voids: []
      }),
      fresh.signing,
      sign
    )
  )
  const spoilt = Buffer.from(record.bytes)
  spoilt.writeUInt8(255 - spoilt.readUInt8(spoilt.length - 9), spoilt.length - 9)
  t.equal(await second.group.offer([decodeGroupRecord(spoilt)]), 0)
  t.equal(await second.group.offer([record, record]), 1)
  t.equal(await second.group.offer([record]), 0, 'once')
  const now = await until(first.group, (membership) => activeCount(membership) === 3)
  t.match(now.alarms, [{ code: 'RECOVERED' }])
  const keyring = { ...fresh, origin: [record.bytes] }
  const home = await openHome(t, keyring, await tempDirectory(t))
  await connect(t, testnet, second, home)
  await until(home.group, (membership) => activeCount(membership) === 3)
  t.ok(home.group.isActive)
  const first2 = await home.group.append({ type: 'acknowledge', records: [record.hash] })
  await until(first.group, () => first.group.set.byHash.has(first2.hash))
})

await test('a home that was restored from a copy does not write over what it said', async (t) => {
  const testnet = await privateDht(t)
  const first = await firstHome(t)
  const second = await joinedHome(t, first)
  await connect(t, testnet, first, second)
  await until(second.group, (now) => activeCount(now) === 2)
  await acknowledge(second.group)
  const cited = await first.group.append({ type: 'acknowledge', records: [] })
  await until(second.group, () => second.group.set.byHash.has(cited.hash))
  await second.group.append({ type: 'acknowledge', records: [] })
  // What the second one said, in a home of the first one that has lost its last records.
  const records = second.group.set.records.filter(({ hash }) => hash !== cited.hash)
  const old = await openHome(t, first.keyring, await tempDirectory(t))
  const others = records.filter(({ author }) => author !== first.group.me)
  await t.rejects(
    old.group
      .offer(records.filter(({ author }) => author === first.group.me))
      .then(() => old.group.offer(others))
      .then(() => old.group.append({ type: 'acknowledge', records: [] })),
    { code: 'ESTALE' }
  )
})

await test('a member that writes too fast is heard slowly; who writes rubbish is skipped', async (t) => {
  const testnet = await privateDht(t)
  const first = await firstHome(t)
  const loud = await joinedHome(t, first)
  await connect(t, testnet, first, loud)
  await until(loud.group, (now) => activeCount(now) === 2)
  // Its group core, written past all rules.
  await loud.group.close()
  const log = await loud.store.openLog({ keyPair: loud.keyring.groupWriter })
  const rubbish = Array.from({ length: 1_500 }, (_, at) => Buffer.from(`rubbish ${at}`))
  await log.append([...rubbish, ...rubbish])
  await log.append([Buffer.from([2, 9, 9])])
  await loud.store.barrier()
  for (let tries = 0; first.group.coreAlarms.unreadable < 2000 && tries < 100; tries++)
    await sleep(50)
  await sleep(300)
  const { unreadable, newer } = first.group.coreAlarms
  t.ok(unreadable >= 2000 && unreadable < 2100, `${unreadable} at once`)
  t.equal(newer, 0, 'what comes behind waits')
  t.equal(activeCount(first.group.membership), 2)
  await first.group.append({ type: 'acknowledge', records: [] })
  await log.close()
  await first.close()
  const again = await openHome(t, first.keyring, first.directory)
  t.equal(again.group.coreAlarms.newer, 1, 'what is on the disk is read at once')
})

await test('a newer version of pcfs among the members stops this one from writing', async (t) => {
  const testnet = await privateDht(t)
  const first = await firstHome(t)
  const newer = await joinedHome(t, first)
  await connect(t, testnet, first, newer)
  await until(newer.group, (now) => activeCount(now) === 2)
  await newer.group.append({ type: 'unknown', tag: 60, bytes: Buffer.from('new') })
  await until(first.group, (now) => now.alarms.length > 0)
  await t.rejects(first.group.append({ type: 'acknowledge', records: [] }), { code: 'EPROTO' })
  await revoke(first, newer)
  t.equal(activeCount(first.group.membership), 1, 'but for putting it out')
})

await test('keys that nobody admitted bring nothing in', async (t) => {
  const testnet = await privateDht(t)
  const first = await firstHome(t)
  const stranger = await openHome(t, joining(first), await tempDirectory(t))
  await connect(t, testnet, first, stranger)
  await until(stranger.group, (now) => activeCount(now) === 1)
  await stranger.group.append({ type: 'acknowledge', records: [] })
  t.equal(await acknowledge(stranger.group), 0)
  await sleep(200)
  t.equal(first.group.set.byAuthor.size, 1)
})
