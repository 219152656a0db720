// runner: timeout=300
import t, { type Test } from 'tap'
import type { ContentStore } from '../../src/vfs/content-store.js'
import { leakedBlocks } from './blocks.js'
import { TestKernel } from './test-kernel.js'
import { TestVolume } from './test-volume.js'

const OP_WRITE = 16
const TRUNCATE = 8

/** A volume in which something can be done in the middle of the next commit. */
async function setUp(t: Test): Promise<{
  volume: TestVolume
  /** Runs once, when the frozen files are about to be read. */
  midway: (work: () => Promise<void>) => void
  commits: Parameters<ContentStore['commit']>[0][]
}> {
  let next: (() => Promise<void>) | null = null
  const commits: Parameters<ContentStore['commit']>[0][] = []
  const volume = await TestVolume.create({
    wrapStore: (store) =>
      new Proxy(store, {
        get: (target, name) => {
          if (name === 'ingest') {
            return async (files: Parameters<ContentStore['ingest']>[0]) => {
              const work = next
              next = null
              await work?.()
              return target.ingest(files)
            }
          }
          if (name === 'commit') {
            return async (batch: Parameters<ContentStore['commit']>[0]) => {
              commits.push(batch)
              return target.commit(batch)
            }
          }
          const value: unknown = Reflect.get(target, name)
          return value
        }
      })
  })
  t.teardown(() => volume.close())
  return { volume, midway: (work) => (next = work), commits }
}

const names = (commits: Parameters<ContentStore['commit']>[0][]): string[] =>
  commits.flatMap(({ dirents }) =>
    dirents.map(({ key, value }) => `${value ? '+' : '-'}${key.subarray(14).toString()}`)
  )

t.test('a rename during a commit is in the next one, and nothing is in between', async (t) => {
  const { volume, midway, commits } = await setUp(t)
  const { ino } = await volume.kernel.create(1, 'old', 0o644)
  await volume.kernel.write(ino, 0, Buffer.alloc(10, 1))
  midway(() => volume.kernel.rename([1, 'old'], [1, 'new'], 0))
  await volume.flush()
  const seen = commits.map((commit) => names([commit]).join(' ').replaceAll('\0', ''))
  t.match(seen[0], /\+.*old$/)
  t.match(seen.slice(1).join(' '), /-.*old/)
  t.match(seen.slice(1).join(' '), /\+.*new/)
  await volume.rebuildIndex()
  t.strictSame(await volume.kernel.readdir(1), ['new'])
})

t.test(
  'a write during a commit: the commit has the frozen state, the next one the newer',
  async (t) => {
    const { volume, midway } = await setUp(t)
    const { ino } = await volume.kernel.create(1, 'f', 0o644)
    await volume.kernel.write(ino, 0, Buffer.alloc(100_000, 1))
    let frozen: Buffer | null = null
    midway(async () => {
      await volume.kernel.write(ino, 50_000, Buffer.alloc(100_000, 2))
      const half = Buffer.alloc(100_000)
      volume.session.readFrozen(ino, 0, half)
      frozen = half
    })
    await volume.flush()
    t.ok(Buffer.alloc(100_000, 1).equals(frozen ?? Buffer.alloc(0)))
    await volume.evict()
    const expected = Buffer.concat([Buffer.alloc(50_000, 1), Buffer.alloc(100_000, 2)])
    t.ok((await volume.kernel.read(ino, 0, 200_000)).equals(expected))
    t.strictSame(await leakedBlocks(volume), [])
  }
)

t.test('an unlink during a commit leaks no block', async (t) => {
  const { volume, midway } = await setUp(t)
  const { ino } = await volume.kernel.create(1, 'f', 0o644)
  await volume.kernel.write(ino, 0, Buffer.alloc(200_000, 1))
  midway(async () => {
    await volume.kernel.unlink(1, 'f')
    volume.kernel.forgetAll()
  })
  await volume.flush()
  t.strictSame(await volume.kernel.readdir(1), [])
  t.strictSame(await leakedBlocks(volume), [])
})

t.test('a file that is cut to nothing during a commit, then removed, leaks no block', async (t) => {
  const { volume, midway } = await setUp(t)
  const { ino } = await volume.kernel.create(1, 'f', 0o644)
  await volume.kernel.write(ino, 0, Buffer.alloc(200_000, 1))
  midway(async () => {
    await volume.kernel.setattr(ino, { 16: 0 }, { 0: TRUNCATE })
    await volume.kernel.unlink(1, 'f')
    volume.kernel.forgetAll()
  })
  await volume.flush()
  t.strictSame(await leakedBlocks(volume), [])
})

t.test('what was cut off during a commit does not come back', async (t) => {
  const { volume, midway } = await setUp(t)
  const { ino } = await volume.kernel.create(1, 'f', 0o644)
  await volume.kernel.write(ino, 0, Buffer.alloc(100_000, 1))
  midway(async () => {
    await volume.kernel.setattr(ino, { 16: 10 }, { 0: TRUNCATE })
    await volume.kernel.setattr(ino, { 16: 100_000 }, { 0: TRUNCATE })
  })
  await volume.flush()
  const expected = Buffer.concat([Buffer.alloc(10, 1), Buffer.alloc(99_990)])
  t.ok((await volume.kernel.read(ino, 0, 200_000)).equals(expected))
  await volume.crash()
  t.ok(
    (await volume.kernel.read((await volume.kernel.lookup(1, 'f')).ino, 0, 200_000)).equals(
      expected
    )
  )
})

t.test('a commit that fails is made again with everything in it', async (t) => {
  const { volume, midway } = await setUp(t)
  const { ino } = await volume.kernel.create(1, 'f', 0o644)
  await volume.kernel.write(ino, 0, Buffer.from('content'))
  midway(() => Promise.reject(new Error('the disk is tired')))
  await t.rejects(volume.flush(), /tired/)
  await volume.evict()
  t.equal((await volume.kernel.read(ino, 0, 100)).toString(), 'content')
  await volume.rebuildIndex()
  const found = await volume.kernel.lookup(1, 'f')
  t.equal((await volume.kernel.read(found.ino, 0, 100)).toString(), 'content')
})

t.test('a write that JavaScript has not heard of at the cut keeps the journal', async (t) => {
  const { volume } = await setUp(t)
  const { kernel } = volume
  const { ino } = await kernel.create(1, 'f', 0o644)
  await kernel.write(ino, 0, Buffer.from('first'))
  await volume.flush()
  await kernel.mkdir(1, 'something to commit', 0o755)
  const { tracker, plane } = volume.fs.volume.parts
  const [freeze, cut] = [plane.freeze.bind(plane), tracker.cut.bind(tracker)]
  let seq = 0
  plane.freeze = (inos) => {
    plane.freeze = freeze
    // Native answers by itself; the event waits until JavaScript comes round.
    kernel.replyNow(kernel.send(OP_WRITE, ino, TestKernel.writeBody(0, Buffer.from('again'))))
    seq = volume.session.lastSeq()
    t.notOk(tracker.hasFile(ino), 'it was not heard of before')
    return freeze(inos)
  }
  tracker.cut = (batch, at, hear) => {
    cut(batch, at, hear)
    tracker.cut = cut
    tracker.done()
    t.ok(at >= seq, 'the cut is behind the write')
    t.ok(tracker.committedSeq() < seq, 'and the journal from before the write is kept')
  }
  await volume.flush()
})

t.test('a flush takes also what was written in the instant before', async (t) => {
  const { volume } = await setUp(t)
  const { kernel } = volume
  const { ino } = await kernel.create(1, 'f', 0o644)
  await kernel.write(ino, 0, Buffer.from('first'))
  await volume.flush()
  kernel.replyNow(kernel.send(OP_WRITE, ino, TestKernel.writeBody(0, Buffer.from('again'))))
  await volume.flush()
  t.notOk(volume.fs.volume.parts.tracker.isDirty)
  t.strictSame([...volume.session.ranges(ino, 1)], [], 'nothing is dirty')
})

t.test('a commit whose freeze fails loses nothing of its batch', async (t) => {
  const { volume } = await setUp(t)
  await volume.kernel.mkdir(1, 'd', 0o755)
  const { plane } = volume.fs.volume.parts
  const freeze = plane.freeze.bind(plane)
  plane.freeze = () => {
    plane.freeze = freeze
    throw new Error('not now')
  }
  await t.rejects(volume.flush(), /not now/)
  await volume.flush()
  await volume.rebuildIndex()
  t.strictSame(await volume.kernel.readdir(1), ['d'])
})
