import { deepEqual, equal, ok, throws } from 'node:assert/strict'
import { join } from 'node:path'
import { test } from 'tap'
import { EVENT, loadNative } from '../../src/fuse/native.js'
import { FakeKernel } from './fake-kernel.js'
import { readSegment } from './journal-reader.js'
import { newLocalFile, OP, record } from './tiny-fs.js'

const SALT = 0x1234_5678_9abc_def0n

await test('crc32c is the Castagnoli one and continues from a seed', async () => {
  const native = loadNative()
  const crc32c = (data: Uint8Array, seed: number): number => native.crc32c(data, seed)
  equal(crc32c(Buffer.from('123456789'), 0), 0xe3069283)
  equal(crc32c(Buffer.alloc(32), 0), 0x8a9136aa)
  const whole = Buffer.from('any bytes at all, of an odd length')
  for (let cut = 0; cut <= whole.length; cut++)
    equal(crc32c(whole.subarray(cut), crc32c(whole.subarray(0, cut), 0)), crc32c(whole, 0))
})

await test('every entry is in the journal byte by byte before its answer', async (t) => {
  const kernel = new FakeKernel(t)
  kernel.openJournal()
  kernel.session.putInodes(record({ ino: 5 }), 1)
  kernel.addFile(3)
  kernel.session.bind(5, 3, 65_536, 4096)
  kernel.write(5, 7, Buffer.from('abc'))
  const meta = Buffer.from('opaque')
  equal(kernel.session.journalAppend(Buffer.concat([meta, meta]), meta.length), 3)
  equal(kernel.session.truncate(5, 8, 77n), 4)
  equal(kernel.session.zeroRange(5, 1, 100, 0, 78n), 5)
  equal(kernel.session.lastSeq(), 5)

  const { segmentId, firstSeq, salt, entries } = readSegment(kernel.journalPath)
  deepEqual([segmentId, firstSeq, salt], [1, 1, SALT])
  deepEqual(
    entries.map((entry) => [entry.seq, entry.type, entry.payload.length]),
    [
      [1, 6, 32],
      [2, 1, 56],
      [3, 4, 6],
      [4, 2, 24],
      [5, 3, 56]
    ]
  )
  const u64 = (entry: number, at: number): bigint | undefined =>
    entries[entry]?.payload.readBigUInt64LE(at)
  deepEqual([u64(0, 0), entries[0]?.payload.readUInt32LE(8), u64(0, 16), u64(0, 24)], [5n, 3, 65_536n, 4096n]) // prettier-ignore
  deepEqual([u64(1, 0), u64(1, 8), u64(1, 16), u64(1, 24), u64(1, 32), u64(1, 40)], [5n, 3n, 65_543n, 7n, 3n, 10n]) // prettier-ignore
  ok((u64(1, 48) ?? 0n) > 1_700_000_000_000_000_000n)
  equal(entries[2]?.payload.toString(), 'opaque')
  deepEqual([u64(3, 0), u64(3, 8), u64(3, 16)], [5n, 8n, 77n])
  deepEqual([u64(4, 24), u64(4, 32), u64(4, 40), u64(4, 48)], [1n, 7n, 8n, 78n])
})

await test('a full segment switches to the spare one and says so; without one it is EAGAIN', async (t) => {
  const kernel = new FakeKernel(t)
  kernel.openJournal(192)
  const payload = Buffer.alloc(40)
  equal(kernel.session.journalAppend(payload, 40), 1)
  equal(kernel.session.journalAppend(payload, 40), 2)
  throws(() => kernel.session.journalAppend(payload, 40), { code: 'EAGAIN' })
  kernel.session.journalSpare(newLocalFile(kernel.directory, 'journal-2'), 2, 4096)
  throws(() => kernel.session.journalAppend(Buffer.alloc(5000), 5000), { code: 'EFBIG' })
  equal(kernel.session.journalAppend(payload, 40), 3)
  await kernel.event(EVENT.journalLow, 2)
  const second = readSegment(join(kernel.directory, 'journal-2'))
  deepEqual([second.segmentId, second.firstSeq, second.salt], [2, 3, SALT])
  deepEqual(second.entries.map((entry) => entry.seq), [3]) // prettier-ignore
  equal(readSegment(kernel.journalPath).entries.length, 2)
})

await test('a write that finds the journal full goes to JavaScript, which brings a segment', async (t) => {
  const kernel = new FakeKernel(t)
  kernel.openJournal(256)
  kernel.session.putInodes(record({ ino: 5 }), 1)
  kernel.addFile(1)
  kernel.session.bind(5, 1, 0, 4096)
  equal(kernel.write(5, 0, Buffer.from('a')).errno, 0)
  kernel.onRequest = (slot, request) => {
    equal(request.opcode, OP.write)
    kernel.session.journalSpare(newLocalFile(kernel.directory, 'journal-2'), 2, 4096)
    kernel.session.resume(slot)
  }
  const body = FakeKernel.writeBody(1, Buffer.from('b'))
  equal((await kernel.reply(kernel.send(OP.write, 5, body))).errno, 0)
  equal(readSegment(join(kernel.directory, 'journal-2')).entries[0]?.type, 1)
})

await test('the journal is continued where an earlier process left it', async (t) => {
  const kernel = new FakeKernel(t)
  kernel.openJournal()
  kernel.session.journalAppend(Buffer.from('one'), 3)
  kernel.session.close()
  const again = new FakeKernel(t)
  const fd = newLocalFile(kernel.directory, 'journal')
  const limit = 16 << 20
  const fileOffset = 64 + 32
  again.session.journalOpen({ fd, segmentId: 1, fileOffset, limit, nextSeq: 2, salt: SALT })
  equal(again.session.journalAppend(Buffer.from('two'), 3), 2)
  deepEqual(
    readSegment(kernel.journalPath).entries.map((entry) => entry.payload.toString()),
    ['one', 'two']
  )
  throws(
    () => again.session.journalOpen({ fd: newLocalFile(kernel.directory, 'x'), segmentId: 1, fileOffset, limit, nextSeq: 2, salt: SALT }), // prettier-ignore
    { code: 'EBUSY' }
  )
})

await test('fsync is answered by the sync thread after a MARK that covers it; waiters share it', async (t) => {
  const kernel = new FakeKernel(t)
  kernel.openJournal()
  kernel.session.putInodes(record({ ino: 5 }), 1)
  kernel.addFile(1)
  kernel.session.bind(5, 1, 0, 4096)
  kernel.write(5, 0, Buffer.from('a'))
  equal(kernel.session.durableSeq(), 0)
  const uniques = [OP.fsync, OP.fsyncdir, OP.fsync, OP.fsync].map((opcode) =>
    kernel.send(opcode, 5, Buffer.alloc(16))
  )
  for (const unique of uniques) equal(kernel.replyNow(unique).errno, 0)
  equal(kernel.session.durableSeq(), 2)
  await kernel.event(EVENT.marked, 2)
  ok((kernel.session.stats()['syncs'] ?? 0) <= 3)
  const last = readSegment(kernel.journalPath).entries.at(-1)
  equal(last?.type, 5)
  equal(last?.payload.readBigUInt64LE(0), 2n)
  // Nothing new: nothing is written.
  const before = kernel.session.lastSeq()
  equal(kernel.call(OP.fsync, 5, Buffer.alloc(16)).errno, 0)
  equal(kernel.session.lastSeq(), before)
})

await test('without fsync the same happens by itself', async (t) => {
  const kernel = new FakeKernel(t, { syncIntervalMs: 50 })
  kernel.openJournal()
  const seq = kernel.session.journalAppend(Buffer.from('m'), 1)
  await kernel.event(EVENT.marked)
  ok(kernel.session.durableSeq() >= seq)
})

await test('sync asks for a MARK, and waits for room in a full journal', async (t) => {
  const kernel = new FakeKernel(t)
  kernel.openJournal(64 + 32)
  kernel.session.journalAppend(Buffer.from('m'), 1)
  const fsync = kernel.send(OP.fsync, 5, Buffer.alloc(16))
  ok(!kernel.hasReply(fsync, 100))
  kernel.session.journalSpare(newLocalFile(kernel.directory, 'journal-2'), 2, 4096)
  equal((await kernel.reply(fsync)).errno, 0)
  equal(kernel.session.durableSeq(), 1)
})
