import assert from 'node:assert'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import t from 'tap'
import { toGenerationNumber } from '../../src/format/ids.js'
import { Author } from '../../src/union/author.js'
import { Index } from '../../src/union/index-store.js'

const directory = mkdtempSync(join(tmpdir(), 'pcfs-author-'))
const index = Index.open(directory)
const generation = toGenerationNumber(77)
t.teardown(async () => {
  await index.close()
  rmSync(directory, { recursive: true })
})

/** A clock that is turned by hand, and may be turned back. */
const clock = {
  ms: 1_000_000,
  nowMs: () => clock.ms,
  nowNs: () => BigInt(clock.ms) * 1_000_000n,
  monotonicMs: () => clock.ms
}

t.test('no id, dot or stamp is issued twice, whatever crashes and clocks do', async () => {
  const step = fc.oneof(
    { weight: 8, arbitrary: fc.constant('make') },
    { weight: 8, arbitrary: fc.constant('write') },
    { weight: 1, arbitrary: fc.constant('crash') },
    { weight: 1, arbitrary: fc.constant('forward') },
    { weight: 1, arbitrary: fc.constant('back') }
  )
  const inos = new Set<number>()
  const dots = new Set<number>()
  let last = 0n
  fc.assert(
    fc.property(fc.array(step, { maxLength: 200, size: 'max' }), (steps) => {
      let author = new Author(index, generation, clock)
      for (const action of steps) {
        if (action === 'crash') author = new Author(index, generation, clock)
        if (action === 'forward') clock.ms += 60_000
        if (action === 'back') clock.ms -= 3_600_000
        if (action !== 'make' && action !== 'write') continue
        // A crash keeps what was journaled and nothing else.
        index.apply(author.reserve(action === 'make' ? 1 : 0))
        if (action === 'make') {
          const { ino, id } = author.newNode()
          assert.ok(!inos.has(ino), `ino ${ino} again`)
          assert.equal(author.idOf(ino), id)
          inos.add(ino)
        }
        const { counter, hlc } = author.write()
        assert.ok(!dots.has(counter), `dot ${counter} again`)
        assert.ok(hlc > last, 'stamps only grow')
        dots.add(counter)
        last = hlc
      }
    }),
    { numRuns: 40 }
  )
})

t.test('a generation keeps its slot', async (t) => {
  const author = new Author(index, generation, clock)
  index.apply(author.reserve(1))
  const { ino, id } = author.newNode()
  const other = toGenerationNumber(78)
  index.apply(author.slotFor(other))
  const again = new Author(index, generation, clock)
  t.equal(again.idOf(ino), id)
  t.strictSame(again.slotFor(other), [])
})
