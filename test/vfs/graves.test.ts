// runner: timeout=300
/**
 * Removed nodes are forgotten when every device has seen that they are gone, and do not come back:
 * not from a device that was away, nor by hearing everything again.
 */
import t, { type Test } from 'tap'
import type { ContentStore } from '../../src/vfs/content-store.js'
import { TestDrive, kindsOf, type Shown } from './drive.js'

const DAY_MS = 86_400_000

interface World {
  readonly drive: TestDrive
  readonly skew: { ms: number }
}

async function setUp(t: Test, count: number): Promise<World> {
  const skew = { ms: 0 }
  const drive = await TestDrive.create(count, { skew, historyBytes: 0 })
  t.teardown(() => drive.close())
  return { drive, skew }
}

async function make(drive: TestDrive, device: number, ...paths: string[]): Promise<void> {
  const posix = drive.posix(device)
  for (const path of paths) {
    if (path.endsWith('/')) await posix.run({ op: 'mkdir', path: path.slice(0, -1), mode: 0o755 })
    else await posix.run({ op: 'create', path, mode: 0o644 })
  }
}

async function write(drive: TestDrive, device: number, path: string, byte: number): Promise<void> {
  await drive.posix(device).run({ op: 'write', path, at: 0, length: 3, byte })
}

/** The kernel looks a name up before it asks for its removal. */
async function find(drive: TestDrive, device: number, path: string): Promise<void> {
  const { kernel } = drive.at(device)
  let dir = 1
  for (const name of path.split('/')) dir = (await kernel.lookup(dir, name)).ino
}

async function remove(drive: TestDrive, device: number, ...paths: string[]): Promise<void> {
  for (const path of paths) {
    const isDir = path.endsWith('/')
    const name = isDir ? path.slice(0, -1) : path
    await find(drive, device, name)
    await drive.posix(device).run({ op: isDir ? 'rmdir' : 'unlink', path: name })
  }
  for (const { kernel } of drive.volumes) kernel.forgetAll()
}

async function move(drive: TestDrive, device: number, path: string, to: string): Promise<void> {
  await find(drive, device, path)
  await drive.posix(device).run({ op: 'rename', path, to, flags: 0 })
}

/** All say what they have seen, and forget what they may; a few times. */
async function forget({ drive, skew }: World): Promise<void> {
  for (let round = 0; round < 6; round++) {
    skew.ms += DAY_MS
    await drive.acknowledge()
  }
}

/** All show this, as their heads do, and as all that was ever said does. */
async function shows(t: Test, { drive }: World, expected: Shown): Promise<void> {
  await drive.exchange()
  for (const device of drive.volumes.keys()) {
    t.strictSame(await drive.look(device), expected, `device ${device}`)
  }
  t.strictSame(await drive.materialised(), kindsOf(expected), 'the heads')
  t.strictSame(drive.everything(), kindsOf(expected), 'all that was ever said')
}

t.test('what all have seen removed is forgotten, in every head and index', async (t) => {
  const world = await setUp(t, 2)
  const { drive } = world
  const files = Array.from({ length: 40 }, (_, i) => `d/f${i}`)
  await make(drive, 0, 'd/', 'd/sub/', 'kept', ...files)
  await drive.exchange()
  for (const path of files.slice(0, 20)) await write(drive, 1, path, 1)
  await drive.exchange()
  await remove(drive, 1, ...files, 'd/sub/', 'd/')
  t.equal(drive.graves(1).length, 42, 'first they are kept')
  await forget(world)
  await shows(t, world, { kept: '' })
  t.strictSame(drive.graves(), [])
  for (const device of [0, 1]) {
    t.ok((await drive.recordCount(device)) <= 2, 'the root and what is kept')
  }

  await t.test('and hearing everything again brings nothing back', async (t) => {
    for (const device of [0, 1]) drive.forgetShipped(device)
    await shows(t, world, { kept: '' })
    await drive.at(0).crash()
    await drive.at(1).powerLoss()
    await shows(t, world, { kept: '' })
  })
})

t.test('a device that was away brings nothing back but what it has edited', async (t) => {
  const world = await setUp(t, 3)
  const { drive, skew } = world
  await make(drive, 0, 'a', 'b', 'd/', 'd/c')
  await drive.exchange()
  await forget(world)
  await remove(drive, 1, 'a', 'b', 'd/c', 'd/')
  await write(drive, 2, 'b', 66)
  for (let round = 0; round < 5; round++) {
    skew.ms += DAY_MS
    for (const [from, to] of [
      [0, 1],
      [1, 0]
    ] as const)
      await drive.ship(from, to)
    await drive.at(0).fs.retention.acknowledge()
    await drive.at(1).fs.retention.acknowledge()
  }
  t.equal(drive.graves().length, 8, 'nothing is forgotten without it')
  const codes = drive
    .at(1)
    .alarms.list()
    .map(({ code }) => code)
  t.strictSame(codes, [], 'and that is no alarm yet')
  await shows(t, world, { b: 'BBB' })
  await forget(world)
  await shows(t, world, { b: 'BBB' })
  t.strictSame(drive.graves(), [])
})

t.test('what a sealed generation holds is kept until that is retired', async (t) => {
  const world = await setUp(t, 3)
  const { drive } = world
  await make(drive, 2, 'theirs')
  await make(drive, 0, 'ours')
  await drive.exchange()
  drive.sealed.add(drive.generationOf(2))
  await remove(drive, 0, 'theirs', 'ours')
  await forget(world)
  t.equal(drive.graves(0).length, 1, 'one node is remembered')
  await shows(t, world, {})
  drive.retired.add(drive.generationOf(2))
  await make(drive, 0, 'x')
  await remove(drive, 0, 'x')
  await forget(world)
  t.strictSame(drive.graves(0), [])
  t.strictSame(drive.graves(1), [])
})

t.test('a conflict copy that was removed does not come back', async (t) => {
  const world = await setUp(t, 2)
  const { drive } = world
  await make(drive, 0, 'f')
  await drive.exchange()
  await write(drive, 0, 'f', 65)
  await write(drive, 1, 'f', 66)
  await drive.exchange()
  const copy = Object.keys(await drive.look(0)).find((name) => name !== 'f') ?? ''
  await remove(drive, 1, copy)
  await drive.exchange()
  await forget(world)
  await shows(t, world, { f: 'BBB' })
  await write(drive, 0, 'f', 67)
  await drive.exchange()
  await forget(world)
  await shows(t, world, { f: 'CCC' })
  t.strictSame(drive.graves(), [], 'with the conflict over, it is forgotten')
})

t.test('a directory is kept while another one may go back to it', async (t) => {
  const world = await setUp(t, 2)
  const { drive } = world
  await make(drive, 0, 'old/', 'old/x/', 'old/x/f', 'new/')
  await move(drive, 0, 'old/x', 'new/x')
  await remove(drive, 0, 'old/')
  await drive.exchange()
  await forget(world)
  t.equal(drive.graves(1).length, 1)
  await shows(t, world, { new: { x: { f: '' } } })
  await move(drive, 1, 'new/x', 'x')
  await drive.exchange()
  for (let times = 0; times < 2; times++) await forget(world)
  t.strictSame(drive.graves(), [])
  await shows(t, world, { new: {}, x: { f: '' } })
})

t.test('names that are left do not pile up in the bees', async (t) => {
  const names: Set<string>[] = []
  const skew = { ms: 0 }
  const drive = await TestDrive.create(2, {
    skew,
    wrapStore: (store) => {
      const own = new Set<string>()
      names.push(own)
      const commit: ContentStore['commit'] = (batch) => {
        for (const { key, value } of batch.dirents) {
          const name = Buffer.from(key).toString('hex')
          if (value === null) own.delete(name)
          else own.add(name)
        }
        return store.commit(batch)
      }
      return new Proxy(store, {
        get: (target, name) => {
          const value: unknown = name === 'commit' ? commit : Reflect.get(target, name)
          return typeof value === 'function' ? value.bind(target) : value
        }
      })
    }
  })
  t.teardown(() => drive.close())
  await make(drive, 0, 'f0')
  await drive.exchange()
  for (let i = 0; i < 20; i++) {
    await move(drive, i % 2, `f${i}`, `f${i + 1}`)
    await drive.exchange()
  }
  t.ok(names.every(({ size }) => size <= 1))
  await shows(t, { drive, skew }, { f20: '' })
})
