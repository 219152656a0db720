/**
 * Random operations on one file against a byte array. What the control plane would do (filling from
 * the base, ingesting a freeze, evicting) is done here in the simplest way.
 */
import { deepEqual, equal, ok } from 'node:assert/strict'
import fc from 'fast-check'
import { test } from 'tap'
import { INODE_RECORD, RANGES } from '../../src/fuse/native.js'
import { FakeKernel } from './fake-kernel.js'
import { readSegment } from './journal-reader.js'
import { OP, record } from './tiny-fs.js'

const FILE = 5
const LIMIT = 1 << 20
const LARGEST = 400_000

type Operation =
  | { readonly op: 'write'; readonly at: number; readonly length: number; readonly byte: number }
  | { readonly op: 'truncate'; readonly size: number }
  | { readonly op: 'zero'; readonly at: number; readonly length: number; readonly grow: boolean }
  | { readonly op: 'read'; readonly at: number; readonly length: number }
  | { readonly op: 'freeze' | 'ingest' | 'abandon' | 'evict' | 'rebind' | 'readFrozen' }

const at = fc.oneof(
  fc.nat(200),
  fc.nat(LARGEST / 2),
  fc.nat(40).map((n) => n * 4096)
)
const length = fc.oneof(fc.integer({ min: 1, max: 100 }), fc.integer({ min: 1, max: 150_000 }))
const operation: fc.Arbitrary<Operation> = fc.oneof(
  { weight: 6, arbitrary: fc.record({ op: fc.constant('write' as const), at, length, byte: fc.integer({ min: 1, max: 255 }) }) }, // prettier-ignore
  { weight: 2, arbitrary: fc.record({ op: fc.constant('truncate' as const), size: at }) },
  { weight: 2, arbitrary: fc.record({ op: fc.constant('zero' as const), at, length, grow: fc.boolean() }) }, // prettier-ignore
  { weight: 3, arbitrary: fc.record({ op: fc.constant('read' as const), at, length }) },
  {
    weight: 6,
    arbitrary: fc.record({
      op: fc.constantFrom(
        ...(['freeze', 'ingest', 'abandon', 'evict', 'rebind', 'readFrozen'] as const)
      )
    })
  }
)

/** The reference: bytes, and what the Corestore would hold. */
class Model {
  bytes: Buffer = Buffer.alloc(0)
  base: Buffer = Buffer.alloc(0)
  frozen: Buffer | null = null
  epoch = 1
  /** Place of the binding: alternates between two files. */
  place = 0

  constructor(readonly kernel: FakeKernel) {}

  resize(size: number): void {
    const grown = Buffer.alloc(size)
    this.bytes.copy(grown, 0, 0, Math.min(size, this.bytes.length))
    this.bytes = grown
  }

  async apply(step: Operation): Promise<void> {
    const { session } = this.kernel
    switch (step.op) {
      case 'write': {
        if (session.binding(FILE) === null)
          session.bind(FILE, this.place + 1, this.place * 512, LIMIT)
        const data = Buffer.alloc(step.length, step.byte)
        equal(this.kernel.write(FILE, step.at, data).errno, 0)
        if (step.at + step.length > this.bytes.length) this.resize(step.at + step.length)
        data.copy(this.bytes, step.at)
        return
      }
      case 'truncate':
        session.truncate(FILE, step.size, 1n)
        this.resize(step.size)
        return
      case 'zero': {
        if (session.binding(FILE) === null) return
        const newSize = step.grow ? step.at + step.length : 0
        session.zeroRange(FILE, step.at, step.length, newSize, 1n)
        if (newSize > this.bytes.length) this.resize(newSize)
        this.bytes.subarray(step.at, step.at + step.length).fill(0)
        return
      }
      case 'read':
        await this.read(step.at, step.length)
        return
      case 'freeze':
        if (this.frozen) return
        session.freeze(Float64Array.of(FILE))
        this.frozen = Buffer.from(this.bytes)
        return
      case 'ingest':
        if (!this.frozen) return
        this.checkFrozen()
        this.base = this.frozen
        session.setBase(FILE, this.frozen.length, ++this.epoch)
        session.thaw(FILE, true)
        this.frozen = null
        return
      case 'abandon':
        if (!this.frozen) return
        session.thaw(FILE, false)
        this.frozen = null
        return
      case 'evict':
        session.unbind(FILE)
        return
      case 'rebind':
        if (session.binding(FILE) === null) return
        this.place = 1 - this.place
        session.rebind(FILE, this.place + 1, this.place * 512, LIMIT)
        return
      case 'readFrozen':
        if (this.frozen) this.checkFrozen()
    }
  }

  private async read(fileOffset: number, count: number): Promise<void> {
    const { session } = this.kernel
    this.kernel.onRequest = (slot, request) => {
      equal(request.opcode, OP.read)
      if (session.binding(FILE) === null)
        session.bind(FILE, this.place + 1, this.place * 512, LIMIT)
      const content = Buffer.alloc(count)
      this.base.copy(content, 0, fileOffset, fileOffset + count)
      equal(session.fill(FILE, fileOffset, content, count, this.epoch), true)
      session.resume(slot)
    }
    const body = FakeKernel.readBody(fileOffset, count)
    const reply = await this.kernel.reply(this.kernel.send(OP.read, FILE, body))
    equal(reply.errno, 0)
    const wanted = this.bytes.subarray(fileOffset, fileOffset + count)
    ok(reply.body.equals(wanted), `read of ${count} at ${fileOffset}`)
  }

  private checkFrozen(): void {
    const { session } = this.kernel
    const frozen = this.frozen ?? Buffer.alloc(0)
    const out = Buffer.alloc(LARGEST, 0xee)
    const pairs = [...session.readFrozen(FILE, 0, out)]
    deepEqual(pairs, [...session.ranges(FILE, RANGES.frozen)])
    let next = 0
    for (let i = 0; i < pairs.length; i += 2) {
      const [start = 0, end = 0] = pairs.slice(i, i + 2)
      ok(out.subarray(start, end).equals(frozen.subarray(start, end)), `frozen ${start}-${end}`)
      ok(out.subarray(next, start).every((byte) => byte === 0xee))
      next = end
      for (let hole = start; hole < end;) {
        const data = session.nextFrozenData(FILE, hole)
        const until = data < 0 ? end : Math.min(data, end)
        ok(
          frozen.subarray(hole, until).every((byte) => byte === 0),
          'a hole holds zeros'
        )
        hole = until + 4096
      }
    }
    const head = Buffer.alloc(112)
    equal(session.getFrozen(FILE, head), true)
    equal(Number(head.readBigUInt64LE(INODE_RECORD.size)), frozen.length)
  }

  /** What must hold after every operation. */
  check(): void {
    const { session } = this.kernel
    equal(this.kernel.size(FILE), this.bytes.length)
    const head = Buffer.alloc(112)
    session.getInode(FILE, head)
    const baseEnd = Number(head.readBigUInt64LE(INODE_RECORD.baseEnd))
    // 0: as the base says, 1: valid, 2: dirty, 3: frozen
    const kinds = Buffer.alloc(LARGEST)
    const mark = (kind: 0 | 1 | 2, value: number): void => {
      const pairs = session.ranges(FILE, kind)
      for (let i = 0; i < pairs.length; i += 2) {
        const [start = 0, end = 0] = pairs.subarray(i, i + 2)
        if (kind !== RANGES.frozen) ok(end <= this.bytes.length, 'within the size')
        if (kind === RANGES.dirty) ok(kinds.subarray(start, end).every((k) => k === 1 || k === 3))
        kinds.fill(value, start, end)
      }
    }
    mark(RANGES.valid, 1)
    mark(RANGES.dirty, 2)
    mark(RANGES.frozen, 3)
    for (let p = 0; p < this.bytes.length; p++)
      if ((kinds[p] ?? 0) < 2 && this.bytes[p] !== (p < baseEnd ? (this.base[p] ?? 0) : 0))
        throw new Error(`byte ${p} is clean but not what the base (to ${baseEnd}) says`)
  }
}

await test('one file behaves as a byte array under any operations, frozen cuts included', async (t) => {
  const seed = 20_261_123
  await fc.assert(
    fc.asyncProperty(fc.array(operation, { maxLength: 40 }), async (steps) => {
      const kernel = new FakeKernel(t)
      try {
        kernel.openJournal()
        kernel.addFile(1)
        kernel.addFile(2)
        kernel.session.putInodes(record({ ino: FILE, baseEpoch: 1 }), 1)
        const model = new Model(kernel)
        for (const step of steps) {
          await model.apply(step)
          model.check()
        }
        await model.apply({ op: 'read', at: 0, length: LARGEST })
        checkJournal(kernel, model.bytes.length)
      } finally {
        kernel.close()
      }
    }),
    { numRuns: 60, seed }
  )
})

/** The size that the journal's entries lead to is the file's. */
function checkJournal(kernel: FakeKernel, size: number): void {
  let replayed = 0
  for (const { type, payload } of readSegment(kernel.journalPath).entries) {
    if (type === 1 || type === 3) replayed = Number(payload.readBigUInt64LE(40))
    if (type === 2) replayed = Number(payload.readBigUInt64LE(8))
  }
  equal(replayed, size)
}
