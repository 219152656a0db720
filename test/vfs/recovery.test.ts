// runner: timeout=300
import { readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { leakedBlocks } from './blocks.js'
import { Posix } from './posix.js'
import { TestVolume, type TestVolumeOptions } from './test-volume.js'

const TRUNCATE = 8
const MTIME = 32

async function setUp(t: Test, options: TestVolumeOptions = {}): Promise<TestVolume> {
  const volume = await TestVolume.create(options)
  t.teardown(() => volume.close())
  return volume
}

async function contentOf(volume: TestVolume, name: string): Promise<string> {
  const { ino, size } = await volume.kernel.lookup(1, name)
  return (await volume.kernel.read(ino, 0, size)).toString('latin1')
}

async function write(volume: TestVolume, name: string, text: string): Promise<number> {
  const { ino } = await volume.kernel.create(1, name, 0o644)
  await volume.kernel.write(ino, 0, Buffer.from(text))
  return ino
}

t.test('kill -9 loses nothing that a completed call has written', async (t) => {
  const volume = await setUp(t)
  await write(volume, 'f', 'content')
  await volume.kernel.mkdir(1, 'd', 0o755)
  await volume.crash()
  t.equal(await contentOf(volume, 'f'), 'content')
  t.strictSame((await volume.kernel.readdir(1)).sort(), ['d', 'f'])
})

t.test('an mtime that was set after a write survives kill -9', async (t) => {
  const volume = await setUp(t)
  const ino = await write(volume, 'f', 'content')
  await volume.kernel.setattr(ino, { 40: 1000 }, { 0: MTIME })
  await volume.crash()
  t.equal((await volume.kernel.lookup(1, 'f')).mtimeNs, 1_000_000_000_000n)
  await volume.crash()
  t.equal((await volume.kernel.lookup(1, 'f')).mtimeNs, 1_000_000_000_000n, 'also the second')
})

t.test('a size that was set by path stays when the directory is read afterwards', async (t) => {
  const volume = await setUp(t)
  const { ino: dir } = await volume.kernel.mkdir(1, 'd', 0o755)
  await volume.kernel.create(dir, 'f', 0o644)
  await volume.remount()
  const { ino } = await volume.kernel.lookup(dir, 'f')
  await volume.kernel.setattr(ino, { 16: 1_000_000 }, { 0: TRUNCATE })
  await volume.kernel.readdir(dir)
  t.equal((await volume.kernel.getattr(ino)).size, 1_000_000)
  await volume.crash()
  await volume.kernel.readdir(dir)
  t.equal((await volume.kernel.lookup(dir, 'f')).size, 1_000_000)
  await volume.remount()
  t.equal((await volume.kernel.lookup(dir, 'f')).size, 1_000_000)
})

t.test('a file made without a name keeps its content once it has one', async (t) => {
  const volume = await setUp(t)
  const { ino } = await volume.kernel.tmpfile(1, 0o600)
  await volume.kernel.write(ino, 0, Buffer.from('content'))
  await write(volume, 'other', 'x')
  await volume.flush()
  await volume.kernel.link(ino, 1, 'named')
  await volume.crash()
  t.equal(await contentOf(volume, 'named'), 'content')
  await volume.rebuildIndex()
  t.equal(await contentOf(volume, 'named'), 'content')
})

t.test('an unlinked open file reads and writes on, and is gone after a crash', async (t) => {
  const volume = await setUp(t)
  const ino = await write(volume, 'f', 'content')
  await volume.flush()
  await volume.kernel.unlink(1, 'f')
  await volume.kernel.write(ino, 7, Buffer.from('!'))
  t.equal((await volume.kernel.read(ino, 0, 100)).toString(), 'content!')
  await volume.crash()
  t.strictSame(await volume.kernel.readdir(1), [])
  t.strictSame(await leakedBlocks(volume), [])
})

for (const point of ['frozen', 'durable', 'stored', 'journaled']) {
  t.test(`a crash of a commit at ${point} is repeated, and leaks no block`, async (t) => {
    let copy: string | null = null
    const armed = { on: false }
    const volume: TestVolume = await setUp(t, {
      fault: (name) => {
        if (armed.on && copy === null && name === `commit.${point}`) copy = volume.copyHome()
      }
    })
    await write(volume, 'f', 'first'.repeat(20_000))
    await volume.flush()
    const { ino } = await volume.kernel.lookup(1, 'f')
    await volume.kernel.write(ino, 3, Buffer.from('second'.repeat(20_000)))
    await write(volume, 'g', 'other')
    const before = await contentOf(volume, 'f')
    armed.on = true
    await volume.flush()
    t.ok(copy, 'it came to that point')
    if (copy !== null) await volume.goOnWith(copy)
    t.equal(await contentOf(volume, 'f'), before)
    t.equal(await contentOf(volume, 'g'), 'other')
    t.strictSame(await leakedBlocks(volume), [])
    await volume.rebuildIndex()
    t.equal(await contentOf(volume, 'f'), before)
  })
}

t.test(
  'a power loss goes back to the last sync at worst, and to one consistent state',
  async (t) => {
    const volume = await setUp(t)
    await write(volume, 'f', 'synced')
    await volume.kernel.fsync((await volume.kernel.lookup(1, 'f')).ino)
    await volume.recordDurable()
    await volume.kernel.write((await volume.kernel.lookup(1, 'f')).ino, 0, Buffer.from('SYN'))
    await volume.kernel.unlink(1, 'f')
    await volume.powerLossToRecord()
    t.equal(await contentOf(volume, 'f'), 'synced')
  }
)

t.test(
  'a power loss in the middle of a recovery from a power loss loses nothing more',
  async (t) => {
    const copies: string[] = []
    const armed = { on: false }
    const volume: TestVolume = await setUp(t, {
      fault: (name) => {
        if (armed.on && name.startsWith('recovery.')) copies.push(volume.copyHome())
      }
    })
    await write(volume, 'f', 'synced')
    await volume.kernel.fsync((await volume.kernel.lookup(1, 'f')).ino)
    await write(volume, 'g', 'not synced')
    armed.on = true
    await volume.powerLoss()
    armed.on = false
    t.equal(copies.length, 3)
    for (const copy of copies) {
      await volume.goOnWith(copy, true)
      t.equal(await contentOf(volume, 'f'), 'synced')
      t.strictSame(await volume.kernel.readdir(1), ['f'])
    }
  }
)

t.test('a damaged end of the journal costs what lay behind it and nothing else', async (t) => {
  const volume = await setUp(t)
  await write(volume, 'f', 'before')
  await volume.flush()
  await write(volume, 'g', 'behind')
  await volume.tamper(({ journal }) => {
    for (const name of readdirSync(journal).filter((file) => file.endsWith('.seg'))) {
      const path = join(journal, name)
      const bytes = readFileSync(path)
      const at = bytes.lastIndexOf('g\u0001')
      const place = at < 0 ? bytes.lastIndexOf(Buffer.from('pcfs')) : at
      if (place > 64) bytes[place] = 0
      writeFileSync(path, bytes)
    }
  })
  t.equal(await contentOf(volume, 'f'), 'before')
})

t.test(
  'a spool file that is missing raises an alarm, and the file shows what was there',
  async (t) => {
    const volume = await setUp(t)
    const ino = await write(volume, 'f', 'committed')
    await volume.flush()
    await volume.kernel.write(ino, 0, Buffer.from('lost'))
    await volume.tamper(({ spool }) => {
      for (const name of readdirSync(spool)) rmSync(join(spool, name))
    })
    t.match(volume.alarms.list(), [{ code: 'SPOOL_MISSING', message: /inode/ }])
    t.equal(await contentOf(volume, 'f'), 'committed')
  }
)

t.test('an index that is gone is made again, what was not committed included', async (t) => {
  const volume = await setUp(t)
  await write(volume, 'committed', 'one')
  await volume.flush()
  await write(volume, 'journaled', 'two')
  await volume.tamper(({ index }) => {
    for (const name of readdirSync(index)) rmSync(join(index, name))
  })
  t.equal(await contentOf(volume, 'committed'), 'one')
  t.equal(await contentOf(volume, 'journaled'), 'two')
})

t.test('a failed flush of the index keeps the journal of what came after its cut', async (t) => {
  const volume = await setUp(t)
  const { index, journal } = volume.fs.volume.parts
  const [flush, release] = [index.flush.bind(index), journal.release.bind(journal)]
  await write(volume, 'f', 'x')
  const cutSeq = volume.session.lastSeq()
  await volume.fs.ingester.flush()
  index.flush = () => Promise.reject(new Error('the disk is full'))
  await t.rejects(volume.fs.checkpoint(), /full/)
  index.flush = flush
  const later = volume.session.lastSeq()
  await write(volume, 'g', 'y')
  await volume.fs.ingester.flush()
  const released: number[] = []
  journal.release = (seq) => released.push(seq)
  await volume.fs.checkpoint()
  t.ok((released[0] ?? Infinity) <= later && cutSeq <= later, 'only what was flushed')
  journal.release = release
  await volume.crash()
  t.strictSame((await volume.kernel.readdir(1)).sort(), ['f', 'g'])
})

t.test('a rebuilt index shows the same tree', async (t) => {
  const volume = await setUp(t)
  const posix = new Posix(volume.kernel, 1)
  await posix.run({ op: 'mkdir', path: 'd', mode: 0o755 })
  await posix.run({ op: 'create', path: 'd/f', mode: 0o4755 })
  await posix.run({ op: 'write', path: 'd/f', at: 70_000, length: 100_000, byte: 7 })
  await posix.run({ op: 'link', path: 'd/f', to: 'g' })
  await posix.run({ op: 'symlink', path: 's', target: 'd/f' })
  await posix.run({ op: 'setxattr', path: 'd', name: 'user.a', value: 'b', flags: 0 })
  await posix.run({ op: 'utimes', path: 'd/f', mtimeS: 1_000_000 })
  await volume.flush()
  const before = await posix.look()
  await volume.rebuildIndex()
  const after = await new Posix(volume.kernel, 1).look()
  const shape = (seen: typeof before): unknown => ({
    ...seen,
    attr: {
      ...seen.attr,
      blocks: 0,
      ctimeNs: 0n,
      mtimeNs: seen.children.size > 0 ? 0n : seen.attr.mtimeNs
    },
    children: [...seen.children]
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([name, child]) => [name, shape(child)])
  })
  t.strictSame(shape(after), shape(before))
})

t.test(
  'a commit of more metadata than a journal entry holds is recovered and repeated',
  async (t) => {
    const volume = await setUp(t)
    const value = Buffer.alloc(60_000, 'x')
    for (let i = 0; i < 20; i++) {
      const ino = await write(volume, `f${i}`, `content ${i}`)
      for (let j = 0; j < 17; j++) await volume.kernel.setxattr(ino, `user.${j}`, value, 0)
    }
    await volume.crash()
    await volume.flush()
    t.strictSame(volume.alarms.list(), [])
    await volume.remount()
    const { ino } = await volume.kernel.lookup(1, 'f19')
    t.equal((await volume.kernel.getxattr(ino, 'user.16')).length, value.length)
    t.equal(await contentOf(volume, 'f7'), 'content 7')
  }
)
