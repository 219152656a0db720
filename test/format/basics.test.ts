import assert from 'node:assert'
import fc from 'fast-check'
import t from 'tap'
import {
  BLOCK_PADDING_BYTES,
  parseBlock,
  writeBlockPadding
} from '../../src/format/block-layout.js'
import {
  DERIVED_SLOT,
  ROOT_ID,
  ROOT_INO,
  derivedId,
  generationNumber
} from '../../src/format/ids.js'
import { MAX_AHEAD_MS, receive, stampFromMs, stampMs, tick } from '../../src/format/hlc.js'
import { Reader, Writer } from '../../src/format/bytes.js'
import { compare, covers, dominates, dotsOf, join, withDot } from '../../src/format/vector.js'
import { counter, dot, generation, name, nodeId, stamp, vector } from './arbitrary.js'
import { decodeMark, encodeMark } from '../../src/format/mark.js'
import { direntKey, direntRange, parseDirentKey } from '../../src/format/dirent.js'
import { inoOf, linkDot, linkIdOf, nodeIdFromBytes, nodeIdToBytes } from '../../src/format/ids.js'
import { parseNodeId, sequentialId, sequentialParts, splitIno } from '../../src/format/ids.js'
import { toGenerationNumber } from '../../src/format/ids.js'
import { isName } from '../../src/format/name-rules.js'

t.test('an id comes back from its bytes and its text', async () => {
  fc.assert(
    fc.property(nodeId, generation, counter, (id, g, c) => {
      assert.strictEqual(nodeIdFromBytes(nodeIdToBytes(id)), id)
      assert.strictEqual(parseNodeId(id), id)
      assert.deepStrictEqual(sequentialParts(sequentialId(g, c)), { generation: g, counter: c })
      const link = linkIdOf({ generation: g, counter: c })
      assert.deepStrictEqual(linkDot(link), { generation: g, counter: c })
    })
  )
})

t.test('a malformed id is refused', async (t) => {
  for (const text of [
    '',
    '00',
    '03'.padEnd(26, '0'),
    '01'.padEnd(26, 'G'),
    '1'.padStart(26, '0')
  ]) {
    t.throws(() => parseNodeId(text), { code: 'EIO' }, text)
  }
  t.throws(() => nodeIdFromBytes(Buffer.alloc(13, 3)), { code: 'EIO' })
  t.throws(() => nodeIdFromBytes(Buffer.alloc(12, 1)), { code: 'EIO' })
  t.throws(() => nodeIdFromBytes(Buffer.from([...Buffer.alloc(12), 1])), { code: 'EIO' })
  t.throws(() => sequentialId(toGenerationNumber(1), 0), { code: 'EIO' })
  t.throws(() => toGenerationNumber(2 ** 48), { code: 'EIO' })
})

t.test('an inode number is a safe integer of its own for each node', async (t) => {
  const slotOf = (): number => 4094
  const g = generationNumber(Buffer.alloc(32, 1))
  t.equal(inoOf(ROOT_ID, slotOf), ROOT_INO)
  const last = inoOf(sequentialId(g, 2 ** 41 - 1), slotOf)
  t.ok(Number.isSafeInteger(last))
  t.same(splitIno(last), { slot: 4094, counter: 2 ** 41 - 1 })
  const derived = inoOf(derivedId(ROOT_ID, { generation: g, counter: 1 }), slotOf)
  t.ok(Number.isSafeInteger(derived))
  t.equal(splitIno(derived).slot, DERIVED_SLOT)
  t.throws(() => inoOf(sequentialId(g, 2 ** 41), slotOf), { code: 'EIO' })
})

t.test('a stamp always grows, whatever the wall clock does', async () => {
  fc.assert(
    fc.property(fc.array(fc.nat(10_000)), (clock) => {
      let last = 0n
      for (const nowMs of clock) {
        const next = tick(last, nowMs)
        assert(next > last)
        assert(stampMs(next) >= nowMs)
        last = next
      }
    })
  )
})

t.test('a peer pulls the clock at most 60 seconds ahead, and is reported beyond that', async () => {
  fc.assert(
    fc.property(stamp, stamp, fc.nat(2 ** 40), (last, seen, nowMs) => {
      const { last: after, offendingAheadMs } = receive(last, seen, nowMs)
      assert(after >= last)
      assert(after === last || stampMs(after) <= nowMs + MAX_AHEAD_MS)
      const ahead = stampMs(seen) - nowMs
      assert.strictEqual(offendingAheadMs, ahead > MAX_AHEAD_MS ? ahead : null)
      if (offendingAheadMs === null) assert(after >= seen)
    })
  )
})

t.test('the counter of a stamp carries over into its milliseconds', async (t) => {
  t.equal(tick(stampFromMs(5) + 0xffffn, 5), stampFromMs(6))
})

t.test('vectors join to the least one that dominates both', async () => {
  fc.assert(
    fc.property(vector, vector, vector, dot, (a, b, c, d) => {
      const joined = join(a, b)
      assert(dominates(joined, a) && dominates(joined, b))
      assert.deepStrictEqual(joined, join(b, a))
      assert.deepStrictEqual(join(joined, c), join(a, join(b, c)))
      assert.deepStrictEqual(join(a, a), a)
      if (dominates(c, a) && dominates(c, b)) assert(dominates(c, joined))
      assert(covers(withDot(a, d), d))
      assert.strictEqual(compare(a, a), 'equal')
      assert.strictEqual(compare(a, b) === 'after', compare(b, a) === 'before')
      assert.deepStrictEqual(dotsOf(a).reduce(withDot, [] as readonly number[]), a)
    })
  )
})

t.test('every number comes back, and none is read beyond the end', async () => {
  fc.assert(
    fc.property(
      fc.maxSafeNat(),
      fc.integer({ min: -(2 ** 51), max: 2 ** 51 }),
      fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
      fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
      (uint, int, bigUint, bigInt) => {
        const writer = new Writer()
        writer.uint(uint)
        writer.int(int)
        writer.bigUint(bigUint)
        writer.bigInt(bigInt)
        const bytes = writer.finish()
        const read = (from: Buffer): readonly unknown[] => {
          const reader = new Reader('test', from)
          return [reader.uint(), reader.int(), reader.bigUint(), reader.bigInt()]
        }
        assert.deepStrictEqual(read(bytes), [uint, int, bigUint, bigInt])
        for (let end = 0; end < bytes.length; end++) {
          assert.throws(() => read(bytes.subarray(0, end)), { code: 'EIO' })
        }
      }
    )
  )
})

t.test('a frame of any length comes back, nested too', async () => {
  fc.assert(
    fc.property(fc.nat(70_000), fc.nat(300), (long, short) => {
      const writer = new Writer()
      writer.frame(() => {
        writer.frame(() => writer.raw(Buffer.alloc(long, 1)))
        writer.frame(() => writer.raw(Buffer.alloc(short, 2)))
      })
      writer.uint(77)
      const reader = new Reader('test', writer.finish())
      reader.frame(() => {
        assert.deepStrictEqual(
          reader.frame(() => reader.rest()?.length ?? 0),
          long
        )
        assert.deepStrictEqual(
          reader.frame(() => reader.rest()?.length ?? 0),
          short
        )
        assert.strictEqual(reader.left, 0)
      })
      assert.strictEqual(reader.uint(), 77)
    }),
    { numRuns: 50 }
  )
})

t.test('the keys of a directory are one range, and hold names exactly', async () => {
  fc.assert(
    fc.property(nodeId, nodeId, name, (parent, other, value) => {
      const key = direntKey({ parent, name: value })
      assert.deepStrictEqual(parseDirentKey(key), { parent, name: value })
      const { gte, lt } = direntRange(parent)
      assert(key.compare(gte) >= 0 && key.compare(lt) < 0)
      const foreign = direntKey({ parent: other, name: value })
      assert.strictEqual(foreign.compare(gte) >= 0 && foreign.compare(lt) < 0, other === parent)
    })
  )
})

t.test('a name is what Linux lets a file be called', async (t) => {
  for (const good of ['a', '...', 'ä', '\n', 'x'.repeat(255)]) t.ok(isName(Buffer.from(good)))
  for (const bad of ['', '.', '..', 'a/b', 'a\0', 'x'.repeat(256)])
    t.notOk(isName(Buffer.from(bad)))
  t.ok(isName(Buffer.from([0xff, 0xfe])), 'not UTF-8')
})

t.test('a mark comes back from its bytes', async () => {
  const entry = fc.tuple(generation, fc.maxSafeNat())
  fc.assert(
    fc.property(stamp, fc.array(entry), (s, entries) => {
      const mark = { stamp: s, lengths: new Map(entries) }
      assert.deepStrictEqual(decodeMark(encodeMark(mark)), {
        ...mark,
        lengths: new Map([...mark.lengths].sort(([a], [b]) => a - b))
      })
    })
  )
})

t.test('a stored block comes apart into epoch, nonce and ciphertext', async (t) => {
  const block = Buffer.alloc(BLOCK_PADDING_BYTES + 3, 9)
  writeBlockPadding(block, Buffer.alloc(8, 1), Buffer.alloc(16, 2))
  const { epochId, nonce, ciphertext } = parseBlock(block)
  t.same(epochId, Buffer.alloc(8, 1))
  t.same(nonce, Buffer.alloc(16, 2))
  t.same(ciphertext, Buffer.alloc(3, 9))
  t.throws(() => parseBlock(block.subarray(0, 24)), { code: 'EIO' })
  block[0] = 2
  t.throws(() => parseBlock(block), { code: 'EIO' })
})
