import { mkdtempSync, readdirSync, rmSync, writeFileSync, closeSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { FILE_LIMIT, LocalFiles } from '../../src/vfs/local-files.js'

const SLOT_BYTES = 2 ** 16
const LARGE_SLOT_BYTES = 2 ** 20

/** Local files over a data plane that only keeps count; `lastSeq` is the journal's newest entry. */
function setUp(t: Test): {
  files: LocalFiles
  directory: string
  state: { seq: number; busy: boolean }
} {
  const directory = mkdtempSync(join(tmpdir(), 'pcfs-spool-'))
  const fds = new Map<number, number>()
  const state = { seq: 0, busy: false }
  t.teardown(() => {
    for (const fd of fds.values()) closeSync(fd)
    rmSync(directory, { recursive: true })
  })
  const plane = {
    addFile: (id: number, fd: number) => void fds.set(id, fd),
    removeFile: (id: number) => {
      closeSync(fds.get(id) ?? -1)
      fds.delete(id)
    },
    bind: () => undefined,
    rebind: () => 0,
    unbind: () => !state.busy,
    lastSeq: () => state.seq
  }
  return { files: new LocalFiles(directory, plane), directory, state }
}

const present = (directory: string): string[] => readdirSync(directory).sort()

t.test('small files share a slab, each in a slot of its own', async (t) => {
  const { files, directory } = setUp(t)
  files.ensure(1, 10)
  files.ensure(2, SLOT_BYTES)
  t.strictSame(files.bindingOf(1), { fileId: 1, base: 0, limit: SLOT_BYTES })
  t.strictSame(files.bindingOf(2), { fileId: 1, base: SLOT_BYTES, limit: SLOT_BYTES })
  t.strictSame(present(directory), ['1.slab16'])
})

t.test('a file that outgrows its slot gets a file of its own', async (t) => {
  const { files, directory } = setUp(t)
  files.ensure(1, 10)
  files.ensure(1, LARGE_SLOT_BYTES + 1)
  t.strictSame(files.bindingOf(1), { fileId: 2, base: 0, limit: FILE_LIMIT })
  t.strictSame(present(directory), ['1.slab16', '2.file'])
})

t.test('a slot is never given out twice', async (t) => {
  const { files } = setUp(t)
  files.ensure(1, 10)
  files.release(1)
  files.ensure(2, 10)
  t.equal(files.bindingOf(2)?.base, SLOT_BYTES)
})

t.test('a local file goes only when the journal entry that freed it is durable', async (t) => {
  const { files, directory, state } = setUp(t)
  files.ensure(1, LARGE_SLOT_BYTES + 1)
  state.seq = 9
  t.equal(files.release(1), true)
  files.reap(8)
  await sleep(20)
  t.strictSame(present(directory), ['1.file'])
  files.reap(9)
  await sleep(50)
  t.strictSame(present(directory), [])
})

t.test('what the data plane still needs is not released', async (t) => {
  const { files, state } = setUp(t)
  files.ensure(1, 10)
  state.busy = true
  t.equal(files.release(1), false)
  t.ok(files.bindingOf(1))
})

t.test('after a start what nobody adopted is removed, and no id is used again', async (t) => {
  const { files, directory } = setUp(t)
  for (const name of ['3.slab16', '7.file', '9.file']) writeFileSync(join(directory, name), 'x')
  files.adopt(5, { fileId: 7, base: 0, limit: FILE_LIMIT })
  await files.sweep()
  t.strictSame(present(directory), ['7.file'])
  files.ensure(6, 10)
  t.strictSame(present(directory), ['10.slab16', '7.file'])
})

t.test('an adopted slab gives out no slots: nobody knows which are empty', async (t) => {
  const { files, directory } = setUp(t)
  writeFileSync(join(directory, '3.slab16'), 'x')
  files.adopt(5, { fileId: 3, base: SLOT_BYTES, limit: SLOT_BYTES })
  files.ensure(6, 10)
  t.equal(files.bindingOf(6)?.fileId, 4)
})
