/**
 * Random histories of up to five devices. `PCFS_MERGE_RUNS` sets how many; a failure prints the
 * seed and path to repeat it with.
 */
import assert from 'node:assert'
import fc from 'fast-check'
import t from 'tap'
import { type Device, type Ledger, contentId } from './drive-model.js'
import { decodeRecord, encodeRecord } from '../../src/format/record-codec.js'
import { type History, history, numbers, play, shuffled, textOf } from './histories.js'
import { REGRESSIONS } from './regressions.js'
import type { NodeId } from '../../src/format/ids.js'
import { mergeRecord } from '../../src/format/merge.js'

const RUNS = Number(process.env.PCFS_MERGE_RUNS ?? 1500)
/** The same histories in every run, so that a red one can be repeated; the soak draws others. */
const SEED = Number(process.env['PCFS_MERGE_SEED'] ?? 20261123)
t.setTimeout(Math.max(60_000, RUNS * 60))

function checkTree(device: Device, ledger: Ledger): void {
  const tree = device.tree()
  assert.deepStrictEqual(tree.orphans, [])
  const seen = device.list()
  const paths = new Set(seen.map(({ path }) => path))
  assert.strictEqual(paths.size, seen.length, 'a name twice')
  const shown = new Set(seen.map(({ entry }) => contentId(entry)).filter((id) => id !== null))
  for (const id of ledger.written) {
    const isGone = ledger.overwritten.has(id) || ledger.deleted.has(id)
    if (!isGone) assert(shown.has(id), `content ${id} was lost`)
    if (ledger.overwritten.has(id) && !ledger.spread.has(id)) {
      assert(!shown.has(id), `content ${id} was replaced and came back`)
    }
  }
  const nodes = new Set(seen.flatMap(({ entry }) => entry.standing.map(({ node }) => node)))
  for (const { node, known } of ledger.deletions) {
    const isKnown = [...(ledger.touching.get(node) ?? [])].every((op) => known.has(op))
    if (isKnown) assert(!nodes.has(node), `${node} was deleted by everyone and came back`)
  }
}

function check(value: History): void {
  const { devices, ledger } = play(value)
  const [first, ...others] = devices
  assert(first)
  for (const other of others) assert.strictEqual(textOf(other), textOf(first))
  checkTree(first, ledger)
}

for (const [name, value] of Object.entries(REGRESSIONS)) {
  t.test(`no longer: ${name}`, async () => check(value))
}

t.test('devices that heard the same show the same tree, and nothing written is lost', async () => {
  fc.assert(fc.property(history, check), { numRuns: RUNS, seed: SEED })
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
    { numRuns: Math.ceil(RUNS / 5) }
  )
})
