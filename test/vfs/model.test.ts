// runner: timeout=240
import fc from 'fast-check'
import t from 'tap'
import { leakedBlocks } from './blocks.js'
import { ModelRun } from './model-run.js'
import { START, event, operation, type Event, type Op } from './operations.js'
import { TestVolume } from './test-volume.js'

/** Sequences that once failed, shrunk. */
const REGRESSIONS: Readonly<Record<string, readonly (Op | Event)[]>> = {}

const RUNS = Number(process.env['PCFS_MODEL_RUNS'] ?? 1000)
const SECONDS = Number(process.env['PCFS_MODEL_SECONDS'] ?? 100)

t.test('any sequence of operations gives what the reference gives', async (t) => {
  let volume: TestVolume | null = null
  let runs = 0
  t.teardown(async () => volume?.close())
  const steps = fc.array(
    fc.oneof({ weight: 14, arbitrary: operation }, { weight: 1, arbitrary: event }),
    { minLength: 10, maxLength: 120, size: 'max' }
  )
  const until = performance.now() + SECONDS * 1000
  const property = fc.asyncProperty(steps, async (sequence) => {
    if (performance.now() > until) return
    volume ??= await TestVolume.create()
    try {
      const run = await ModelRun.begin(volume, `run-${++runs}`)
      await run.run([...START, ...sequence])
    } catch (error) {
      // What failed may have broken it: the next run gets a new one.
      const broken: TestVolume = volume
      volume = null
      await broken.close().catch(() => undefined)
      throw error
    }
  })
  const seed = Number(process.env['PCFS_MODEL_SEED'] ?? 20261123)
  t.comment(`seed ${seed}`)
  const details = await fc.check(property, {
    seed,
    numRuns: RUNS,
    endOnFailure: process.env['PCFS_MODEL_SHRINK'] !== '1'
  })
  const [sequence] = details.counterexample ?? [[]]
  const { errorInstance } = details
  const why = errorInstance instanceof Error ? errorInstance.message : ''
  t.notOk(details.failed, `${runs} sequences ${why.slice(0, 1000)}`, {
    sequence: sequence.map((step) => JSON.stringify(step))
  })
  if (volume) t.strictSame(await leakedBlocks(volume), [], 'no block has leaked')
})

for (const [name, sequence] of Object.entries(REGRESSIONS)) {
  t.test(name, async (t) => {
    const volume = await TestVolume.create()
    t.teardown(() => volume.close())
    await (await ModelRun.begin(volume, 'run')).run([...START, ...sequence])
  })
}
