/** What must be true of every history when everybody has heard everything. */
import assert from 'node:assert'
import { type Device, type Ledger, contentId } from './drive-model.js'
import { type History, play, textOf } from './histories.js'

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

/** Plays a history: all devices show one tree, nothing was lost, nothing came back. */
export function checkHistory(value: History): void {
  const { devices, ledger } = play(value)
  const [first, ...others] = devices
  assert(first)
  for (const other of others) assert.strictEqual(textOf(other), textOf(first))
  checkTree(first, ledger)
}
