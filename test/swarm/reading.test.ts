import { newSigningPair } from '../../src/keys/secrets.js'
import type { Core } from '../../src/store/core.js'
import { append, cipher as encryption, type Device, textBlocks, until, World } from './devices.js'
import { randomBytes } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { test } from 'tap'

async function sparse(device: Device, key: Buffer, length: number): Promise<Core> {
  const replica = await device.replicas.follow({ key, encryption, kind: 'content', isFull: false })
  await until(() => replica.core.length === length)
  return replica.core
}

await test('a block comes from whichever peer has it, also when its writer is gone', async (t) => {
  const world = await World.create(t)
  const writer = await world.device()
  const keeper = await world.device()
  const own = await writer.store.openCore({ keyPair: newSigningPair() })
  await append(writer, own, textBlocks(0, 20))
  const options = { key: own.key, encryption, kind: 'content', isFull: true } as const
  const copy = await keeper.replicas.follow(options)
  await until(() => copy.core.contiguousLength === 20)
  await writer.swarm.close()
  const reader = await world.device()
  const core = await sparse(reader, own.key, 20)
  t.equal((await core.get(11, { timeoutMs: 5000 }))?.toString(), 'block 11')
})

await test('a block that no connected device has is EHOSTUNREACH in seconds, not at the deadline', async (t) => {
  const world = await World.create(t)
  const a = await world.device()
  const b = await world.device()
  const own = await a.store.openCore({ keyPair: newSigningPair() })
  await append(a, own, textBlocks(0, 20))
  const core = await sparse(b, own.key, 20)
  await own.clear(5, 6)
  const startedMs = performance.now()
  await t.rejects(core.get(5, { timeoutMs: 30_000 }), {
    code: 'EHOSTUNREACH',
    message: new RegExp(`block 5 of core ${own.key.toString('hex')}`)
  })
  await a.swarm.close()
  await until(() => b.swarm.peers().length === 0)
  await t.rejects(core.get(6, { timeoutMs: 30_000 }), { code: 'EHOSTUNREACH' })
  t.ok(performance.now() - startedMs < 10_000)
  await t.rejects(core.get(6, { timeoutMs: 100 }), { code: 'ETIMEDOUT' })
})

await test('a read that waits is served by a device that comes in time', async (t) => {
  const world = await World.create(t)
  const a = await world.device()
  const b = await world.device()
  const own = await a.store.openCore({ keyPair: newSigningPair() })
  await append(a, own, textBlocks(0, 20))
  const core = await sparse(b, own.key, 20)
  await a.swarm.suspend()
  await until(() => b.swarm.peers().length === 0)
  const reading = core.get(3, { timeoutMs: 10_000 })
  await sleep(300)
  await a.swarm.resume()
  t.equal((await reading)?.toString(), 'block 3')
})

await test('a read that is called off ends at once, and others of the block go on', async (t) => {
  const world = await World.create(t)
  const a = await world.device()
  const b = await world.device()
  const own = await a.store.openCore({ keyPair: newSigningPair() })
  await append(a, own, textBlocks(0, 20))
  const core = await sparse(b, own.key, 20)
  await a.swarm.suspend()
  await until(() => b.swarm.peers().length === 0)
  const off = new AbortController()
  const first = core.get(3, { timeoutMs: 10_000, signal: off.signal })
  const second = core.get(3, { timeoutMs: 10_000 })
  await sleep(50)
  off.abort()
  await t.rejects(first, { code: 'ECANCELED' })
  await t.rejects(core.get(4, { timeoutMs: 10_000, signal: off.signal }), { code: 'ECANCELED' })
  await a.swarm.resume()
  t.equal((await second)?.toString(), 'block 3')
})

await test('a block that was forged is EIO that names it, and is not kept', async (t) => {
  const world = await World.create(t)
  const a = await world.device()
  const b = await world.device()
  const own = await a.store.openCore({ keyPair: newSigningPair() })
  await append(a, own, textBlocks(0, 20))
  const core = await sparse(b, own.key, 20)
  // The peer lies: what it sends as block 7 is not what its tree says.
  for (const peer of own.session.core.replicator.peers) {
    const { wireData } = peer
    peer.wireData = {
      send: (message) => {
        if (message.block?.index === 7) message.block.value = Buffer.from('forged')
        wireData.send(message)
      }
    }
  }
  const startedMs = performance.now()
  await t.rejects(core.get(7, { timeoutMs: 30_000 }), { code: 'EIO', message: /block 7 of core/ })
  t.ok(performance.now() - startedMs < 5000)
  t.equal(core.has(7), false)
})

await test('reads in a row fetch ahead, up to where the reader said; one alone does not', async (t) => {
  const world = await World.create(t)
  const a = await world.device()
  const b = await world.device()
  const own = await a.store.openCore({ keyPair: newSigningPair() })
  await append(
    a,
    own,
    Array.from({ length: 300 }, () => randomBytes(1000))
  )
  const core = await sparse(b, own.key, 300)
  await core.get(200, { timeoutMs: 5000, aheadTo: 250 })
  await sleep(200)
  t.equal(await core.count(0, 300), 1, 'one read, one block')
  for (let block = 10; block < 20; block++) await core.get(block, { timeoutMs: 5000, aheadTo: 30 })
  await until(() => core.has(29))
  await sleep(100)
  t.equal(await core.count(0, 300), 21, 'the run to its end and nothing beyond')
})
