// runner: timeout=120
/** What is written upon content that nobody who is connected has. */
import t from 'tap'
import { decodeRecord } from '../../src/format/record-codec.js'
import { waitFor } from '../support/process.js'
import { TestDrive } from './drive.js'
import { walk, write } from './paths.js'

/** Names of the records that a device has committed. */
async function committedNames(drive: TestDrive, device: number): Promise<Set<string>> {
  const names = new Set<string>()
  for (const { record } of await drive.at(device).store.call('scan', null, 5000)) {
    if (record === null) continue
    for (const place of [...decodeRecord(Buffer.from(record)).places.values()].flat()) {
      names.add(place.name.toString())
    }
  }
  return names
}

t.test('a file that waits for a block elsewhere does not hold up the others', async (t) => {
  const drive = await TestDrive.create(2)
  t.teardown(() => drive.close())
  await write(drive, 0, 'theirs', 'written on the first device')
  await drive.exchange()

  const { kernel, fs, alarms } = drive.at(1)
  const { dir, name } = await walk(drive, 1, 'theirs')
  const { ino } = await kernel.lookup(dir, name)
  // An append inside of a block that only the other one has.
  await kernel.write(ino, 27, Buffer.from(', and more'))
  await write(drive, 1, 'mine', 'of this device alone')
  const isCommitted = async (): Promise<boolean> => (await committedNames(drive, 1)).has('mine')
  t.ok(await waitFor(isCommitted, 30_000, 100), 'the other file is committed')
  t.ok(fs.volume.parts.tracker.hasFile(ino), 'the append waits')
  t.match(alarms.list(), [{ code: 'CONTENT_ELSEWHERE' }])
  t.equal((await kernel.getattr(ino)).size, 37)
  t.equal((await kernel.read(ino, 0, 100)).toString(), 'written on the first device, and more')
})
