import { deepEqual, equal, ok, throws } from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { pid, ppid } from 'node:process'
import { setTimeout as sleep } from 'node:timers/promises'
import { Worker } from 'node:worker_threads'
import { fileURLToPath } from 'node:url'
import { test } from 'tap'
import { EVENT, RANGES } from '../../src/fuse/native.js'
import { FakeKernel } from './fake-kernel.js'
import { newLocalFile, OP, record } from './tiny-fs.js'

const EIO = 5
const EINTR = 4
const EDEADLK = 35

/** The id of a process that has ended. */
function goneProcess(): number {
  return spawnSync('true').pid
}

await test('JavaScript that is silent too long: EIO to what waits for it, its late answers drop', async (t) => {
  const kernel = new FakeKernel(t, { watchdogMs: 300 })
  let held = -1
  kernel.onRequest = (slot) => {
    held = slot
  }
  const taken = kernel.send(OP.statfs, 1)
  await kernel.until(() => held >= 0)
  const queued = kernel.send(OP.statfs, 1)
  equal(kernel.replyNow(taken, 3000).errno, EIO)
  equal(kernel.replyNow(queued, 3000).errno, EIO)
  equal(kernel.session.replyOk(held), false)
  throws(() => kernel.session.replyOk(held), { code: 'EINVAL' })
  equal(kernel.session.stats()['expired'], 2)
})

await test('a slow answer of a living JavaScript is not cut short', async (t) => {
  const kernel = new FakeKernel(t, { watchdogMs: 200 })
  kernel.onRequest = (slot) => {
    setTimeout(() => kernel.session.replyOk(slot), 700)
  }
  equal((await kernel.reply(kernel.send(OP.statfs, 1))).errno, 0)
})

await test('a request of our own thread that needs JavaScript is refused, a native one served', async (t) => {
  const kernel = new FakeKernel(t)
  kernel.session.putInodes(record({ ino: 5 }), 1)
  equal(kernel.replyNow(kernel.send(OP.statfs, 1, undefined, pid)).errno, EDEADLK)
  equal(kernel.replyNow(kernel.send(OP.getattr, 5, Buffer.alloc(16), pid)).errno, 0)
  kernel.onRequest = (slot) => kernel.session.replyOk(slot)
  equal((await kernel.reply(kernel.send(OP.statfs, 1, undefined, 1))).errno, 0)
})

await test('a request of a caller that dies is answered EINTR before JavaScript took it, told after', async (t) => {
  const kernel = new FakeKernel(t)
  const interrupt = (unique: bigint): void => {
    const body = Buffer.alloc(8)
    body.writeBigUInt64LE(unique)
    kernel.send(OP.interrupt, 0, body)
  }
  const untaken = kernel.send(OP.statfs, 1, undefined, goneProcess())
  interrupt(untaken)
  equal(kernel.replyNow(untaken).errno, EINTR)
  let held = -1
  kernel.onRequest = (slot) => {
    held = slot
  }
  const taken = kernel.send(OP.statfs, 1)
  await kernel.until(() => held >= 0)
  interrupt(taken)
  await kernel.event(EVENT.interrupted, held)
  ok(kernel.events.some(([, slot, unique]) => slot === held && BigInt(unique) === taken))
  equal(kernel.session.replyError(held, EINTR), true)
  equal((await kernel.reply(taken)).errno, EINTR)
})

await test('a caller that lives on after a signal gets its answer, not EINTR', async (t) => {
  const kernel = new FakeKernel(t)
  const waiting = kernel.send(OP.statfs, 1, undefined, ppid)
  const body = Buffer.alloc(8)
  body.writeBigUInt64LE(waiting)
  kernel.send(OP.interrupt, 0, body)
  kernel.onRequest = (slot) => kernel.session.replyOk(slot)
  equal((await kernel.reply(waiting)).errno, 0)
})

await test('a stalled JavaScript with hundreds of waiting requests blocks no native answer', async (t) => {
  const kernel = new FakeKernel(t)
  kernel.session.putInodes(record({ ino: 5, size: 3 }), 1)
  kernel.deaf = true
  const uniques = Array.from({ length: 300 }, () => kernel.send(OP.statfs, 1))
  for (let i = 0; i < 100; i++) equal(kernel.getattr(5).errno, 0)
  equal(kernel.read(5, 0, 3).body.length, 3)
  let answered = 0
  kernel.onRequest = (slot) => {
    answered++
    kernel.session.replyOk(slot)
  }
  kernel.deaf = false
  for (const unique of uniques) equal((await kernel.reply(unique)).errno, 0)
  equal(answered, 300)
  await kernel.until(() => (kernel.session.stats()['slotsInUse'] ?? 9) <= 1)
})

await test('a slot is answered exactly once', async (t) => {
  const kernel = new FakeKernel(t)
  kernel.onRequest = (slot) => {
    equal(kernel.session.replyOk(slot), true)
    throws(() => kernel.session.replyOk(slot), { code: 'EINVAL' })
    throws(() => kernel.session.replyError(99, 5), { code: 'EINVAL' })
  }
  equal((await kernel.reply(kernel.send(OP.statfs, 1))).errno, 0)
  throws(() => kernel.session.replyEntry(0, 12_345), { code: 'ENOENT' })
})

await test('the end of the connection is told once and close runs twice harmlessly', async (t) => {
  const kernel = new FakeKernel(t)
  kernel.session.abort()
  await kernel.event(EVENT.ended)
  equal(kernel.events.filter(([type]) => type === EVENT.ended).length, 1)
  kernel.session.close()
  kernel.session.close()
  throws(() => kernel.native.attach(kernel.session.id), { code: 'ENOENT' })
})

await test('the worker reads frozen bytes while they are overwritten, and fills', async (t) => {
  const kernel = new FakeKernel(t)
  kernel.openJournal()
  const size = 1 << 20
  kernel.session.putInodes(record({ ino: 5 }), 1)
  kernel.addFile(1)
  kernel.session.bind(5, 1, 0, 1 << 30)
  kernel.write(5, 0, Buffer.alloc(size, 1))
  kernel.session.freeze(Float64Array.of(5))
  const worker = new Worker(fileURLToPath(new URL('frozen-worker.js', import.meta.url)), {
    workerData: { sessionId: kernel.session.id, size, rounds: 40 }
  })
  const done = new Promise<unknown>((resolve, reject) => {
    worker.once('message', resolve)
    worker.once('error', reject)
  })
  for (let i = 0; i < 200; i++) {
    const fileOffset = (i * 77_777) % (size - 65_536)
    equal(kernel.write(5, fileOffset, Buffer.alloc(65_536, 2)).errno, 0)
    if (i % 5 === 0) await sleep(1)
  }
  deepEqual(await done, { wrong: 0, filled: true })
  deepEqual([...kernel.session.ranges(5, RANGES.frozen)], [0, size])
  await worker.terminate()
})

await test('a context that ends with an open session closes it', async (t) => {
  const kernel = new FakeKernel(t)
  const [ours, theirs] = kernel.native.socketpair()
  const worker = new Worker(fileURLToPath(new URL('mount-worker.js', import.meta.url)), {
    workerData: { transportFd: theirs }
  })
  await new Promise((resolve) => worker.once('message', resolve))
  await worker.terminate()
  equal(kernel.native.rawRecv(ours, Buffer.alloc(100), 1000), 0)
})

await test('writes of several clients at once to one file are all there', async (t) => {
  const kernel = new FakeKernel(t)
  kernel.openJournal()
  kernel.session.putInodes(record({ ino: 5 }), 1)
  kernel.session.addFile(1, newLocalFile(kernel.directory, 'several'))
  kernel.session.bind(5, 1, 0, 1 << 30)
  const chunk = 100_000
  const uniques = Array.from({ length: 24 }, (_, i) =>
    kernel.send(OP.write, 5, FakeKernel.writeBody(i * chunk, Buffer.alloc(chunk, i + 1)))
  )
  const reads = Array.from({ length: 8 }, () =>
    kernel.send(OP.read, 5, FakeKernel.readBody(0, 1 << 20))
  )
  for (const unique of [...uniques, ...reads]) equal(kernel.replyNow(unique).errno, 0)
  for (let i = 0; i < 24; i++) {
    const { body } = kernel.read(5, i * chunk, chunk)
    ok(body.equals(Buffer.alloc(chunk, i + 1)), `chunk ${i}`)
  }
})
