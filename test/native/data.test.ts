import { deepEqual, equal, ok, throws } from 'node:assert/strict'
import { constants as fileConstants, readFileSync } from 'node:fs'
import { constants } from 'node:os'
import { join } from 'node:path'
import { test, type Test } from 'tap'
import { ATTR, EVENT, RANGES } from '../../src/fuse/native.js'
import { FakeKernel } from './fake-kernel.js'
import { OP, record } from './tiny-fs.js'

const FILE = 5
const { O_APPEND } = fileConstants
/** Flag of a write that comes from the page cache. */
const FUSE_WRITE_CACHE = 1
const LIMIT = 1 << 24

/** A kernel with a journal and one bound, empty file. */
function withFile(t: Test, options = {}): FakeKernel {
  const kernel = new FakeKernel(t, options)
  kernel.openJournal()
  kernel.session.putInodes(record({ ino: FILE }), 1)
  kernel.addFile(1)
  kernel.session.bind(FILE, 1, 4096, LIMIT)
  return kernel
}

function written(kernel: FakeKernel, fileOffset: number, data: Uint8Array): number {
  const { errno, body } = kernel.write(FILE, fileOffset, data)
  equal(errno, 0)
  return body.readUInt32LE(0)
}

function content(kernel: FakeKernel, fileOffset: number, length: number): Buffer {
  const { errno, body } = kernel.read(FILE, fileOffset, length)
  equal(errno, 0)
  return body
}

await test('what is written is read back, at its place in the local file', async (t) => {
  const kernel = withFile(t)
  equal(written(kernel, 10, Buffer.from('hello')), 5)
  equal(kernel.size(FILE), 15)
  equal(content(kernel, 0, 100).toString(), '\0'.repeat(10) + 'hello')
  equal(content(kernel, 15, 100).length, 0)
  equal(content(kernel, 1 << 30, 100).length, 0)
  deepEqual([...kernel.session.ranges(FILE, RANGES.valid)], [10, 15])
  deepEqual([...kernel.session.ranges(FILE, RANGES.dirty)], [10, 15])
  const local = readFileSync(join(kernel.directory, 'file-1'))
  equal(local.subarray(4096 + 10).toString(), 'hello')
  kernel.work()
  ok(kernel.saw(EVENT.dirtied, FILE))
})

await test('an append goes to the end, wherever the kernel takes that to be', async (t) => {
  const kernel = withFile(t)
  written(kernel, 0, Buffer.from('hello'))
  for (const [told, data, expected] of [
    [2, ' from', 'hello from'],
    [50, ' here', 'hello from here']
  ] as const) {
    const body = FakeKernel.writeBody(told, Buffer.from(data))
    body.writeUInt32LE(O_APPEND, 32)
    kernel.notices.length = 0
    equal((await kernel.reply(kernel.send(OP.write, FILE, body))).errno, 0)
    equal(kernel.size(FILE), expected.length)
    equal(content(kernel, 0, 100).toString(), expected)
    // It has the bytes where it put them.
    await kernel.until(() => kernel.notices.length > 0)
    const [notice] = kernel.notices
    equal(notice?.body.readBigUInt64LE(0), BigInt(FILE))
    equal(Number(notice?.body.readBigInt64LE(8)), Math.min(told, expected.length - data.length))
  }
  const body = FakeKernel.writeBody(1, Buffer.from('E'), FUSE_WRITE_CACHE)
  body.writeUInt32LE(O_APPEND, 32)
  equal((await kernel.reply(kernel.send(OP.write, FILE, body))).errno, 0)
  equal(content(kernel, 0, 100).toString(), 'hEllo from here', 'of a mapping: where it says')
})

await test('a write of 1 MiB and a read of 1 MiB go in one request', async (t) => {
  const kernel = withFile(t)
  const data = Buffer.alloc(1 << 20, 'abcdefghijk')
  equal(written(kernel, 3, data), data.length)
  deepEqual(content(kernel, 3, 1 << 20), data)
})

await test('READ: local bytes, zeros beyond the base, JavaScript for the rest', async (t) => {
  const kernel = withFile(t)
  kernel.session.putInodes(
    record({ ino: FILE, size: 1000, baseEnd: 100, baseEpoch: 3, flags: 1 }),
    1
  )
  equal(content(kernel, 100, 900).equals(Buffer.alloc(900)), true)
  written(kernel, 0, Buffer.alloc(50, 1))
  equal(content(kernel, 0, 50)[49], 1)
  let asked = 0
  kernel.onRequest = (slot, request) => {
    asked++
    equal(request.opcode, OP.read)
    equal(kernel.session.fill(FILE, 0, Buffer.alloc(200, 2), 200, 2), false)
    equal(kernel.session.fill(FILE, 0, Buffer.alloc(200, 2), 200, 3), true)
    kernel.session.resume(slot)
  }
  const reply = await kernel.reply(kernel.send(OP.read, FILE, FakeKernel.readBody(0, 200)))
  equal(asked, 1)
  deepEqual(
    reply.body,
    Buffer.concat([Buffer.alloc(50, 1), Buffer.alloc(50, 2), Buffer.alloc(100)])
  )
  deepEqual([...kernel.session.ranges(FILE, RANGES.valid)], [0, 100])
  deepEqual([...kernel.session.ranges(FILE, RANGES.dirty)], [0, 50])
})

await test('a large READ that lacked content is resumed by a reader', async (t) => {
  const kernel = withFile(t)
  const size = 1 << 20
  kernel.session.putInodes(record({ ino: FILE, size, baseEnd: size, flags: 1 }), 1)
  kernel.onRequest = (slot) => {
    equal(kernel.session.fill(FILE, 0, Buffer.alloc(size, 9), size, 0), true)
    kernel.session.resume(slot)
  }
  const reply = await kernel.reply(kernel.send(OP.read, FILE, FakeKernel.readBody(0, size)))
  equal(reply.body.equals(Buffer.alloc(size, 9)), true)
})

await test('an unbound file without base reads as zeros natively', async (t) => {
  const kernel = new FakeKernel(t)
  kernel.session.putInodes(record({ ino: 8, size: 10 }), 1)
  equal(kernel.read(8, 0, 100).body.equals(Buffer.alloc(10)), true)
})

await test('a write to an unbound file comes to JavaScript, which binds and resumes', async (t) => {
  const kernel = new FakeKernel(t)
  kernel.openJournal()
  kernel.session.putInodes(record({ ino: 9 }), 1)
  kernel.addFile(2)
  kernel.onRequest = (slot) => {
    kernel.session.bind(9, 2, 0, 1 << 16)
    kernel.session.resume(slot)
  }
  const body = FakeKernel.writeBody(0, Buffer.from('x'))
  equal((await kernel.reply(kernel.send(OP.write, 9, body))).errno, 0)
  deepEqual(kernel.session.binding(9), { fileId: 2, base: 0, limit: 1 << 16 })
  equal(kernel.write(9, 1, Buffer.from('y')).errno, 0)
  kernel.onRequest = (slot) => kernel.session.replyError(slot, 28)
  const beyond = FakeKernel.writeBody(1 << 16, Buffer.from('z'))
  equal((await kernel.reply(kernel.send(OP.write, 9, beyond))).errno, 28)
})

await test('when the write budget is used up new bytes come to JavaScript, old ones do not', async (t) => {
  const kernel = withFile(t)
  kernel.session.setWriteBudget(10)
  written(kernel, 0, Buffer.alloc(10))
  written(kernel, 2, Buffer.alloc(5))
  kernel.onRequest = (slot) => {
    kernel.session.setWriteBudget(100)
    kernel.session.resume(slot)
  }
  const body = FakeKernel.writeBody(5, Buffer.alloc(20))
  equal((await kernel.reply(kernel.send(OP.write, FILE, body))).errno, 0)
  equal(kernel.session.stats()['writeBudget'], 85)
})

await test('a write that must clear set-user-id bits comes to JavaScript first', async (t) => {
  const kernel = withFile(t)
  kernel.session.setAttr(FILE, ATTR.mode, record({ ino: FILE, mode: 0o104755 }))
  let asked = 0
  kernel.onRequest = (slot) => {
    asked++
    kernel.session.setAttr(FILE, ATTR.mode, record({ ino: FILE, mode: 0o100755 }))
    kernel.session.resume(slot)
  }
  const body = FakeKernel.writeBody(0, Buffer.from('x'), 4)
  equal((await kernel.reply(kernel.send(OP.write, FILE, body))).errno, 0)
  equal(asked, 1)
  kernel.session.setAttr(FILE, ATTR.mode, record({ ino: FILE, mode: 0o102644 }))
  equal(kernel.call(OP.write, FILE, body).errno, 0)
})

await test('a file ends at 8 TiB', async (t) => {
  const kernel = withFile(t)
  equal(kernel.write(FILE, 2 ** 43 - 1, Buffer.from('xy')).errno, 27)
})

await test('truncation cuts ranges and base; what is extended later reads as zeros', async (t) => {
  const kernel = withFile(t)
  written(kernel, 0, Buffer.alloc(100, 7))
  kernel.session.truncate(FILE, 40, 1n)
  equal(kernel.size(FILE), 40)
  deepEqual([...kernel.session.ranges(FILE, RANGES.dirty)], [0, 40])
  kernel.session.truncate(FILE, 80, 2n)
  equal(
    content(kernel, 0, 100).equals(Buffer.concat([Buffer.alloc(40, 7), Buffer.alloc(40)])),
    true
  )
  const mtime = kernel.getattr(FILE).body.readUInt32LE(68)
  equal(mtime, 2)
})

await test('zeroing punches the local file and counts as written', async (t) => {
  const kernel = withFile(t)
  written(kernel, 0, Buffer.alloc(65_536, 7))
  kernel.session.zeroRange(FILE, 4096, 8192, 0, 5n)
  equal(content(kernel, 4096, 8192).equals(Buffer.alloc(8192)), true)
  equal(content(kernel, 4095, 1)[0], 7)
  deepEqual(kernel.session.nextLocal(FILE, 4096), { start: 4096, end: 12_288, hole: true })
  deepEqual(kernel.session.nextLocal(FILE, 0), { start: 0, end: 4096, hole: false })
  equal(kernel.session.nextLocal(FILE, 65_536), null)
  kernel.session.zeroRange(FILE, 60_000, 10_000, 70_000, 6n)
  equal(kernel.size(FILE), 70_000)
  throws(() => kernel.session.zeroRange(FILE, LIMIT, 10, LIMIT + 10, 6n), { code: 'ENXIO' })
})

await test('opening and closing are left to the kernel; what CREATE opened is released', async (t) => {
  const kernel = withFile(t)
  equal(kernel.call(OP.open, FILE, Buffer.alloc(8)).errno, constants.errno.ENOSYS)
  equal(kernel.call(OP.flush, FILE, Buffer.alloc(24)).errno, constants.errno.ENOSYS)
  equal(kernel.call(OP.release, FILE, Buffer.alloc(24)).errno, 0)
})

await test('metadata from JavaScript does not overwrite local state unless forced', async (t) => {
  const kernel = withFile(t)
  written(kernel, 0, Buffer.alloc(10))
  kernel.session.putInodes(record({ ino: FILE, size: 3, mode: 0o100600 }), 1)
  equal(kernel.size(FILE), 10)
  equal(kernel.getattr(FILE).body.readUInt32LE(76), 0o100600)
  kernel.session.putInodes(record({ ino: FILE, size: 3, flags: 1 }), 1)
  equal(kernel.size(FILE), 3)
})

await test('unbind refuses dirty files and files in use keep their local file', async (t) => {
  const kernel = withFile(t)
  written(kernel, 0, Buffer.alloc(10))
  equal(kernel.session.unbind(FILE), false)
  throws(() => kernel.session.removeFile(1), { code: 'EBUSY' })
  equal(kernel.session.dropInode(FILE), false)
  kernel.session.freeze(Float64Array.of(FILE))
  equal(kernel.session.unbind(FILE), false)
  kernel.session.thaw(FILE, true)
  kernel.session.setBase(FILE, 10, 1)
  equal(kernel.session.unbind(FILE), true)
  equal(kernel.session.binding(FILE), null)
  kernel.session.removeFile(1)
  throws(() => kernel.session.removeFile(1), { code: 'ENOENT' })
})
