import assert from 'node:assert'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import t, { type Test } from 'tap'
import { toLinkId } from '../../src/format/ids.js'
import { decodeChanges, encodeChanges, type Change } from '../../src/union/changes.js'
import { Index } from '../../src/union/index-store.js'
import { Row } from '../../src/union/row.js'

function open(t: Test): { index: Index; directory: string } {
  const directory = mkdtempSync(join(tmpdir(), 'pcfs-index-'))
  const index = Index.open(directory)
  t.teardown(async () => {
    await index.close()
    rmSync(directory, { recursive: true })
  })
  return { index, directory }
}

const value = (text: string): Buffer => Buffer.from(text)
const meta = (key: string, text: string | null): Change => {
  return { kind: 'meta', key, value: text === null ? null : value(text) }
}
const link = toLinkId('1.1')
const dirent = (parent: number, name: string, ino: number | null): Change => {
  return { kind: 'dirent', parent, name, dirent: ino === null ? null : { ino, dtype: 8, link } }
}
/** A row that is told by its bytes only. */
const row = (ino: number, byte: number): Change => {
  return { kind: 'node', ino, row: new Row(Buffer.alloc(200, byte)) }
}

t.test('a change is seen at once, before and during and after its flush', async (t) => {
  const { index } = open(t)
  index.apply([row(5, 1), dirent(1, 'a', 5), meta('k', 'v')])
  const check = (when: string): void => {
    t.equal(index.node(5)?.bytes[0], 1, when)
    t.equal(index.dirent(1, 'a')?.ino, 5, when)
    t.equal(index.meta('k')?.toString(), 'v', when)
    t.strictSame(
      index.children(1).map(({ name }) => name),
      ['a'],
      when
    )
  }
  check('before')
  index.cut()
  const flushed = index.flush()
  check('during')
  await flushed
  check('after')
  t.equal(index.pendingCount, 0)
})

t.test('what is removed after a cut stays removed while the cut is flushed', async (t) => {
  const { index } = open(t)
  index.apply([row(5, 1), dirent(1, 'a', 5), meta('k', 'v')])
  index.cut()
  index.apply([{ kind: 'node', ino: 5, row: null }, dirent(1, 'a', null), meta('k', null)])
  const gone = (): void => {
    t.equal(index.node(5), null)
    t.equal(index.dirent(1, 'a'), null)
    t.equal(index.meta('k'), null)
    t.strictSame(index.children(1), [])
    t.strictSame(index.metaRange('k'), [])
  }
  gone()
  await index.flush()
  gone()
  index.cut()
  await index.flush()
  gone()
})

t.test('a directory does not show the entries of its neighbours', async (t) => {
  const { index } = open(t)
  index.apply([dirent(1, 'a', 5), dirent(2, 'b', 6), dirent(2 ** 32 + 1, 'c', 7)])
  index.cut()
  await index.flush()
  t.strictSame(
    index.children(1).map(({ name }) => name),
    ['a']
  )
})

t.test('only one cut is on its way, and it is kept until it is written', async (t) => {
  const { index } = open(t)
  index.apply([meta('k', 'one')])
  t.equal(index.cut(), true)
  index.apply([meta('k', 'two')])
  t.equal(index.cut(), false, 'the first is not written yet')
  await index.flush()
  t.equal(index.meta('k')?.toString(), 'two')
  t.equal(index.cut(), true)
})

t.test('names of any bytes are kept and found', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'pcfs-index-'))
  const index = Index.open(directory)
  const name = fc
    .uint8Array({ minLength: 1, maxLength: 255 })
    .map((bytes) => Buffer.from(bytes.map((byte) => byte || 1)).toString('latin1'))
  await fc.assert(
    fc.asyncProperty(fc.uniqueArray(name, { minLength: 1, maxLength: 8 }), async (names) => {
      index.apply(names.map((each, i) => dirent(9, each, i + 2)))
      index.cut()
      await index.flush()
      for (const [i, each] of names.entries()) assert.equal(index.dirent(9, each)?.ino, i + 2)
      const found = index.children(9).map((child) => child.name)
      assert.deepStrictEqual(found.sort(), [...names].sort())
      index.apply(names.map((each) => dirent(9, each, null)))
    }),
    { numRuns: 30 }
  )
  await index.close()
  rmSync(directory, { recursive: true })
})

t.test('changes survive their way through the journal', async (t) => {
  const changes: Change[] = [
    row(2 ** 41 + 5, 7),
    { kind: 'node', ino: 3, row: null },
    dirent(1, 'a\xff', 5),
    dirent(1, 'b', null),
    meta('key', ''),
    meta('key', null)
  ]
  t.strictSame(decodeChanges(encodeChanges(changes, 0).subarray(1)), changes)
})
