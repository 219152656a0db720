// runner: timeout=240
import t, { type Test } from 'tap'
import { historyBlocks, leakedBlocks } from './blocks.js'
import { TestVolume, type TestVolumeOptions } from './test-volume.js'

const BLOCK = 65_536
const DAY_MS = 86_400_000

async function setUp(t: Test, options: TestVolumeOptions): Promise<TestVolume> {
  const volume = await TestVolume.create(options)
  t.teardown(() => volume.close())
  return volume
}

/** Writes ten blocks over and over. */
async function rewrite(volume: TestVolume, ino: number, times: number): Promise<void> {
  for (let i = 0; i < times; i++) {
    await volume.kernel.write(ino, 0, Buffer.alloc(10 * BLOCK, i + 1))
    await volume.flush()
  }
}

t.test('superseded blocks are kept within the history budget, the oldest go first', async (t) => {
  const volume = await setUp(t, { historyBytes: 25 * BLOCK })
  const { ino } = await volume.kernel.create(1, 'f', 0o644)
  await rewrite(volume, ino, 6)
  t.ok(
    volume.fs.retention.history.bytes <= 25 * BLOCK,
    `${volume.fs.retention.history.bytes / BLOCK} blocks`
  )
  t.ok(historyBlocks(volume) >= 10, 'the newest stay')
  t.equal((await volume.kernel.read(ino, 0, 1))[0], 6)
})

t.test(
  'history is over when the device has run for long enough, whatever the wall clock says',
  async (t) => {
    const skew = { ms: 0 }
    const volume = await setUp(t, { historyMs: 30 * DAY_MS, skew })
    const { ino } = await volume.kernel.create(1, 'f', 0o644)
    await rewrite(volume, ino, 2)
    t.equal(historyBlocks(volume), 10)
    skew.ms = 29 * DAY_MS
    await volume.fs.retention.history.tend()
    t.equal(historyBlocks(volume), 10, 'not yet')
    skew.ms = 31 * DAY_MS
    await volume.fs.retention.history.tend()
    t.equal(historyBlocks(volume), 0)
    await volume.evict()
    t.equal((await volume.kernel.read(ino, 0, 1))[0], 2, 'what is used stays')
  }
)

t.test(
  "a removed file's blocks are history, also after a crash before they were listed",
  async (t) => {
    const volume = await setUp(t, {})
    const { ino } = await volume.kernel.create(1, 'f', 0o644)
    await volume.kernel.write(ino, 0, Buffer.alloc(10 * BLOCK, 1))
    await volume.flush()
    await volume.kernel.unlink(1, 'f')
    await volume.crash()
    t.strictSame(await leakedBlocks(volume), [])
    t.equal(historyBlocks(volume), 10)
  }
)

t.test('the blocks of a removed file stay readable while it is open', async (t) => {
  const volume = await setUp(t, { historyBytes: 0 })
  const { ino } = await volume.kernel.create(1, 'f', 0o644)
  await volume.kernel.write(ino, 0, Buffer.alloc(10 * BLOCK, 1))
  await volume.evict()
  await volume.kernel.unlink(1, 'f')
  await volume.flush()
  t.ok((await volume.kernel.read(ino, 0, 10 * BLOCK)).equals(Buffer.alloc(10 * BLOCK, 1)))
  volume.kernel.forgetAll()
  await volume.kernel.mkdir(1, 'x', 0o755)
  await volume.flush()
  t.equal(historyBlocks(volume), 0, 'and go afterwards')
})
