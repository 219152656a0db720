import t from 'tap'
import { isStreaming, type Stream } from '../../src/vfs/streams.js'
import { Tracker } from '../../src/vfs/tracker.js'

const MIB = 2 ** 20
const SPARE = 2 ** 40
const copying: Stream = { dirtyBytes: 100 * MIB, waitedMs: 1000, silentNs: 1_000_000n }

t.test('a file that is being copied waits for the copy’s end', (t) => {
  t.ok(isStreaming(copying, SPARE))
  t.notOk(isStreaming({ ...copying, silentNs: 1_000_000_000n }, SPARE), 'it has paused')
  t.end()
})

t.test('but not for ever: age, bytes and room on the disk bound it', (t) => {
  t.notOk(isStreaming({ ...copying, waitedMs: 10_000 }, SPARE))
  t.notOk(isStreaming({ ...copying, dirtyBytes: 1024 * MIB }, SPARE))
  t.notOk(isStreaming(copying, 150 * MIB))
  t.end()
})

t.test('what is small, or was written in the future, is committed at once', (t) => {
  t.notOk(isStreaming({ ...copying, dirtyBytes: MIB }, SPARE))
  t.notOk(isStreaming({ ...copying, silentNs: -1n }, SPARE))
  t.end()
})

t.test('a file that is held is not taken and keeps its journal; a flush takes it', (t) => {
  const tracker = new Tracker()
  tracker.noteFile(7, 1000)
  tracker.noteFile(8, 1000)
  const waits: number[] = []
  const hold = (ino: number, waitedMs: number): number | null => {
    waits.push(waitedMs)
    return ino === 7 ? 1500 : null
  }
  const batch = tracker.take(1200, false, 10, hold)
  t.strictSame([batch.files, waits], [[8], [200, 200]])
  tracker.cut(batch, 50)
  tracker.done()
  t.equal(tracker.committedSeq(), 0)
  t.equal(tracker.dueMs(), 1500)
  t.strictSame(tracker.take(1300, false, 10, hold).files, [], 'it is not even asked about')
  t.strictSame(tracker.take(1300, true, 10, hold).files, [7])
  t.end()
})
