import { systemClock } from '../../src/base/clock.js'
import { silentLogger } from '../../src/base/log.js'
import { newSigningPair } from '../../src/keys/secrets.js'
import { openSwarm, parseBootstrap } from '../../src/swarm/swarm.js'
import { append, cipher as encryption, openDevice, privateDht } from './devices.js'
import { tempDirectory, textBlocks, topic, until, World } from './devices.js'
import { setTimeout as sleep } from 'node:timers/promises'
import { test } from 'tap'

await test('members find each other and see each other as peers', async (t) => {
  const world = await World.create(t)
  const a = await world.device()
  const b = await world.device()
  await until(() => a.swarm.peers().length === 1 && b.swarm.peers().length === 1)
  const [peer] = a.swarm.peers()
  t.same(peer?.noiseKey, b.keyPair.publicKey)
  t.equal(peer?.path, 'lan', 'the loopback network is one that this machine is on')
  t.ok((peer?.connectedSinceMs ?? 0) > Date.now() - 20_000)
})

await test('a stranger with the right topic is refused, and let in once it is a member', async (t) => {
  const testnet = await privateDht(t)
  const world = new World(t, testnet)
  const a = await world.device()
  const stranger = newSigningPair()
  const b = await openDevice(t, {
    directory: await tempDirectory(t),
    options: {
      keyPair: stranger,
      network: { bootstrap: [], lan: false, dht: testnet.createNode() },
      isMember: () => true
    }
  })
  await sleep(3000)
  t.same([a.swarm.peers(), b.swarm.peers()], [[], []])
  world.admit(stranger)
  a.swarm.refresh()
  await until(() => a.swarm.peers().length === 1 && b.swarm.peers().length === 1)
})

await test('who is no longer a member is dropped at once and stays out', async (t) => {
  const world = await World.create(t)
  const a = await world.device()
  const b = await world.device()
  const c = await world.device()
  await until(() => a.swarm.peers().length === 2)
  world.members.delete(b.keyPair.publicKey.toString('hex'))
  a.swarm.refresh()
  await until(() => a.swarm.peers().length === 1, 1000)
  t.same(a.swarm.peers()[0]?.noiseKey, c.keyPair.publicKey)
  await sleep(3000)
  t.equal(a.swarm.peers().length, 1)
})

await test('two devices keep one connection however often they call each other', async (t) => {
  const world = await World.create(t)
  const a = await world.device()
  const b = await world.device()
  await until(() => a.swarm.peers().length === 1)
  for (let i = 0; i < 5; i++) {
    a.swarm.refresh()
    b.swarm.refresh()
    await sleep(200)
  }
  t.equal(a.swarm.peers().length, 1)
  t.equal(b.swarm.peers().length, 1)
})

await test('a suspended device is alone, and back after it resumes, with what it missed', async (t) => {
  const world = await World.create(t)
  const a = await world.device()
  const b = await world.device()
  const own = await a.store.openCore({ keyPair: newSigningPair() })
  await append(a, own, textBlocks(0, 3))
  const options = { key: own.key, encryption, kind: 'records', isFull: true } as const
  const { core } = await b.replicas.follow(options)
  await until(() => core.contiguousLength === 3)
  await b.swarm.suspend()
  await until(() => a.swarm.peers().length === 0)
  await append(a, own, textBlocks(3, 3))
  await b.swarm.resume()
  await until(() => core.contiguousLength === 6, 20_000)
  t.equal(b.swarm.peers().length, 1)
})

await test('without a network nothing is opened and everything answers', async (t) => {
  const store = { replicate: () => t.fail('nobody can be connected') }
  const swarm = await openSwarm({
    keyPair: newSigningPair(),
    topic,
    network: null,
    isMember: () => true,
    store,
    clock: systemClock(),
    log: silentLogger
  })
  swarm.refresh()
  t.same(swarm.peers(), [])
  await swarm.suspend()
  await swarm.resume()
  await swarm.close()
})

await test('it closes in a bounded time where nobody answers', async (t) => {
  const swarm = await openSwarm({
    keyPair: newSigningPair(),
    topic,
    // TEST-NET-1: nothing is there.
    network: { bootstrap: [{ host: '192.0.2.1', port: 49737 }], lan: true },
    isMember: () => true,
    store: { replicate: () => undefined },
    clock: systemClock(),
    log: silentLogger
  })
  await sleep(200)
  const startedMs = performance.now()
  await Promise.all([swarm.close(), swarm.close()])
  t.ok(performance.now() - startedMs < 5000)
})

await test('the list of DHT nodes is read, and what is none is refused', async (t) => {
  t.same(parseBootstrap('a.example:1, 10.0.0.1:65535'), [
    { host: 'a.example', port: 1 },
    { host: '10.0.0.1', port: 65_535 }
  ])
  t.same(parseBootstrap(''), [])
  for (const wrong of ['a', 'a:0', 'a:65536', ':1', 'a:b', 'a:1:2']) {
    t.throws(() => parseBootstrap(wrong), { code: 'EINVAL' })
  }
})
