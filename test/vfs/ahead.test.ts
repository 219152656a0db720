// runner: timeout=120
/** What a program asks for while the first scan of another device's records is under way. */
import t, { type Test } from 'tap'
import { FsError } from '../../src/base/errors.js'
import { decodeRecord } from '../../src/format/record-codec.js'
import { parseNodeId, toGenerationNumber } from '../../src/format/ids.js'
import type { NodeEntry } from '../../src/generation/types.js'
import type { AheadSource } from '../../src/vfs/ahead.js'
import { TestDrive } from './drive.js'

const DIRECTORIES = ['photos', 'letters']
const FILES = ['one', 'two', 'three']

/** Two devices; the first has two directories of three files, the second has heard of nothing. */
async function setUp(t: Test): Promise<TestDrive> {
  const drive = await TestDrive.create(2)
  t.teardown(() => drive.close())
  const { kernel, fs } = drive.at(0)
  for (const name of DIRECTORIES) {
    const dir = await kernel.mkdir(1, name, 0o755)
    for (const file of FILES) {
      await kernel.create(dir.ino, file, 0o644)
    }
  }
  await fs.ingester.flush()
  return drive
}

/** Answers as the first device's generation would, and notes what it was asked for. */
function sourceOf(drive: TestDrive, asked: string[]): AheadSource {
  return async (parent, name) => {
    asked.push(`${parent}/${name === null ? '*' : name.toString()}`)
    const found: NodeEntry[] = []
    for (const { id, record } of await drive.at(0).store.call('scan', null, 5000)) {
      if (record === null) continue
      const places = [...decodeRecord(Buffer.from(record)).places.values()].flat()
      const isThere = places.some((place) => {
        return place.parent === parent && (name === null || place.name.equals(name))
      })
      if (isThere) found.push({ id: parseNodeId(id), record })
    }
    return found
  }
}

async function generationOf(
  drive: TestDrive,
  device: number
): Promise<ReturnType<typeof toGenerationNumber>> {
  return toGenerationNumber((await drive.at(device).store.call('info')).generation)
}

t.test('a listing shows what is not taken in yet, and asks for nothing else', async (t) => {
  const drive = await setUp(t)
  const { kernel, fs } = drive.at(1)
  t.strictSame(await kernel.readdir(1), [], 'nothing was heard yet')
  const asked: string[] = []
  const generation = await generationOf(drive, 0)
  fs.ahead.begin(generation, sourceOf(drive, asked))
  kernel.forgetAll()
  t.strictSame((await kernel.readdir(1)).sort(), [...DIRECTORIES].sort())
  const { ino } = await kernel.lookup(1, 'photos')
  t.strictSame((await kernel.readdir(ino)).sort(), [...FILES].sort())
  t.strictSame((await kernel.readdir(ino)).sort(), [...FILES].sort())
  t.equal(asked.length, 2, 'the root and one directory, once each')

  fs.ahead.end(generation)
  await drive.ship(0, 1)
  t.strictSame(await drive.look(1), await drive.look(0), 'the scan brings the rest')
})

t.test('one name is brought in without its directory', async (t) => {
  const drive = await setUp(t)
  const { kernel, fs } = drive.at(1)
  const asked: string[] = []
  fs.ahead.begin(await generationOf(drive, 0), sourceOf(drive, asked))
  const letters = await kernel.lookup(1, 'letters')
  await kernel.lookup(letters.ino, 'two')
  await t.rejects(kernel.lookup(letters.ino, 'four'), { code: 'ENOENT' })
  t.strictSame(
    asked.map((one) => one.split('/')[1]),
    ['letters', 'two', 'four']
  )
})

t.test('with nobody there the tree answers as far as it has come', async (t) => {
  const drive = await setUp(t)
  const { kernel, fs } = drive.at(1)
  let asked = 0
  fs.ahead.begin(await generationOf(drive, 0), () => {
    asked++
    return Promise.reject(new FsError('EHOSTUNREACH', 'nobody is there'))
  })
  t.strictSame(await kernel.readdir(1), [])
  await t.rejects(kernel.lookup(1, 'photos'), { code: 'ENOENT' })
  t.equal(asked, 1, 'who did not answer is left alone for a while')
})

t.test('an index that is made anew takes the others in again', async (t) => {
  const drive = await setUp(t)
  const generation = await generationOf(drive, 0)
  const { dbLength } = await drive.at(0).store.call('info')
  await drive.ship(0, 1)
  t.equal(drive.at(1).fs.remote.cursor(generation).version, dbLength)
  const shown = await drive.look(1)
  await drive.at(1).rebuildIndex()
  t.equal(drive.at(1).fs.remote.cursor(generation).version, 0, 'nothing of it is known')
  drive.forgetShipped(1)
  await drive.ship(0, 1)
  t.strictSame(await drive.look(1), shown)
})
