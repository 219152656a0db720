import { equal, ok } from 'node:assert/strict'
import { test, type Test } from 'tap'
import { ATTR, EVENT } from '../../src/fuse/native.js'
import { FakeKernel, type Notice, type Reply } from './fake-kernel.js'
import { OP, record } from './tiny-fs.js'

const DT_REG = 8

/** Packs a listing for putDir. */
function pack(names: readonly (readonly [string, number])[]): Buffer {
  return Buffer.concat(
    names.map(([name, ino]) => {
      const bytes = Buffer.from(name)
      const head = Buffer.alloc(10)
      head.writeBigUInt64LE(BigInt(ino), 0)
      head.writeUInt8(DT_REG, 8)
      head.writeUInt8(bytes.length, 9)
      return Buffer.concat([head, bytes])
    })
  )
}

interface Entry {
  readonly name: string
  readonly ino: number
  readonly cookie: number
  readonly nodeid: number
}

/** Unpacks a READDIR or READDIRPLUS reply. */
function unpack(reply: Reply, plus: boolean): Entry[] {
  equal(reply.errno, 0)
  const entries: Entry[] = []
  let at = 0
  while (at < reply.body.length) {
    const nodeid = plus ? Number(reply.body.readBigUInt64LE(at)) : 0
    if (plus) at += 128
    const ino = Number(reply.body.readBigUInt64LE(at))
    const cookie = Number(reply.body.readBigUInt64LE(at + 8))
    const length = reply.body.readUInt32LE(at + 16)
    const name = reply.body.subarray(at + 24, at + 24 + length).toString()
    entries.push({ name, ino, cookie, nodeid })
    at += (24 + length + 7) & ~7
  }
  return entries
}

function readdir(kernel: FakeKernel, ino: number, cookie: number, plus = false): Entry[] {
  const body = FakeKernel.readBody(cookie, 32_768)
  return unpack(kernel.call(plus ? OP.readdirplus : OP.readdir, ino, body), plus)
}

function nodeidOf(reply: Reply): number {
  equal(reply.errno, 0)
  return Number(reply.body.readBigUInt64LE(0))
}

function withRoot(t: Test, options = {}): FakeKernel {
  const kernel = new FakeKernel(t, options)
  kernel.session.putInodes(record({ ino: 1, mode: 0o40755, nlink: 2 }), 1)
  return kernel
}

await test('INIT asks for large writes and no writeback cache, POSIX locks or ACLs', async (t) => {
  const kernel = withRoot(t, { requestTimeoutS: 90 })
  const { errno, body } = kernel.init()
  equal(errno, 0)
  equal(body.length, 64)
  equal(body.readUInt32LE(0), 7)
  const flags = body.readUInt32LE(12)
  const flags2 = body.readUInt32LE(32)
  for (const bit of [0, 5, 13, 14, 15, 18, 22, 23, 25, 28, 30]) ok(flags & (1 << bit), `bit ${bit}`)
  for (const bit of [1, 3, 10, 16, 20]) equal(flags & (1 << bit), 0, `bit ${bit}`)
  ok(flags2 & (1 << (42 - 32)))
  equal(body.readUInt32LE(20), 1 << 20)
  equal(body.readUInt16LE(28), 256)
  equal(body.readUInt16LE(40), 90)
})

await test('getattr and statx of a known inode are answered natively, negative times too', async (t) => {
  const kernel = withRoot(t)
  kernel.session.putInodes(record({ ino: 5, size: 7, mode: 0o100600, timeNs: -1n }), 1)
  const { errno, body } = kernel.getattr(5)
  equal(errno, 0)
  equal(body.readBigUInt64LE(0), 3600n)
  equal(body.readBigUInt64LE(16), 5n)
  equal(body.readBigUInt64LE(24), 7n)
  equal(body.readBigInt64LE(40), -1n)
  equal(body.readUInt32LE(64), 999_999_999)
  equal(body.readUInt32LE(76), 0o100600)
  const statx = kernel.call(OP.statx, 5, Buffer.alloc(24))
  equal(statx.body.length, 288)
  equal(statx.body.readUInt32LE(32) & 0x800, 0x800)
  equal(statx.body.readBigInt64LE(32 + 80), -1n)
})

await test('an unknown inode goes to JavaScript, which puts it and resumes', async (t) => {
  const kernel = withRoot(t)
  kernel.onRequest = (slot, request) => {
    equal(request.opcode, OP.getattr)
    kernel.session.putInodes(record({ ino: request.nodeid, size: 99 }), 1)
    kernel.session.resume(slot)
  }
  const reply = await kernel.reply(kernel.send(OP.getattr, 77, Buffer.alloc(16)))
  equal(reply.errno, 0)
  equal(reply.body.readBigUInt64LE(24), 99n)
  equal(kernel.size(77), 99)
})

await test('names of a complete directory are found or absent natively', async (t) => {
  const kernel = withRoot(t)
  kernel.session.putInodes(Buffer.concat([record({ ino: 10 }), record({ ino: 11 })]), 2)
  kernel.session.putDir(1, pack([['a', 10]]), 1, 1)
  equal(nodeidOf(kernel.lookup(1, 'a')), 10)
  const absent = kernel.lookup(1, 'b')
  equal(nodeidOf(absent), 0)
  equal(absent.body.readBigUInt64LE(16), 3600n)
  kernel.session.addDirent(1, Buffer.from('b'), 11, DT_REG)
  equal(nodeidOf(kernel.lookup(1, 'b')), 11)
  kernel.session.removeDirent(1, Buffer.from('a'))
  equal(nodeidOf(kernel.lookup(1, 'a')), 0)
  equal(kernel.lookup(1, 'x'.repeat(256)).errno, 36)
})

await test('a partly known directory answers what it knows and asks JavaScript for the rest', async (t) => {
  const kernel = withRoot(t)
  let asked = 0
  kernel.onRequest = (slot, request) => {
    asked++
    const name = request.body.subarray(0, -1).toString()
    kernel.session.putInodes(record({ ino: 20 }), 1)
    if (name === 'there') kernel.session.replyEntry(slot, 20)
    else kernel.session.replyNegative(slot)
  }
  const first = await kernel.reply(kernel.send(OP.lookup, 1, Buffer.from('there\0')))
  equal(nodeidOf(first), 20)
  equal(asked, 1)
  equal(nodeidOf(kernel.lookup(1, 'there')), 20)
  equal(nodeidOf(await kernel.reply(kernel.send(OP.lookup, 1, Buffer.from('no\0')))), 0)
  equal(asked, 2)
})

await test('an orphan is told once the kernel has forgotten every lookup', async (t) => {
  const kernel = withRoot(t)
  kernel.session.putInodes(record({ ino: 30 }), 1)
  kernel.session.putDir(1, pack([['o', 30]]), 1, 1)
  kernel.lookup(1, 'o')
  kernel.lookup(1, 'o')
  kernel.session.removeDirent(1, Buffer.from('o'))
  kernel.session.setAttr(30, ATTR.nlink, record({ ino: 30, nlink: 0 }))
  kernel.forget(30, 1)
  kernel.getattr(30)
  kernel.work()
  ok(!kernel.saw(EVENT.orphanGone))
  const batch = Buffer.alloc(24)
  batch.writeUInt32LE(1, 0)
  batch.writeBigUInt64LE(30n, 8)
  batch.writeBigUInt64LE(1n, 16)
  kernel.send(OP.batchForget, 0, batch)
  await kernel.event(EVENT.orphanGone, 30)
  equal(kernel.session.dropInode(30), true)
  equal(kernel.session.getInode(30, Buffer.alloc(112)), false)
})

await test('readdir shows 100,000 names once each, from any cookie, while others come and go', async (t) => {
  const kernel = withRoot(t, { maxDirents: 1_000_000 })
  const count = 100_000
  const names = Array.from({ length: count }, (_, i) => [`name-${i}`, 1000 + i] as const)
  kernel.session.putDir(1, pack(names), count, 1)
  equal(kernel.call(OP.opendir, 1, Buffer.alloc(8)).errno, 0)
  const seen = new Map<string, number>()
  let cookie = 0
  for (let page = 0; ; page++) {
    const entries = readdir(kernel, 1, cookie)
    if (entries.length === 0) break
    for (const entry of entries) {
      ok(entry.cookie > cookie)
      cookie = entry.cookie
      seen.set(entry.name, (seen.get(entry.name) ?? 0) + 1)
    }
    // Names come and go ahead of and behind the reader; the even ones of the first half stay.
    if (page < 400) {
      kernel.session.removeDirent(1, Buffer.from(`name-${page * 200 + 1}`))
      kernel.session.addDirent(1, Buffer.from(`new-${page}`), 500_000 + page, DT_REG)
    }
  }
  equal(seen.get('.'), 1)
  equal(seen.get('..'), 1)
  for (let i = 0; i < count; i += 2) equal(seen.get(`name-${i}`), 1, `name-${i}`)
  for (const [name, times] of seen) equal(times, 1, name)
})

await test('a listing that is replaced while it is read keeps the cookies of names that stay', async (t) => {
  const kernel = withRoot(t)
  kernel.session.putDir(1, pack([['a', 2], ['b', 3], ['c', 4]]), 3, 1) // prettier-ignore
  kernel.call(OP.opendir, 1, Buffer.alloc(8))
  const before = readdir(kernel, 1, 0)
  kernel.session.dropDir(1)
  kernel.onRequest = (slot) => {
    kernel.session.putDir(1, pack([['d', 5], ['c', 4], ['a', 2]]), 3, 1) // prettier-ignore
    kernel.session.resume(slot)
  }
  const at = before.find((entry) => entry.name === 'a')?.cookie ?? 0
  const rest = unpack(
    await kernel.reply(kernel.send(OP.readdir, 1, FakeKernel.readBody(at, 4096))),
    false
  )
  equal(rest.map((entry) => entry.name).join(), 'c,d')
  equal(kernel.call(OP.releasedir, 1, Buffer.alloc(24)).errno, 0)
})

await test('readdirplus counts lookups of known children and leaves the others bare', async (t) => {
  const kernel = withRoot(t)
  kernel.session.putInodes(record({ ino: 40, nlink: 0 }), 1)
  kernel.session.putDir(1, pack([['known', 40], ['unknown', 41]]), 2, 1) // prettier-ignore
  const entries = readdir(kernel, 1, 0, true)
  equal(
    entries.map(({ name, nodeid }) => `${name}:${nodeid}`).join(),
    '.:0,..:0,known:40,unknown:0'
  )
  kernel.events.length = 0
  kernel.forget(40, 1)
  await kernel.event(EVENT.orphanGone, 40)
})

await test('opendir keeps the cached listing only of a table whose cookies the kernel has', async (t) => {
  const kernel = withRoot(t)
  kernel.session.putDir(1, pack([['a', 2]]), 1, 1)
  const flags = (): number => kernel.call(OP.opendir, 1, Buffer.alloc(8)).body.readUInt32LE(8)
  equal(flags(), 8)
  equal(flags(), 8 | 2)
  kernel.call(OP.releasedir, 1, Buffer.alloc(24))
  kernel.call(OP.releasedir, 1, Buffer.alloc(24))
  kernel.session.dropDir(1)
  equal(kernel.session.hasDir(1), false)
  kernel.session.putDir(1, pack([['a', 2]]), 1, 1)
  equal(flags(), 8)
})

await test('tables stay bounded: idle inodes and closed directories go, used ones stay', async (t) => {
  const kernel = withRoot(t, { maxInodes: 100, maxDirents: 100 })
  kernel.session.putInodes(record({ ino: 50 }), 1)
  kernel.session.putDir(1, pack([['kept', 50]]), 1, 1)
  kernel.lookup(1, 'kept')
  for (let i = 0; i < 1000; i++) kernel.session.putInodes(record({ ino: 1000 + i }), 1)
  ok((kernel.session.stats()['inodes'] ?? 0) <= 101)
  equal(kernel.getattr(50).errno, 0)
  kernel.call(OP.opendir, 1, Buffer.alloc(8))
  for (let i = 0; i < 50; i++)
    kernel.session.putDir(2000 + i, pack([['x', 1], ['y', 2], ['z', 3]]), 3, 1) // prettier-ignore
  ok((kernel.session.stats()['directories'] ?? 0) <= 34)
  equal(kernel.session.hasDir(1), true)
})

await test('a table full of inodes that the kernel knows still takes new ones', async (t) => {
  const kernel = withRoot(t, { maxInodes: 100, maxDirents: 10_000 })
  const names = (count: number): Buffer =>
    pack(Array.from({ length: count }, (_, i): [string, number] => [`f${i}`, 1000 + i]))
  for (let i = 0; i < 500; i++) {
    kernel.session.putInodes(record({ ino: 1000 + i }), 1)
    kernel.session.putDir(1, names(i + 1), i + 1, 1)
    // Something else changes before the answer names the new one.
    kernel.session.putInodes(record({ ino: 1 }), 1)
    equal(kernel.lookup(1, `f${i}`).errno, 0, `file ${i}`)
  }
  for (let i = 0; i < 500; i++) equal(kernel.getattr(1000 + i).errno, 0)
})

await test('what is not supported is answered ENOSYS without JavaScript', async (t) => {
  const kernel = withRoot(t)
  for (const opcode of [31, 32, 33, 34, 37, 39, 40, 53, 99])
    equal(kernel.call(opcode, 1, Buffer.alloc(64)).errno, 38)
})

await test('invalidations reach the kernel, equal ones that wait only once', async (t) => {
  const kernel = withRoot(t)
  kernel.session.invalidateEntry(1, Buffer.from('name'))
  kernel.session.invalidateInode(9, 4096, 8192)
  await kernel.until(() => kernel.notices.length >= 3)
  const entry = kernel.notices.find(({ code }) => code === 3)
  equal(entry?.body.subarray(16).toString(), 'name\0')
  const inode = kernel.notices.find(
    ({ code, body }) => code === 2 && body.readBigUInt64LE(0) === 9n
  )
  equal(inode?.body.readBigInt64LE(8), 4096n)
  equal(inode?.body.readBigInt64LE(16), 8192n)
})

await test('a flood of changed names becomes one notice for all names', async (t) => {
  const kernel = withRoot(t)
  kernel.init()
  const count = 150_000
  for (let i = 0; i < count; i++) kernel.session.invalidateEntry(1, Buffer.from(`n${i}`))
  kernel.session.invalidateInode(77, 0, 0)
  const isLast = ({ code, body }: Notice): boolean => code === 2 && body.readBigUInt64LE(0) === 77n
  await kernel.until(() => kernel.notices.some(isLast), 20_000)
  ok(kernel.notices.some(({ code }) => code === 8))
  ok(kernel.notices.length < count)
})
