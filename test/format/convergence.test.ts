// runner: timeout=3600
/**
 * Random histories of up to five devices, on all cores: 100,000, which takes two to three minutes
 * on two of them, more where others work too. `PCFS_MERGE_RUNS` sets how many; a failure prints the
 * seed and path to repeat it with.
 */
import assert from 'node:assert'
import fc from 'fast-check'
import t from 'tap'
import { decodeRecord, encodeRecord } from '../../src/format/record-codec.js'
import { history, numbers, play, shuffled } from './histories.js'
import { checkHistory } from './check-history.js'
import { checkOnAllCores } from './threads.js'
import { REGRESSIONS } from './regressions.js'
import type { NodeId } from '../../src/format/ids.js'
import { mergeRecord } from '../../src/format/merge.js'

const RUNS = Number(process.env.PCFS_MERGE_RUNS ?? 100_000)
/** The same histories in every run, so that a red one can be repeated; the soak draws others. */
const SEED = Number(process.env['PCFS_MERGE_SEED'] ?? 20261123)
t.setTimeout(Math.max(180_000, RUNS * 20))

for (const [name, value] of Object.entries(REGRESSIONS)) {
  t.test(`no longer: ${name}`, async () => checkHistory(value))
}

t.test('devices that heard the same show the same tree, and nothing written is lost', async () => {
  await checkOnAllCores('history', { runs: RUNS, seed: SEED })
})

t.test('merging records is commutative, associative and idempotent', async () => {
  fc.assert(
    fc.property(history, fc.nat(), (value, seed) => {
      const { devices } = play(value)
      const random = numbers(seed)
      const byNode = new Map<NodeId, Buffer[]>()
      for (const [node, bytes] of devices.flatMap((d) => d.batches.flatMap((b) => b.records))) {
        byNode.set(node, [...(byNode.get(node) ?? []), bytes])
      }
      for (const all of byNode.values()) {
        const [a, b, c] = shuffled([...all, ...all, ...all], random).map(decodeRecord)
        assert(a && b && c)
        const same = (x: typeof a, y: typeof a): void =>
          assert.deepStrictEqual(encodeRecord(x), encodeRecord(y))
        same(mergeRecord(a, b), mergeRecord(b, a))
        same(mergeRecord(mergeRecord(a, b), c), mergeRecord(a, mergeRecord(b, c)))
        same(mergeRecord(mergeRecord(a, b), b), mergeRecord(a, b))
        same(decodeRecord(encodeRecord(mergeRecord(a, b))), mergeRecord(a, b))
      }
    }),
    { numRuns: Math.min(2000, Math.ceil(RUNS / 5)), seed: SEED }
  )
})
