/**
 * The incremental merge: always what the whole merge is, and at the cost of what changed.
 * `PCFS_DELTA_RUNS` sets how many random histories.
 */
import assert from 'node:assert'
import t from 'tap'
import { type NodeId, ROOT_ID, sequentialId, toGenerationNumber } from '../../src/format/ids.js'
import { type Write, newRecord, withData, withPlace, withoutPlace } from '../../src/format/edit.js'
import { checkOnAllCores } from './threads.js'
import { contentOf, deviceOptions } from './drive-model.js'
import { MemoryState } from './memory-state.js'
import type { NodeRecord } from '../../src/format/record.js'
import { REGRESSIONS } from './regressions.js'
import { orphansOf } from '../../src/format/merge-state.js'
import { checkDelta } from './check-delta.js'

const RUNS = Number(process.env['PCFS_DELTA_RUNS'] ?? 400)
const SEED = Number(process.env['PCFS_MERGE_SEED'] ?? 20261123)
t.setTimeout(Math.max(180_000, RUNS * 100))

t.test('after every delivery the state is the tree of all records heard so far', async () => {
  for (const value of Object.values(REGRESSIONS)) {
    for (let seed = 0; seed < 5; seed++) checkDelta(value, seed)
  }
  await checkOnAllCores('delta', { runs: RUNS, seed: SEED })
})

t.test('records as no sound device writes them make the same tree, piece by piece', async () => {
  await checkOnAllCores('wild', { runs: RUNS * 5, seed: SEED })
})

const GENERATION = toGenerationNumber(1)
let counter = 0

function nextWrite(generation = GENERATION): Write {
  counter++
  return { generation, counter, hlc: BigInt(counter), atNs: 0n }
}

function create(parent: NodeId, name: string, kind: 'file' | 'dir'): readonly [NodeId, NodeRecord] {
  const write = nextWrite()
  const place = { parent, name: Buffer.from(name) }
  const node = { kind, place, mode: 0o644, owner: { type: 'self' } } as const
  return [sequentialId(GENERATION, write.counter), newRecord(node, write)]
}

function files(parent: NodeId, count: number): (readonly [NodeId, NodeRecord])[] {
  return Array.from({ length: count }, (_, i) => create(parent, `file ${i}`, 'file'))
}

function recordOf(state: MemoryState, node: NodeId): NodeRecord {
  const record = state.records.get(node)
  assert(record)
  return record
}

/** A directory with files in it. */
function world(count: number): { state: MemoryState; dir: NodeId; nodes: readonly NodeId[] } {
  const state = new MemoryState()
  const [dir, record] = create(ROOT_ID, 'dir', 'dir')
  const made = files(dir, count)
  state.merge([[dir, record], ...made], deviceOptions)
  state.reads = 0
  return { state, dir, nodes: made.map(([node]) => node) }
}

function edit(record: NodeRecord, generation = GENERATION): NodeRecord {
  const write = nextWrite(generation)
  return withData(record, { content: contentOf(write.counter) }, write)
}

t.test('an edit of one of 10,000 files reads one row and puts one entry', async (t) => {
  const { state, nodes } = world(10_000)
  const [node] = nodes
  assert(node)
  const delta = state.merge([[node, edit(recordOf(state, node))]], deviceOptions)
  t.equal(state.reads, 1)
  t.equal(delta.entries.length, 1)
  t.equal(delta.claims.length + delta.claimCounts.size + delta.dirs.size, 0)
})

t.test(
  'a rename of a directory with 100,000 files costs the same as of an empty one',
  async (t) => {
    const reads = [0, 100_000].map((count) => {
      const { state, dir } = world(count)
      const to = { parent: ROOT_ID, name: Buffer.from('new name') }
      const [link] = recordOf(state, dir).places.keys()
      assert(link)
      const moved = withPlace(recordOf(state, dir), link, to, nextWrite())
      const delta = state.merge([[dir, moved]], deviceOptions)
      t.strictSame(
        new Map(delta.entries.map(({ nameKey, entry }) => [nameKey, entry?.node ?? null])),
        new Map([
          ['dir', null],
          ['new name', dir]
        ])
      )
      return state.reads
    })
    t.equal(reads[0], reads[1])
    t.ok((reads[0] ?? Infinity) <= 12, `${reads[0]} reads`)
  }
)

t.test('10,000 new files in one batch cost a few reads each, whatever is there', async (t) => {
  const reads = [0, 50_000].map((count) => {
    const { state, dir } = world(count)
    const made = Array.from({ length: 10_000 }, (_, i) => create(dir, `new ${i}`, 'file'))
    const delta = state.merge(made, deviceOptions)
    t.equal(delta.entries.length, 10_000)
    return state.reads
  })
  t.ok((reads[1] ?? Infinity) < 5 * 10_000, `${reads[1]} reads`)
  t.ok(Math.abs((reads[0] ?? 0) - (reads[1] ?? 0)) < 20, 'the same in a directory of 50,000')
})

t.test('a conflict in a directory of 10,000 makes an edit beside it no dearer', async (t) => {
  const { state, nodes } = world(10_000)
  const [one, other] = nodes
  assert(one && other)
  const base = recordOf(state, one)
  const apart = [edit(base), edit(base, toGenerationNumber(2))]
  state.merge(
    apart.map((record) => [one, record] as const),
    deviceOptions
  )
  state.reads = 0
  const beside = state.merge([[other, edit(recordOf(state, other))]], deviceOptions)
  t.ok(state.reads <= 3, `${state.reads} reads`)
  t.equal(beside.entries.length, 1)
  state.reads = 0
  const again = state.merge(
    [[one, edit(recordOf(state, one), toGenerationNumber(2))]],
    deviceOptions
  )
  t.ok(state.reads < 50, `${state.reads} reads`)
  t.equal(again.entries.length, 1, 'the copy did not change')
})

t.test('the record of a directory that comes after its 10,000 files costs one entry', async (t) => {
  const state = new MemoryState()
  const [dir, record] = create(ROOT_ID, 'late', 'dir')
  state.merge(files(dir, 10_000), deviceOptions)
  t.equal(orphansOf(state).length, 10_000)
  state.reads = 0
  const delta = state.merge([[dir, record]], deviceOptions)
  t.ok(state.reads < 20, `${state.reads} reads`)
  t.equal(delta.entries.length, 1)
  t.equal(orphansOf(state).length, 0)
  t.equal(state.tree().dirs.get(dir)?.length, 10_000)
})

t.test(
  'a small directory that becomes one listing with a large one costs the small one',
  async (t) => {
    const { state, dir } = world(10_000)
    const [small, record] = create(ROOT_ID, 'other', 'dir')
    state.merge([[small, record], ...files(small, 10)], deviceOptions)
    const [link] = record.places.keys()
    assert(link)
    // The first claim to a name is the latest: an older move of the small one loses.
    const late = nextWrite(toGenerationNumber(2))
    const [large] = recordOf(state, dir).places.keys()
    assert(large)
    const newer = withPlace(recordOf(state, dir), large, placeOf('dir'), {
      ...late,
      hlc: 1n << 40n
    })
    state.merge([[dir, newer]], deviceOptions)
    state.reads = 0
    const delta = state.merge(
      [[small, withPlace(record, link, placeOf('dir'), nextWrite())]],
      deviceOptions
    )
    t.ok(state.reads < 500, `${state.reads} reads`)
    t.equal(delta.dirs.get(small)?.host, dir)
    t.equal(state.tree().dirs.get(dir)?.length, 10_000, 'the small one has names that it has too')
  }
)

function placeOf(name: string): { parent: NodeId; name: Buffer } {
  return { parent: ROOT_ID, name: Buffer.from(name) }
}

t.test('the last file of a dead directory takes it away, up to the first that lives', async (t) => {
  const state = new MemoryState()
  const made = [create(ROOT_ID, 'a', 'dir')]
  for (const name of ['b', 'c', 'd']) made.push(create(made.at(-1)?.[0] ?? ROOT_ID, name, 'dir'))
  const [file] = files(made.at(-1)?.[0] ?? ROOT_ID, 1)
  assert(file)
  state.merge([...made, file], deviceOptions)
  const dead = [...made].slice(1).map(([node, record]) => [node, unlinked(record)] as const)
  state.merge(dead, deviceOptions)
  t.equal(state.tree().dirs.size, 5, 'what lives below keeps them')
  const delta = state.merge([[file[0], unlinked(file[1])]], deviceOptions)
  t.equal(state.tree().dirs.size, 2, 'the root and the one that lives')
  t.ok(delta.entries.every(({ entry }) => entry === null))
})

function unlinked(record: NodeRecord): NodeRecord {
  const [link] = record.places.keys()
  assert(link)
  return withoutPlace(record, link, nextWrite())
}
