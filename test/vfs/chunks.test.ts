// runner: timeout=300
/**
 * Appends, cuts, overwrites, renames and removals on several devices while each other's news come
 * and commits stand still anywhere: when all have heard all, every chunk is in some file that
 * nobody cut off, overwrote or removed where they saw it.
 */
import fc from 'fast-check'
import t, { type Test } from 'tap'
import { Gate, Run, tally, type Step } from './chunk-run.js'
import { TestDrive } from './drive.js'

const DEVICES = 3
const RUNS = Number(process.env['PCFS_CHUNKS_RUNS'] ?? 25)
const SEED = Number(process.env['PCFS_SEED'] ?? 20261201)
const LIMIT_MS = Number(process.env['PCFS_CHUNKS_MS'] ?? 45_000)
t.setTimeout(LIMIT_MS + 120_000)

const device = fc.nat(DEVICES - 1)
const name = fc.constantFrom('a', 'a', 'b', 'c', '?')
const at = fc.nat(3)
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({ op: fc.constant<'append'>('append'), device, name, at })
  },
  {
    weight: 4,
    arbitrary: fc.record({
      op: fc.constantFrom<'truncate' | 'overwrite'>('truncate', 'truncate', 'overwrite'),
      device,
      name,
      at
    })
  },
  {
    weight: 3,
    arbitrary: fc.record({
      op: fc.constantFrom<'rename' | 'link'>('rename', 'rename', 'rename', 'link'),
      device,
      name,
      to: fc.constantFrom('a', 'b', 'c', 'd')
    })
  },
  {
    weight: 2,
    arbitrary: fc.record({
      op: fc.constantFrom<'unlink' | 'touch' | 'chmod'>('unlink', 'touch', 'chmod'),
      device,
      name
    })
  },
  {
    weight: 8,
    arbitrary: fc.record({
      op: fc.constant<'ship'>('ship'),
      device,
      to: device,
      batch: fc.constantFrom(1, 1000)
    })
  },
  {
    weight: 8,
    arbitrary: fc.record({
      op: fc.constantFrom<'begin' | 'advance' | 'finish'>('begin', 'advance', 'advance', 'finish'),
      device
    })
  }
)

async function setUp(t: Test): Promise<{ drive: TestDrive; gates: readonly Gate[] }> {
  const gates = Array.from({ length: DEVICES }, () => new Gate())
  const drive = await TestDrive.create(DEVICES, {
    wrapStore: (store, index) => gates[index]?.wrap(store) ?? store
  })
  t.teardown(() => drive.close())
  return { drive, gates }
}

const append = (index: number, to: string): Step => ({
  op: 'append',
  device: index,
  name: to,
  at: 0
})
const commit = (index: number): Step => ({ op: 'finish', device: index })

t.test('of two empty files with one name one is written and renamed', async (t) => {
  const { drive, gates } = await setUp(t)
  // Whichever of the two is the first by its id.
  for (const one of [0, 1]) {
    const other = 1 - one
    const steps: Step[] = [
      append(one, 'a'),
      { op: 'truncate', device: one, name: 'a', at: 0 },
      commit(one),
      { op: 'begin', device: other },
      append(other, 'a'),
      { op: 'ship', device: one, to: other, batch: 1000 },
      { op: 'rename', device: other, name: 'a', to: 'b' }
    ]
    await t.resolves(new Run(drive, gates, -one).run(steps), `written on device ${other}`)
  }
})

t.test('no chunk is lost that nobody removed', async (t) => {
  const { drive, gates } = await setUp(t)
  let runs = 0
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 10, maxLength: 60, size: 'max' }), (steps) =>
      new Run(drive, gates, ++runs).run(steps)
    ),
    {
      numRuns: RUNS,
      seed: SEED,
      interruptAfterTimeLimit: LIMIT_MS,
      markInterruptAsFailure: false
    }
  )
  t.comment(`${runs} runs, seed ${SEED}, ${JSON.stringify(tally)}`)
  t.ok(tally.done > tally.refused, 'most steps did something')
})
