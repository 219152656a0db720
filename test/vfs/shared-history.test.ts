// runner: timeout=300
/**
 * What does not grow for ever where there are several devices: blocks of old versions, the records'
 * history, reports of what was seen.
 */
import t, { type Test } from 'tap'
import { BLOCK_BYTES } from '../../src/format/content-map.js'
import { historyBlocks } from './blocks.js'
import { TestDrive } from './drive.js'

const DAY_MS = 86_400_000
const BLOCKS = 10

interface World {
  readonly drive: TestDrive
  readonly skew: { ms: number }
}

async function setUp(t: Test, count = 2): Promise<World> {
  const skew = { ms: 0 }
  const drive = await TestDrive.create(count, { skew, historyBytes: 0 })
  t.teardown(() => drive.close())
  return { drive, skew }
}

/** A file of ten blocks. */
async function make(drive: TestDrive, device: number, path: string, byte: number): Promise<void> {
  await drive.posix(device).run({ op: 'create', path, mode: 0o644 })
  await write(drive, device, path, { byte })
}

async function write(
  drive: TestDrive,
  device: number,
  path: string,
  { byte, from = 0, count = BLOCKS }: { byte: number; from?: number; count?: number }
): Promise<void> {
  const { kernel } = drive.at(device)
  const { ino } = await kernel.lookup(1, path)
  await kernel.write(ino, from * BLOCK_BYTES, Buffer.alloc(count * BLOCK_BYTES, byte))
  await drive.at(device).flush()
}

/** The first byte of each block, as a device that holds none of them reads it. */
async function bytesOf(drive: TestDrive, device: number, path: string): Promise<string> {
  await drive.evict()
  const { kernel } = drive.at(device)
  const { ino, size } = await kernel.lookup(1, path)
  const found: number[] = []
  for (let at = 0; at < size; at += BLOCK_BYTES) {
    found.push((await kernel.read(ino, at, 1))[0] ?? 0)
  }
  return Buffer.from(found).toString()
}

t.test('an old version is kept until all devices have seen the new one', async (t) => {
  const { drive, skew } = await setUp(t)
  await make(drive, 0, 'f', 65)
  await drive.exchange()
  await write(drive, 0, 'f', { byte: 66 })
  skew.ms += 400 * DAY_MS
  await drive.at(0).fs.retention.acknowledge()
  t.equal(historyBlocks(drive.at(0)), BLOCKS, 'whatever the budget says')

  // The other one, which has not heard of it, writes on top of the old version.
  await write(drive, 1, 'f', { byte: 67, from: 3, count: 1 })
  await drive.exchange()
  for (let round = 0; round < 3; round++) {
    skew.ms += DAY_MS
    await drive.acknowledge()
  }
  const names = Object.keys(await drive.look(0)).sort()
  t.equal(names.length, 2, 'both are kept')
  for (const device of [0, 1]) {
    const contents = []
    for (const name of names) contents.push(await bytesOf(drive, device, name))
    t.strictSame(contents.sort(), ['AAACAAAAAA', 'BBBBBBBBBB'], `device ${device}`)
  }
  t.equal(historyBlocks(drive.at(0)), 0, 'the one block that nobody uses has gone')
})

t.test('when all have seen the new version, the old one leaves the disk', async (t) => {
  const { drive, skew } = await setUp(t, 3)
  await make(drive, 0, 'f', 65)
  await drive.exchange()
  await write(drive, 1, 'f', { byte: 66 })
  await drive.exchange()
  await drive.at(0).fs.retention.history.tend()
  t.equal(historyBlocks(drive.at(0)), BLOCKS)
  const before = (await drive.at(0).store.space()).heldBytes
  skew.ms += DAY_MS
  await drive.acknowledge()
  t.equal(historyBlocks(drive.at(0)), 0)
  const after = (await drive.at(0).store.space()).heldBytes
  t.ok(before - after > (BLOCKS - 1) * BLOCK_BYTES, `${before - after} bytes less`)
  t.equal(await bytesOf(drive, 2, 'f'), 'BBBBBBBBBB')
})

t.test("blocks that another device's version uses stay, and go with that", async (t) => {
  const { drive, skew } = await setUp(t)
  await make(drive, 0, 'f', 65)
  await drive.exchange()
  await write(drive, 1, 'f', { byte: 66, from: BLOCKS, count: 1 })
  await drive.exchange()
  for (let round = 0; round < 2; round++) {
    skew.ms += DAY_MS
    await drive.acknowledge()
  }
  t.equal(await bytesOf(drive, 0, 'f'), 'AAAAAAAAAAB')
  t.equal((await drive.at(1).store.info()).blobsLength, 1, 'nothing was copied')
  await drive.posix(1).run({ op: 'truncate', path: 'f', size: 0 })
  await drive.at(1).flush()
  await drive.exchange()
  for (let round = 0; round < 2; round++) {
    skew.ms += DAY_MS
    await drive.acknowledge()
  }
  const { heldBytes } = await drive.at(0).store.space()
  t.ok(heldBytes < BLOCK_BYTES, `${heldBytes} bytes`)
})

t.test('history lasts as long as this device is told to keep it', async (t) => {
  const skew = { ms: 0 }
  const drive = await TestDrive.create(2, { skew, historyMs: 30 * DAY_MS })
  t.teardown(() => drive.close())
  await make(drive, 0, 'f', 65)
  await drive.exchange()
  await write(drive, 0, 'f', { byte: 66 })
  await drive.exchange()
  for (const days of [1, 28]) {
    skew.ms += days * DAY_MS
    await drive.acknowledge()
    t.equal(historyBlocks(drive.at(0)), BLOCKS)
  }
  skew.ms += 2 * DAY_MS
  await drive.acknowledge()
  t.equal(historyBlocks(drive.at(0)), 0)
})

t.test('who is silent for a week holds everything back and is named', async (t) => {
  const { drive, skew } = await setUp(t)
  await make(drive, 0, 'f', 65)
  await drive.exchange()
  await write(drive, 0, 'f', { byte: 66 })
  await drive.at(0).fs.retention.acknowledge()
  const alarms = drive.at(0).alarms
  skew.ms += 6 * DAY_MS
  await drive.at(0).fs.retention.history.tend()
  t.strictSame(alarms.list(), [])
  skew.ms += 2 * DAY_MS
  await drive.at(0).fs.retention.history.tend()
  await drive.at(0).crash()
  await drive.at(0).fs.retention.acknowledge()
  await drive.at(0).fs.retention.history.tend()
  t.match(alarms.list(), [{ code: 'SEEN_BEHIND' }])
  t.match(alarms.list()[0]?.message, drive.generationOf(1).toString(16))
  await drive.exchange()
  await drive.acknowledge()
  t.strictSame(alarms.list(), [])
  t.equal(historyBlocks(drive.at(0)), 0)

  await t.test('a revoked one holds back no longer', async (t) => {
    await write(drive, 0, 'f', { byte: 67 })
    await drive.at(0).fs.retention.acknowledge()
    t.equal(historyBlocks(drive.at(0)), BLOCKS)
    drive.sealed.add(drive.generationOf(1))
    await drive.at(0).fs.retention.history.tend()
    t.equal(historyBlocks(drive.at(0)), 0)
  })
})

t.test('a version of a revoked device replaces no blocks until its own are here', async (t) => {
  const { drive, skew } = await setUp(t, 3)
  await make(drive, 0, 'f', 65)
  await drive.exchange()
  await write(drive, 2, 'f', { byte: 66 })
  await drive.exchange()
  drive.sealed.add(drive.generationOf(2))
  for (let round = 0; round < 2; round++) {
    skew.ms += DAY_MS
    await drive.acknowledge()
  }
  t.equal(historyBlocks(drive.at(0)), BLOCKS)
  await write(drive, 1, 'f', { byte: 67 })
  await drive.exchange()
  for (let round = 0; round < 2; round++) {
    skew.ms += DAY_MS
    await drive.acknowledge()
  }
  t.equal(historyBlocks(drive.at(0)), 0)
})

t.test('devices that are idle do not answer reports with reports', async (t) => {
  const { drive, skew } = await setUp(t, 3)
  await make(drive, 0, 'f', 65)
  await drive.exchange()
  for (let round = 0; round < 2; round++) await drive.acknowledge()
  const lengths = async (): Promise<number[]> => {
    const infos = drive.volumes.map(({ store }) => store.info())
    return (await Promise.all(infos)).map(({ dbLength }) => dbLength)
  }
  const before = await lengths()
  for (let hour = 0; hour < 5; hour++) {
    skew.ms += DAY_MS / 24
    t.ok(drive.volumes.every(({ fs }) => !fs.retention.horizon.isDue))
    await drive.acknowledge()
  }
  t.strictSame(await lengths(), before)
})

t.test(
  'three years of daily edits leave the bees within three times the live records',
  async (t) => {
    const { drive, skew } = await setUp(t)
    const files = Array.from({ length: 400 }, (_, i) => `f${i}`)
    for (const path of files) await drive.posix(0).run({ op: 'create', path, mode: 0o644 })
    await drive.exchange()
    const inos: number[][] = []
    for (const { kernel } of drive.volumes) {
      const found: number[] = []
      for (const path of files) found.push((await kernel.lookup(1, path)).ino)
      inos.push(found)
    }
    const most = [0, 0]
    for (let week = 0; week < 156; week++) {
      for (let day = 0; day < 7; day++) {
        const device = (week + day) % 2
        for (let edit = 0; edit < 16; edit++) {
          const ino = inos[device]?.[(week * 112 + day * 16 + edit * 7) % files.length] ?? 1
          const mode = 0o600 + ((week + day) % 8)
          await drive.at(device).kernel.setattr(ino, {}, { 0: 1, 68: mode })
        }
        skew.ms += DAY_MS
        await drive.at(device).fs.ingester.flush()
      }
      if (week % 4 === 3) await drive.acknowledge()
      for (const [device, { store }] of drive.volumes.entries()) {
        const { recordBlocks } = await store.space()
        most[device] = Math.max(most[device] ?? 0, recordBlocks)
      }
    }
    for (const device of [0, 1]) {
      const { dbLength } = await drive.at(device).store.info()
      // A record, and in the bee of who made the file a name.
      const live = (await drive.recordCount(device)) * (device === 0 ? 2 : 1)
      const bound = 3 * Math.max(live, 800)
      t.ok((most[device] ?? 0) <= bound, `${most[device]} of ${dbLength} blocks, ${live} live`)
      t.ok(dbLength > 1.5 * bound, 'what was written in the time is far more')
    }
    t.equal(drive.graves().length, 0)
  }
)
