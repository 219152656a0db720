import assert from 'node:assert'
import { mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import t, { type Test } from 'tap'
import { loadNative } from '../../src/fuse/native.js'
import { ENTRY, Journal, cutJournal, readJournal } from '../../src/vfs/journal.js'

const native = loadNative()
const crc = (bytes: Buffer, seed: number): number => native.crc32c(bytes, seed)
const SALT = 0x0102_0304_0506_0708n

interface Entry {
  readonly type?: number
  readonly text: string
}

function temporary(t: Test): string {
  const directory = mkdtempSync(join(tmpdir(), 'pcfs-journal-'))
  t.teardown(() => rmSync(directory, { recursive: true }))
  return directory
}

/** One segment, byte by byte as FORMAT.md has it. */
function segment(id: number, firstSeq: number, entries: readonly Entry[]): Buffer {
  const header = Buffer.alloc(64)
  header.write('PCFSJRNL', 0, 'latin1')
  header.writeUInt32LE(1, 8)
  header.writeUInt32LE(64, 12)
  header.writeBigUInt64LE(BigInt(id), 16)
  header.writeBigUInt64LE(BigInt(firstSeq), 24)
  header.writeBigUInt64LE(SALT, 32)
  const parts = [header]
  for (const [i, { type = ENTRY.meta, text }] of entries.entries()) {
    // A mark tells up to which entry everything is durable, here the one before it.
    const payload = type === ENTRY.mark ? Buffer.alloc(16) : Buffer.from(text, 'latin1')
    if (type === ENTRY.mark) payload.writeBigUInt64LE(BigInt(firstSeq + i - 1))
    const bytes = Buffer.alloc(Math.ceil((24 + payload.length) / 8) * 8)
    bytes.writeUInt32LE(payload.length, 4)
    bytes.writeBigUInt64LE(BigInt(firstSeq + i), 8)
    bytes[16] = type
    payload.copy(bytes, 24)
    bytes.writeUInt32LE(crc(bytes.subarray(4), crc(header.subarray(32, 40), 0)), 0)
    parts.push(bytes)
  }
  return Buffer.concat([...parts, Buffer.alloc(4096)])
}

function put(directory: string, id: number, firstSeq: number, entries: readonly Entry[]): string {
  const path = join(directory, `${id}.seg`)
  writeFileSync(path, segment(id, firstSeq, entries))
  return path
}

const texts = (directory: string, trustAll = true): string[] =>
  readJournal(directory, trustAll, crc).entries.map(({ type, payload }) =>
    type === ENTRY.mark ? '' : payload.toString()
  )
const of = (...all: readonly string[]): Entry[] => all.map((text) => ({ text }))
const mark: Entry = { type: ENTRY.mark, text: '' }

t.test('entries come back in order, over segments', async (t) => {
  const directory = temporary(t)
  put(directory, 9, 1, of('a', 'bb'))
  put(directory, 10, 3, of('ccc'))
  t.strictSame(texts(directory), ['a', 'bb', 'ccc'])
  t.equal(readJournal(directory, true, crc).nextSeq, 4)
})

t.test('a torn tail ends the journal and what lies before it stands', async (t) => {
  const directory = temporary(t)
  const path = put(directory, 1, 1, of('first', 'second', 'third'))
  const bytes = readFileSync(path)
  writeFileSync(path, bytes.subarray(0, 64 + 32 + 32 + 28))
  t.strictSame(texts(directory), ['first', 'second'])
})

t.test('a damaged middle ends the journal there and is told of', async (t) => {
  const directory = temporary(t)
  const path = put(directory, 1, 1, of('first', 'second', 'third'))
  put(directory, 2, 4, of('fourth'))
  const bytes = readFileSync(path)
  bytes[64 + 32 + 26] = 0
  writeFileSync(path, bytes)
  t.strictSame(texts(directory), ['first'])
  t.equal(readJournal(directory, true, crc).damaged, true)
})

t.test('whatever one byte becomes, what is read is a beginning of what was written', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'pcfs-journal-'))
  const written = ['one', 'twotwo', 'three', 'four and more']
  const good = segment(1, 1, of(...written))
  fc.assert(
    fc.property(fc.nat(64 + 140), fc.nat(255), (at, value) => {
      const bytes = Buffer.from(good)
      bytes[at] = value
      writeFileSync(join(directory, '1.seg'), bytes)
      const read = texts(directory)
      assert.deepStrictEqual(read, written.slice(0, read.length))
    }),
    { numRuns: 300 }
  )
  rmSync(directory, { recursive: true })
})

t.test("a recycled segment's old entries are not read again", async (t) => {
  const directory = temporary(t)
  put(directory, 1, 1, of('a', 'b'))
  // Begun anew over a segment of earlier use: the entry behind the new one is a stale one.
  const stale = segment(2, 100, of('old1', 'old2', 'old3'))
  segment(2, 3, of('cnew')).copy(stale, 0, 0, 64 + 32)
  writeFileSync(join(directory, '2.seg'), stale)
  t.strictSame(texts(directory), ['a', 'b', 'cnew'])
  // A spare that was not begun has an old header.
  put(directory, 3, 1, of('a', 'b'))
  t.strictSame(texts(directory), ['a', 'b', 'cnew'])
})

t.test('after a gap only what lies behind it counts', async (t) => {
  const directory = temporary(t)
  put(directory, 1, 1, of('released', 'released'))
  put(directory, 3, 50, of('x', 'y'))
  t.strictSame(texts(directory), ['x', 'y'])
})

t.test('after a power loss only what a mark vouches for counts', async (t) => {
  const directory = temporary(t)
  put(directory, 1, 1, [...of('a', 'b'), mark, ...of('c')])
  t.strictSame(texts(directory, false), ['a', 'b'])
  t.strictSame(texts(directory, true), ['a', 'b', '', 'c'])
})

t.test('what a recovery did not trust is not trusted by a later one either', async (t) => {
  const directory = temporary(t)
  put(directory, 1, 1, [...of('a'), mark, ...of('c')])
  put(directory, 2, 4, of('d', 'e'))
  put(directory, 3, 6, of('f'))
  cutJournal(directory, 2, crc)
  t.strictSame(texts(directory), ['a', ''])
})

t.test(
  'a recovery that a crash ends after the cut is repeated from the same journal',
  async (t) => {
    const directory = temporary(t)
    put(directory, 1, 1, [...of('a'), mark, ...of('c')])
    put(directory, 2, 4, of('d', 'e'))
    cutJournal(directory, 2, crc)
    // The interrupted recovery had begun its own segment.
    put(directory, 3, 3, of('stated'))
    t.strictSame(texts(directory), ['a', '', 'stated'])
  }
)

t.test('segments go when everything in them is committed, not before', async (t) => {
  const directory = temporary(t)
  const opened: number[] = []
  const journal = new Journal(directory, {
    journalOpen: ({ segmentId, nextSeq }) => {
      writeFileSync(join(directory, `${segmentId}.seg`), segment(segmentId, nextSeq, of('x')))
    },
    journalSpare: (_fd, id) => {
      opened.push(id)
    },
    journalAppend: () => 1
  })
  journal.open(1, SALT)
  const [spare = 0] = opened
  // The data plane takes the spare into use: its header says where it begins.
  writeFileSync(join(directory, `${spare}.seg`), segment(spare, 2, of('y')))
  journal.onSwitched()
  t.equal(journal.segmentCount, 2)
  journal.release(0)
  t.equal(journal.segmentCount, 2, 'entry 1 is needed')
  journal.release(1)
  t.equal(journal.segmentCount, 1)
  t.equal(readdirSync(directory).filter((name) => name.endsWith('.free')).length, 1)
  journal.release(1000)
  t.equal(journal.segmentCount, 1, 'the one being written stays')
})
