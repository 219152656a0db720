import { newSigningPair } from '../../src/keys/secrets.js'
import { append, appendOnly, cipher as encryption, textBlocks, until, World } from './devices.js'
import { setTimeout as sleep } from 'node:timers/promises'
import { test } from 'tap'

const soon = { timeoutMs: 5000 }

await test('a core comes in full to a device that follows it so, and grows there as it grows', async (t) => {
  const world = await World.create(t)
  const a = await world.device()
  const b = await world.device()
  const own = await a.store.openCore({ keyPair: newSigningPair() })
  await append(a, own, textBlocks(0, 100))
  const replica = await b.replicas.follow({
    key: own.key,
    encryption,
    kind: 'records',
    isFull: true
  })
  await until(() => replica.core.contiguousLength === 100)
  t.equal((await replica.core.get(42, { timeoutMs: 0 }))?.toString(), 'block 42')
  await append(a, own, textBlocks(100, 5))
  await until(() => replica.core.contiguousLength === 105)
  t.match(await b.replicas.progress(), [{ length: 105, heldBlocks: 105, peers: 1 }])
})

await test('of content that is followed sparsely only what is read comes', async (t) => {
  const world = await World.create(t)
  const a = await world.device()
  const b = await world.device()
  const own = await a.store.openCore({ keyPair: newSigningPair() })
  await append(a, own, textBlocks(0, 100))
  const options = { key: own.key, encryption, kind: 'content' } as const
  const replica = await b.replicas.follow({ ...options, isFull: false })
  await until(() => replica.core.length === 100)
  t.equal((await replica.core.get(7, soon))?.toString(), 'block 7')
  await sleep(100)
  t.match(await replica.progress(), { length: 100, heldBlocks: 1, contiguousLength: 0 })
  await b.replicas.follow({ ...options, isFull: true })
  await until(() => replica.core.contiguousLength === 100)
})

await test('peers hear of an append after the barrier, and of no more than it made durable', async (t) => {
  const world = await World.create(t)
  const a = await world.device()
  const b = await world.device()
  const own = await a.store.openCore({ keyPair: newSigningPair() })
  await append(a, own, textBlocks(0, 10))
  const options = { key: own.key, encryption, kind: 'records', isFull: true } as const
  const { core } = await b.replicas.follow(options)
  await until(() => core.contiguousLength === 10)

  await appendOnly(a, own, textBlocks(10, 10))
  await sleep(100)
  t.equal(core.length, 10, 'nothing is told before a barrier')
  const barrier = a.store.barrier()
  await appendOnly(a, own, textBlocks(20, 10))
  await barrier
  await until(() => core.contiguousLength >= 20)
  t.equal(core.length, 20, 'an upgrade carries the durable head, not the newest')
  await until(() => core.contiguousLength === 30, 2000)
  t.pass('what nobody made durable is, a little later, by itself')
})

await test('a device that connects between append and barrier is not told either', async (t) => {
  const world = await World.create(t)
  const a = await world.device()
  const own = await a.store.openCore({ keyPair: newSigningPair() })
  await append(a, own, textBlocks(0, 3))
  const other = await a.store.openCore({ keyPair: newSigningPair() })
  const b = await world.device()
  const options = { encryption, kind: 'records', isFull: true } as const
  const first = await b.replicas.follow({ ...options, key: own.key })
  const second = await b.replicas.follow({ ...options, key: other.key })
  const stopAppending = new AbortController()
  // Without an end: there is always something that is not durable.
  const appending = (async () => {
    for (let i = 3; !stopAppending.signal.aborted; i++) {
      await appendOnly(a, own, textBlocks(i, 1))
    }
  })()
  await until(() => first.core.contiguousLength >= 3)
  t.ok(first.core.length <= own.length)
  stopAppending.abort()
  await appending
  await a.store.barrier()
  await until(() => first.core.contiguousLength === own.length)
  t.equal(second.core.length, 0)
})

await test('a private core is not offered', async (t) => {
  const world = await World.create(t)
  const a = await world.device()
  const b = await world.device()
  const open = await a.store.openCore({ keyPair: newSigningPair() })
  const hidden = await a.store.openCore({ keyPair: newSigningPair(), isPrivate: true })
  await append(a, hidden, textBlocks(0, 3))
  await append(a, open, textBlocks(0, 3))
  const options = { encryption, kind: 'records', isFull: true } as const
  const seen = await b.replicas.follow({ ...options, key: open.key })
  await until(() => seen.core.contiguousLength === 3)
  t.equal((await hidden.get(1, { timeoutMs: 0 }))?.toString(), 'block 1', 'its owner reads it')
})
