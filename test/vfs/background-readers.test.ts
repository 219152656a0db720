// runner: timeout=120
import t, { type Test } from 'tap'
import { Alarms } from '../../src/base/alarms.js'
import { BackgroundReaders } from '../../src/vfs/background-readers.js'
import { INDEXER, TestVolume } from './test-volume.js'

const BLOCK = 65_536
const HOUR_MS = 3_600_000

/** A volume with a file of so many blocks, all of which seem to be elsewhere. */
async function withColdFile(t: Test, blocks: number): Promise<{ volume: TestVolume; ino: number }> {
  let isCold = false
  const volume = await TestVolume.create({
    wrapStore: (store) =>
      new Proxy(store, {
        get: (target, name) => {
          if (name === 'coldBlocks' && isCold) {
            return (_map: Uint8Array, _block: number, count: number) => Promise.resolve(count)
          }
          const value: unknown = Reflect.get(target, name)
          return value
        }
      })
  })
  t.teardown(() => volume.close())
  const { ino } = await volume.kernel.create(1, 'f', 0o644)
  for (let at = 0; at < blocks; at++) {
    await volume.kernel.write(ino, at * BLOCK, Buffer.alloc(BLOCK, at + 1))
  }
  await volume.evict()
  isCold = true
  return { volume, ino }
}

t.test(
  'an indexer gets an hourly budget of what is elsewhere, then EIO and an alarm',
  async (t) => {
    const { volume, ino } = await withColdFile(t, 20)
    volume.kernel.pid = INDEXER
    for (let at = 0; at < 10; at++) {
      t.equal((await volume.kernel.read(ino, at * BLOCK, 10))[0], at + 1)
    }
    await t.rejects(volume.kernel.read(ino, 10 * BLOCK, 10), { code: 'EIO' })
    t.match(volume.alarms.list(), [{ code: 'HYDRATION_STORM', message: /indexer/ }])
    volume.kernel.pid = 1
    t.equal((await volume.kernel.read(ino, 10 * BLOCK, 10))[0], 11, 'a person reads on')
    volume.kernel.pid = INDEXER
    t.equal((await volume.kernel.read(ino, 10 * BLOCK, 10))[0], 11, 'and what is here is for all')
  }
)

t.test('an indexer reads what is on this device as anybody does', async (t) => {
  const volume = await TestVolume.create()
  t.teardown(() => volume.close())
  const { ino } = await volume.kernel.create(1, 'f', 0o644)
  for (let at = 0; at < 30; at++) {
    await volume.kernel.write(ino, at * BLOCK, Buffer.alloc(BLOCK, 9))
  }
  await volume.evict()
  volume.kernel.pid = INDEXER
  for (let at = 0; at < 30; at++) t.equal((await volume.kernel.read(ino, at * BLOCK, 1))[0], 9)
  t.strictSame(volume.alarms.list(), [])
})

t.test(
  'the budget begins anew each hour, and what was read for an indexer is let go',
  async (t) => {
    let nowMs = 0
    const alarms = new Alarms()
    const released: number[] = []
    const readers = new BackgroundReaders({
      limits: { names: new Set(['updatedb']), hourlyBytes: 100 },
      nameOf: (pid) => (pid === 7 ? 'updatedb' : 'bash'),
      clock: { monotonicMs: () => nowMs },
      alarms,
      release: (ino) => released.push(ino) > 0
    })
    t.teardown(() => readers.close())
    t.equal(readers.nameOf(7), 'updatedb')
    t.equal(readers.nameOf(8), null)
    t.equal(readers.nameOf(0), null, 'the kernel itself')
    readers.admit('updatedb', 100)
    t.throws(() => readers.admit('updatedb', 1), { code: 'EIO' })
    t.equal(alarms.list().length, 1)
    nowMs = HOUR_MS
    readers.admit('updatedb', 1)
    t.strictSame(alarms.list(), [])
    readers.noteRead(1)
    readers.noteRead(2)
    readers.keep(2)
    await new Promise((resolve) => setTimeout(resolve, 5500))
    t.strictSame(released, [1])
  }
)
