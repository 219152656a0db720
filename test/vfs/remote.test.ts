// runner: timeout=300
import t, { type Test } from 'tap'
import { waitFor } from '../support/process.js'
import { TestDrive, type Shown } from './drive.js'
import { BLOCK } from '../generation/support.js'
import { contents, mkdir, removeTree, rename, shows, unlink, write } from './paths.js'

/** A drive of so many devices. */
async function setUp(t: Test, count = 2): Promise<TestDrive> {
  const drive = await TestDrive.create(count)
  t.teardown(() => drive.close())
  return drive
}

t.test('a file made here is seen and read there', async (t) => {
  const drive = await setUp(t)
  await mkdir(drive, 0, 'd')
  await write(drive, 0, 'd/f', 'hello')
  await drive.exchange()
  await shows(t, drive, { d: { f: 'hello' } })
  await write(drive, 1, 'd/f', 'answer')
  await write(drive, 1, 'd/g', 'more')
  await drive.exchange()
  await shows(t, drive, { d: { f: 'answer', g: 'more' } })
  await rename(drive, 0, 'd', 'e')
  await unlink(drive, 1, 'd/g')
  await drive.exchange()
  await shows(t, drive, { e: { f: 'answer' } })
})

t.test('records that come one by one, and twice, make the same tree', async (t) => {
  const drive = await setUp(t)
  for (const name of ['a', 'b', 'c']) {
    await mkdir(drive, 0, name)
    await write(drive, 0, `${name}/f`, name)
  }
  await drive.ship(0, 1, 1)
  t.strictSame(await drive.look(1), { a: { f: 'a' }, b: { f: 'b' }, c: { f: 'c' } })
  drive.forgetShipped(1)
  const taken = await drive.ship(0, 1, 2)
  t.ok(taken.every(({ changed }) => changed === 0))
})

t.test('edits made apart keep both versions', async (t) => {
  const drive = await setUp(t)
  await write(drive, 0, 'f.txt', 'base')
  await drive.exchange()
  await write(drive, 0, 'f.txt', 'first')
  await write(drive, 1, 'f.txt', 'second')
  await drive.exchange()
  const seen = await drive.look(0)
  t.equal(Object.keys(seen).length, 2)
  t.strictSame(contents(seen), ['first', 'second'])
  t.equal(seen['f.txt'], 'second', 'who wrote last keeps the name')
  await shows(t, drive, seen)

  await t.test('an edit of the winner keeps the loser', async (t) => {
    await write(drive, 0, 'f.txt', 'third')
    await drive.exchange()
    const after = await drive.look(1)
    t.strictSame(contents(after), ['first', 'third'])
    await shows(t, drive, after)
  })

  await t.test('an edit and a removal of the copy are what they are elsewhere', async (t) => {
    const copy = Object.keys(await drive.look(1)).find((name) => name !== 'f.txt') ?? ''
    await write(drive, 1, copy, 'edited copy')
    await drive.exchange()
    await shows(t, drive, { [copy]: 'edited copy', 'f.txt': 'third' })
    await unlink(drive, 0, copy)
    await drive.exchange()
    await shows(t, drive, { 'f.txt': 'third' })
  })
})

t.test('a copy that nobody has touched can be removed, renamed and edited', async (t) => {
  for (const what of ['unlink', 'rename', 'edit', 'remove winner']) {
    const drive = await setUp(t)
    await write(drive, 0, 'f', 'base')
    await drive.exchange()
    await write(drive, 0, 'f', 'first')
    await write(drive, 1, 'f', 'second')
    await drive.exchange()
    const copy = Object.keys(await drive.look(0)).find((name) => name !== 'f') ?? ''
    if (what === 'unlink') await unlink(drive, 0, copy)
    if (what === 'rename') await rename(drive, 0, copy, 'g')
    if (what === 'edit') await write(drive, 0, copy, 'third')
    if (what === 'remove winner') await unlink(drive, 0, 'f')
    await drive.exchange()
    const expected = {
      unlink: { f: 'second' },
      rename: { f: 'second', g: 'first' },
      edit: { f: 'second', [copy]: 'third' },
      'remove winner': { [copy]: 'first' }
    }[what]
    await shows(t, drive, expected ?? {})
  }
})

t.test('an edit beats a delete', async (t) => {
  const drive = await setUp(t)
  await write(drive, 0, 'f', 'base')
  await drive.exchange()
  await unlink(drive, 0, 'f')
  await write(drive, 1, 'f', 'edited')
  await drive.exchange()
  await shows(t, drive, { f: 'edited' })
})

t.test('a rename and an edit made apart both survive; of two renames one wins', async (t) => {
  const drive = await setUp(t)
  await write(drive, 0, 'f', 'base')
  await drive.exchange()
  await rename(drive, 0, 'f', 'g')
  await write(drive, 1, 'f', 'edited')
  await drive.exchange()
  await shows(t, drive, { g: 'edited' })
  await rename(drive, 0, 'g', 'here')
  await rename(drive, 1, 'g', 'there')
  await drive.exchange()
  await shows(t, drive, { there: 'edited' })
})

t.test('the same directory made apart is one listing, and rm -r of it ends', async (t) => {
  const drive = await setUp(t)
  for (const device of [0, 1]) {
    await mkdir(drive, device, 'd')
    await mkdir(drive, device, 'd/sub')
    await write(drive, device, `d/of-${device}`, String(device))
    await write(drive, device, 'd/sub/same', '')
    await write(drive, device, 'd/sub/other', `by ${device}`)
  }
  await drive.exchange()
  const seen = await drive.look(0)
  await shows(t, drive, seen)
  const d = seen['d']
  t.ok(typeof d === 'object' && d['of-0'] === '0' && d['of-1'] === '1')
  await write(drive, 0, 'd/new', 'new')
  await write(drive, 1, 'd/sub/same', 'both')
  await drive.exchange()
  await shows(t, drive, await drive.look(1))
  await removeTree(drive, 1, 'd')
  await drive.exchange()
  await shows(t, drive, {})
})

t.test('directories moved into each other stay', async (t) => {
  const drive = await setUp(t)
  await mkdir(drive, 0, 'a')
  await mkdir(drive, 0, 'b')
  await write(drive, 0, 'a/f', 'of a')
  await write(drive, 0, 'b/f', 'of b')
  await drive.exchange()
  await rename(drive, 0, 'a', 'b/a')
  await rename(drive, 1, 'b', 'a/b')
  await drive.exchange()
  const seen = await drive.look(0)
  await shows(t, drive, seen)
  t.match(JSON.stringify(seen), /of a/)
  t.match(JSON.stringify(seen), /of b/)
  await removeTree(drive, 1, Object.keys(seen)[0] ?? '')
  await drive.exchange()
  await shows(t, drive, {})
})

t.test('a file that is open here shows the new version', async (t) => {
  const drive = await setUp(t)
  await write(drive, 0, 'f', 'the old content')
  await drive.exchange()
  const { kernel } = drive.at(1)
  const before = await kernel.lookup(1, 'f')
  t.equal((await kernel.read(before.ino, 0, 100)).toString(), 'the old content')
  await write(drive, 0, 'f', 'new')
  await drive.ship(0, 1)
  t.equal((await kernel.read(before.ino, 0, 100)).toString(), 'new')
  const after = await kernel.getattr(before.ino)
  t.equal(after.size, 3)
  t.not(after.mtimeNs, before.mtimeNs)
  t.ok(await waitFor(() => kernel.told.has(String(before.ino)), 10_000), 'the kernel was told')
})

t.test('a poll of a directory’s mtime and a fresh listing see a change there', async (t) => {
  const drive = await setUp(t)
  await mkdir(drive, 0, 'd')
  await drive.exchange()
  const { kernel } = drive.at(1)
  const before = await kernel.lookup(1, 'd')
  t.strictSame(await kernel.readdir(before.ino), [])
  await write(drive, 0, 'd/f', 'x')
  await drive.ship(0, 1)
  t.not((await kernel.getattr(before.ino)).mtimeNs, before.mtimeNs)
  t.strictSame(await kernel.readdir(before.ino), ['f'])
  t.ok(await waitFor(() => kernel.told.has(`${before.ino}/f`), 10_000), 'the kernel was told')
})

t.test('a foreign version of a file with uncommitted bytes: both are kept', async (t) => {
  const drive = await setUp(t)
  await write(drive, 0, 'f', 'base')
  await drive.exchange()
  await write(drive, 0, 'f', 'theirs')
  await drive.at(0).flush()
  await write(drive, 1, 'f', 'mine')
  const [taken] = await drive.ship(0, 1)
  t.equal(taken?.held, 1)
  t.strictSame(await drive.look(1), { f: 'mine' }, 'the local bytes stay shown')
  await drive.exchange()
  const seen = await drive.look(1)
  t.strictSame(contents(seen), ['mine', 'theirs'])
  await shows(t, drive, seen)
})

t.test('a delete of a file with uncommitted bytes, and a namesake, lose nothing', async (t) => {
  const drive = await setUp(t)
  await write(drive, 0, 'f', 'base')
  await drive.exchange()
  await unlink(drive, 0, 'f')
  await write(drive, 1, 'f', 'mine')
  await drive.ship(0, 1)
  await drive.exchange()
  await shows(t, drive, { f: 'mine' })
  await write(drive, 0, 'g', '')
  await write(drive, 1, 'g', 'not empty')
  await drive.ship(0, 1)
  await drive.exchange()
  const seen = await drive.look(0)
  t.ok(contents(seen).includes('not empty'))
  await shows(t, drive, seen)
})

t.test('what was taken in survives kill -9, held news too', async (t) => {
  const drive = await setUp(t)
  await mkdir(drive, 0, 'd')
  await write(drive, 0, 'd/f', 'base')
  await drive.exchange()
  await drive.at(1).crash()
  t.strictSame(await drive.look(1), { d: { f: 'base' } })
  await write(drive, 0, 'd/f', 'theirs')
  await drive.at(0).flush()
  await write(drive, 1, 'd/f', 'mine')
  await drive.ship(0, 1)
  await drive.at(1).crash()
  await drive.exchange()
  const seen = await drive.look(1)
  t.strictSame(contents(seen['d'] === undefined ? {} : asFolder(seen['d'])), ['mine', 'theirs'])
  await shows(t, drive, seen)
  await drive.at(0).crash()
  await drive.at(1).powerLoss()
  await shows(t, drive, seen)
})

function asFolder(shown: Shown | string): Shown {
  return typeof shown === 'string' ? {} : shown
}

t.test(
  'of a large batch that a kill -9 cut in the journal nothing is there, then all',
  async (t) => {
    const drive = await setUp(t)
    await drive.exchange()
    const { kernel } = drive.at(0)
    for (let i = 0; i < 4000; i++) await kernel.mkdir(1, `directory ${i}`, 0o755)
    await drive.at(0).fs.ingester.flush()
    const { journal } = drive.at(1).fs.volume.parts
    const append = journal.append.bind(journal)
    let large = 0
    journal.append = (payload) => {
      if (payload.length > 100_000 && ++large > 1) throw new Error('killed')
      return append(payload)
    }
    await t.rejects(drive.ship(0, 1, 4000), /killed/)
    await drive.at(1).crash()
    t.strictSame(await drive.at(1).kernel.readdir(1), [], 'nothing')
    drive.forgetShipped(1)
    const startMs = performance.now()
    await drive.ship(0, 1, 4000)
    t.comment(`4,000 new directories shipped and taken in: ${performance.now() - startMs} ms`)
    t.equal((await drive.at(1).kernel.readdir(1)).length, 4000)
    await drive.at(1).crash()
    t.equal((await drive.at(1).kernel.readdir(1)).length, 4000)
  }
)

t.test('an empty commit follows what was taken in: it is not this device’s', async (t) => {
  const drive = await setUp(t)
  await write(drive, 0, 'f', 'base')
  await drive.exchange()
  await drive.at(1).flush()
  const { dbLength } = await drive.at(1).store.call('info')
  await write(drive, 0, 'g', 'more')
  await drive.ship(0, 1)
  await drive.at(1).crash()
  await drive.at(1).flush()
  t.equal((await drive.at(1).store.call('info')).dbLength, dbLength)
})

t.test('an append to a file of another device costs a block here and copies nothing', async (t) => {
  const drive = await setUp(t)
  const { kernel } = drive.at(0)
  const { ino } = await kernel.create(1, 'f', 0o644)
  for (let block = 0; block < 3; block++) {
    await kernel.write(ino, block * BLOCK, Buffer.alloc(BLOCK, block + 1))
  }
  await drive.exchange()
  const there = await drive.at(1).kernel.lookup(1, 'f')
  await drive.at(1).kernel.write(there.ino, 3 * BLOCK, Buffer.from('more'))
  await drive.exchange()
  t.equal((await drive.at(0).store.call('info')).blobsLength, 3)
  t.equal((await drive.at(1).store.call('info')).blobsLength, 1)
  for (const device of [0, 1]) {
    const { kernel: reader } = drive.at(device)
    const { ino: file, size } = await reader.lookup(1, 'f')
    t.equal(size, 3 * BLOCK + 4)
    t.equal((await reader.read(file, 3 * BLOCK, BLOCK)).toString(), 'more')
    t.equal((await reader.read(file, 2 * BLOCK, 1))[0], 3)
  }
})

t.test('a change of its mode there leaves a write here its own mtime', async (t) => {
  const drive = await setUp(t)
  await write(drive, 0, 'f', 'base')
  await drive.exchange()
  await write(drive, 0, 'f', 'more')
  const written = await drive.at(0).kernel.lookup(1, 'f')
  const there = await drive.at(1).kernel.lookup(1, 'f')
  await drive.at(1).kernel.setattr(there.ino, {}, { 0: 1, 68: 0o600 })
  await drive.ship(1, 0)
  await drive.exchange()
  for (const { kernel } of drive.volumes) {
    t.equal((await kernel.lookup(1, 'f')).mtimeNs, written.mtimeNs)
  }
})

t.test('what waits for a commit is not forgotten when more is heard of the file', async (t) => {
  const drive = await setUp(t, 3)
  await write(drive, 0, 'f', 'first')
  await drive.exchange()
  await write(drive, 0, 'f', 'of zero')
  await write(drive, 1, 'f', 'of one')
  await write(drive, 2, 'f', 'of two')
  const held = await drive.ship(0, 2)
  t.ok(
    held.some((taken) => taken.held > 0),
    'bytes that are not committed stand against it'
  )
  await drive.ship(1, 2)
  await drive.at(2).fs.ingester.flush()
  await drive.settle()
  t.strictSame(contents(await drive.look(2)), ['of one', 'of two', 'of zero'])
  await drive.exchange()
  t.strictSame(await drive.look(0), await drive.look(2))
})
