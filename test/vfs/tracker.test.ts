import assert from 'node:assert'
import fc from 'fast-check'
import t from 'tap'
import { Tracker } from '../../src/vfs/tracker.js'

const LIMIT = 100
const note = (tracker: Tracker, ino: number): void => {
  tracker.note([{ kind: 'node', ino, row: null }])
}

t.test('what a commit takes is committed when it is done, not before', async (t) => {
  const tracker = new Tracker()
  tracker.noteFile(7, 0)
  const batch = tracker.take(0, false, LIMIT)
  tracker.cut(batch, 50)
  t.equal(tracker.committedSeq(), 0)
  tracker.done()
  t.equal(tracker.committedSeq(), 50)
})

t.test('a failed commit is taken again with all that it had', async (t) => {
  const tracker = new Tracker()
  tracker.noteFile(7, 0)
  note(tracker, 7)
  const batch = tracker.take(0, false, LIMIT)
  tracker.cut(batch, 50)
  tracker.failed(batch)
  t.equal(tracker.committedSeq(), 0)
  const again = tracker.take(0, false, LIMIT)
  t.strictSame([again.files, [...again.nodes]], [[7], [7]])
})

t.test('a file that is held back holds the journal from before its first byte', async (t) => {
  const tracker = new Tracker()
  for (const seq of [10, 20]) {
    tracker.noteFile(7, 0)
    const batch = tracker.take(0, true, LIMIT)
    tracker.cut(batch, seq)
    for (let i = 0; i < 65; i++) tracker.noteRewritten(7, 0)
    tracker.done()
  }
  tracker.noteFile(7, 0)
  note(tracker, 1)
  const batch = tracker.take(0, false, LIMIT)
  t.strictSame(batch.files, [], 'it is hot')
  tracker.cut(batch, 30)
  tracker.done()
  t.equal(tracker.committedSeq(), 20)
})

t.test('a file that is rewritten again and again waits longer each time, to 30 s', async (t) => {
  const tracker = new Tracker()
  const waits: number[] = []
  for (let i = 0; i < 74; i++) {
    tracker.noteFile(7, 0)
    waits.push(tracker.dueMs() ?? -1)
    tracker.cut(tracker.take(0, true, LIMIT), i)
    tracker.noteRewritten(7, 0)
    tracker.done()
  }
  t.ok(
    waits.splice(0, 64).every((ms) => ms === 0),
    'a person who saves often is not slowed'
  )
  t.strictSame(waits, [0, 500, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000, 30_000])
  tracker.noteFile(7, 100_000)
  t.equal(tracker.dueMs(), 100_000, 'after a minute of rest it is cold again')
})

t.test(
  'a write that was heard of only after the cut holds the journal from before it',
  async (t) => {
    const tracker = new Tracker()
    note(tracker, 1)
    const batch = tracker.take(0, false, LIMIT)
    tracker.cut(batch, 40, () => tracker.noteFile(7, 0))
    tracker.done()
    t.equal(tracker.committedSeq(), 0)
  }
)

t.test('the committed sequence never passes uncommitted work', async () => {
  const step = fc.oneof(
    fc.record({ type: fc.constant('write'), ino: fc.integer({ min: 1, max: 4 }) }),
    fc.record({ type: fc.constant('commit'), force: fc.boolean(), fails: fc.boolean() })
  )
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const tracker = new Tracker()
      const oldest = new Map<number, number>()
      let seq = 0
      for (const [now, action] of steps.entries()) {
        if ('ino' in action) {
          seq++
          if (!oldest.has(action.ino)) oldest.set(action.ino, seq)
          tracker.noteFile(action.ino, now * 300)
        } else if ('force' in action) {
          const batch = tracker.take(now * 300, action.force, LIMIT)
          tracker.cut(batch, seq)
          if (action.fails) tracker.failed(batch)
          else {
            for (const ino of batch.files) tracker.noteRewritten(ino, now * 300)
            for (const ino of batch.files) oldest.delete(ino)
            tracker.done()
          }
        }
        const needed = Math.min(...oldest.values(), Infinity)
        assert.ok(tracker.committedSeq() < needed, `entry ${needed} is needed`)
        assert.ok(tracker.settledSeq(seq) < needed, `entry ${needed} is needed`)
      }
    }),
    { numRuns: 300 }
  )
})
