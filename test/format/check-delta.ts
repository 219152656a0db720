/** The incremental merge must always be what the whole merge is. */
import assert from 'node:assert'
import { type History, numbers, play, shuffled } from './histories.js'
import { deviceOptions } from './drive-model.js'
import { MemoryState, sortedDirs } from './memory-state.js'
import type { Entry, Tree } from '../../src/format/tree.js'
import { shownState } from '../../src/format/shown-state.js'
import { shownTree } from './shown-tree.js'
import { decodeRecord } from '../../src/format/record-codec.js'
import { materialise } from '../../src/format/tree.js'

/**
 * Plays a history, then delivers its batches in some order, some twice and some at once: after each
 * delivery the state is the tree of the records so far, and at the end it is what all records make
 * at once.
 */
export function checkDelta(value: History, seed: number): void {
  const { devices } = play(value)
  const random = numbers(seed)
  const all = devices.flatMap((device) => device.batches)
  const twice = all.filter((_, i) => (i + seed) % 4 === 0)
  const order = seed % 5 === 0 ? [...all, ...twice] : shuffled([...all, ...twice], random)
  const state = new MemoryState()
  while (order.length > 0) {
    const count = 1 + (Number(random.next().value) % (1 + (seed % 4)))
    const heard = order.splice(0, count).flatMap((batch) => batch.records)
    state.merge(
      heard.map(([node, bytes]) => [node, decodeRecord(bytes)] as const),
      deviceOptions
    )
    const tree = whole(state)
    assert.deepStrictEqual(state.tree(), tree)
    checkShown(state, tree)
  }
  const atOnce = new MemoryState()
  atOnce.replace(state.records, deviceOptions)
  assert.deepStrictEqual(state.tables(), atOnce.tables())
}

/** The tree of the records, the other way. */
export function whole(state: MemoryState): Tree {
  const tree = materialise(state.records, deviceOptions)
  return { ...tree, dirs: sortedDirs(tree.dirs) }
}

/** What settling is told of the state is what it is told of the tree. */
function checkShown(state: MemoryState, tree: Tree): void {
  const theirs = shownTree(tree, state.records)
  const mine = shownState(state)
  const keysOf = (entries: readonly Entry[]): string[] =>
    entries.map(({ name }) => name.toString('latin1')).sort()
  for (const [dir, entries] of tree.dirs) {
    assert.deepStrictEqual(mine.placeOf(dir), theirs.placeOf(dir))
    assert.deepStrictEqual(keysOf(mine.derived(dir)), keysOf(theirs.derived(dir)))
    for (const key of keysOf(entries)) {
      assert.strictEqual(mine.entry(dir, key)?.node, theirs.entry(dir, key)?.node)
    }
  }
  assert.deepStrictEqual([...mine.displaced()].sort(), [...theirs.displaced()])
}
