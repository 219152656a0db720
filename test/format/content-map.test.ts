import assert from 'node:assert'
import fc from 'fast-check'
import t from 'tap'
import {
  BLOCK_BYTES,
  type BlockEdit,
  type ContentMap,
  EMPTY_MAP,
  LEAF_SPAN_BLOCKS,
  blocksIn,
  blocksOf,
  cutAt,
  leavesTouched,
  lookup,
  mappedBlocks,
  punch,
  replaceBlocks,
  superseded,
  withLeaf
} from '../../src/format/content-map.js'
import {
  decodeLeaf,
  decodeMap,
  encodeMap,
  planLeaves,
  withLeavesStored
} from '../../src/format/map-codec.js'

const CORES = [1, 2, 3].map((n) => Buffer.alloc(32, n))
const OWN = Buffer.alloc(32, 9)
const FILE_BLOCKS = 3 * LEAF_SPAN_BLOCKS

/** The plain model: what each file block is; a block of a core is never given out twice. */
type Model = Map<number, string>

interface Op {
  readonly type: 'write' | 'punch' | 'cut'
  readonly fileBlock: number
  readonly count: number
  readonly core: number
  readonly step: number
}

/** A blobs core in memory that keeps leaves. */
class Leaves {
  readonly blocks = new Map<number, Buffer>()
  #next = 10_000_000

  /** Encodes a map after storing its leaves, as the ingester does. */
  store(map: ContentMap): { readonly stored: ContentMap; readonly bytes: Buffer } {
    const plan = planLeaves(map)
    const coreBlocks = plan.map((leaf) => {
      assert(leaf.bytes.byteLength <= BLOCK_BYTES)
      this.blocks.set(this.#next, leaf.bytes)
      return this.#next++
    })
    const stored = withLeavesStored(map, coreBlocks.length === 0 ? null : { core: OWN, coreBlocks })
    return { stored, bytes: encodeMap(stored) }
  }

  /** Loads the leaves that an edit or a read of [from, to) needs. */
  load(map: ContentMap, from: number, to: number): ContentMap {
    let loaded = map
    for (const ref of leavesTouched(map, from, to)) {
      const bytes = this.blocks.get(ref.coreBlock)
      assert(bytes, 'a leaf that was never stored')
      loaded = withLeaf(loaded, ref, decodeLeaf(bytes))
    }
    return loaded
  }
}

const op: fc.Arbitrary<Op> = fc.record({
  type: fc.constantFrom('write', 'write', 'write', 'punch', 'cut'),
  fileBlock: fc.integer({ min: 0, max: FILE_BLOCKS }),
  count: fc.oneof(fc.integer({ min: 1, max: 30 }), fc.integer({ min: 1, max: FILE_BLOCKS })),
  core: fc.integer({ min: 0, max: 2 }),
  // 1: one edit; more: every n-th block, to fragment the file.
  step: fc.constantFrom(1, 1, 2, 7)
})

function editsOf(each: Op, nextBlock: () => number): BlockEdit[] {
  const core = CORES[each.core] ?? OWN
  if (each.step === 1) {
    const coreBlock = nextBlock()
    for (let i = 1; i < each.count; i++) nextBlock()
    return [{ fileBlock: each.fileBlock, count: each.count, core, coreBlock }]
  }
  const edits: BlockEdit[] = []
  for (let i = 0; i < Math.min(each.count, 200); i++) {
    edits.push({
      fileBlock: each.fileBlock + i * each.step,
      count: 1,
      core,
      coreBlock: nextBlock()
    })
  }
  return edits
}

function modelOf(map: ContentMap, to: number): Model {
  const model: Model = new Map()
  let next = 0
  for (const segment of lookup(map, 0, to)) {
    assert.strictEqual(segment.fileBlock, next)
    assert(segment.count > 0)
    assert(segment.type !== 'leaf')
    next += segment.count
    if (segment.type === 'hole') continue
    for (let i = 0; i < segment.count; i++) {
      model.set(segment.fileBlock + i, `${segment.core[0]}/${segment.coreBlock + i}`)
    }
  }
  assert.strictEqual(next, to)
  return model
}

function contentBlocks(model: Model, core: Buffer): Set<string> {
  return new Set([...model.values()].filter((text) => text.startsWith(`${core[0]}/`)))
}

/** Applies one operation to map and model; returns the new map, stored and read back. */
function apply(map: ContentMap, model: Model, each: Op, world: World): ContentMap {
  const { leaves } = world
  const end = each.fileBlock + each.count * each.step
  const before = leaves.load(map, each.fileBlock, each.type === 'cut' ? Infinity : end)
  const old = new Map(model)
  let edited: ContentMap
  if (each.type === 'write') {
    const edits = editsOf(each, world.nextBlock)
    edited = replaceBlocks(before, edits)
    for (const edit of edits) {
      for (let i = 0; i < edit.count; i++) {
        model.set(edit.fileBlock + i, `${edit.core[0]}/${edit.coreBlock + i}`)
      }
    }
  } else {
    const to = each.type === 'cut' ? Infinity : each.fileBlock + each.count
    edited =
      each.type === 'cut'
        ? cutAt(before, each.fileBlock * BLOCK_BYTES)
        : punch(before, each.fileBlock, to)
    for (const block of model.keys()) if (block >= each.fileBlock && block < to) model.delete(block)
  }
  const { stored, bytes } = leaves.store(edited)
  for (const core of CORES) {
    const gone = superseded(before, stored, core).flatMap((range) =>
      Array.from({ length: range.count }, (_, i) => `${core[0]}/${range.coreBlock + i}`)
    )
    const expected = contentBlocks(old, core)
    for (const text of contentBlocks(model, core)) expected.delete(text)
    assert.deepStrictEqual(new Set(gone), expected)
  }
  for (const range of superseded(before, stored, OWN)) {
    for (let i = 0; i < range.count; i++) assert(leaves.blocks.delete(range.coreBlock + i))
  }
  const decoded = decodeMap(bytes)
  assert.deepStrictEqual(encodeMap(decoded), bytes)
  return decoded
}

interface World {
  readonly leaves: Leaves
  readonly nextBlock: () => number
}

t.test('a map edited at random names the blocks that a plain array has', async () => {
  fc.assert(
    fc.property(fc.array(op, { minLength: 1, maxLength: 12 }), (ops) => {
      let last = 0
      const world = { leaves: new Leaves(), nextBlock: () => last++ }
      const model: Model = new Map()
      let map = EMPTY_MAP
      for (const each of ops) {
        map = apply(map, model, each, world)
        const whole = world.leaves.load(map, 0, Infinity)
        const entries = [...modelOf(whole, 10 * FILE_BLOCKS)]
        assert.deepStrictEqual(
          new Map(entries.sort(([a], [b]) => a - b)),
          new Map([...model].sort(([a], [b]) => a - b))
        )
        assert.strictEqual(mappedBlocks(whole), model.size)
      }
      // All leaves that are left are named by the map: none leaks.
      const named = new Set(
        blocksIn(map, OWN).flatMap((r) =>
          Array.from({ length: r.count }, (_, i) => r.coreBlock + i)
        )
      )
      assert.deepStrictEqual(new Set(world.leaves.blocks.keys()), named)
    }),
    { numRuns: 100 }
  )
})

t.test(
  'an edit in a fragmented file of 10 GiB costs one leaf and a root below 2 KiB',
  async (t) => {
    const blocks = blocksOf(10 * 2 ** 30)
    const edits = Array.from({ length: blocks }, (_, i) => ({
      fileBlock: i,
      count: 1,
      core: OWN,
      // Neighbours in the file are never neighbours in the core.
      coreBlock: ((i * 7919) % blocks) * 2
    }))
    const leaves = new Leaves()
    const map = decodeMap(leaves.store(replaceBlocks(EMPTY_MAP, edits)).bytes)
    t.equal(map.leaves.length, blocks / LEAF_SPAN_BLOCKS)
    const at = 100_000
    const loaded = leaves.load(map, at, at + 1)
    const core = OWN
    const edited = replaceBlocks(loaded, [{ fileBlock: at, count: 1, core, coreBlock: 400_000 }])
    const plan = planLeaves(edited)
    t.equal(plan.length, 1)
    t.ok(
      (plan[0]?.bytes.byteLength ?? Infinity) < 20_000,
      `leaf ${plan[0]?.bytes.byteLength} bytes`
    )
    const { stored, bytes } = leaves.store(edited)
    t.ok(bytes.byteLength < 2048, `root ${bytes.byteLength} bytes`)
    t.same(
      superseded(loaded, stored, OWN).map((range) => range.count),
      [1, 1],
      'the block and its old leaf are free'
    )
  }
)

t.test('the worst map of 1 TiB has a root below 96 KiB and leaves below 64 KiB', async (t) => {
  const worst = Array.from({ length: LEAF_SPAN_BLOCKS }, (_, i) => ({
    fileBlock: i,
    count: 1,
    core: i % 2 === 0 ? OWN : Buffer.alloc(32, (i % 200) + 20),
    coreBlock: (i % 2) * 2 ** 40 + i * 2
  }))
  const [plan] = planLeaves(replaceBlocks(EMPTY_MAP, worst))
  t.ok(plan && plan.bytes.byteLength <= BLOCK_BYTES, `leaf ${plan?.bytes.byteLength} bytes`)
  const refs = Array.from({ length: 2 ** 24 / LEAF_SPAN_BLOCKS }, (_, i) => ({
    fileBlock: i * LEAF_SPAN_BLOCKS,
    core: 0,
    coreBlock: ((i * 7919) % 8192) * 100_000,
    runCount: LEAF_SPAN_BLOCKS
  }))
  const root = encodeMap({ cores: [OWN], runs: [], leaves: refs, loaded: [] })
  t.ok(root.byteLength < 96 * 1024, `root ${root.byteLength} bytes`)
  t.equal(decodeMap(root).leaves.length, refs.length)
})

t.test('a file written in one go has one run, however long', async (t) => {
  const edits = Array.from({ length: 1000 }, (_, i) => ({
    fileBlock: i * 16,
    count: 16,
    core: OWN,
    coreBlock: 5 + i * 16
  }))
  const map = replaceBlocks(EMPTY_MAP, edits)
  t.same(map.runs, [{ fileBlock: 0, count: 16_000, core: 0, coreBlock: 5 }])
  t.equal(encodeMap(map).byteLength, 3 + 32 + 6)
})

t.test('an edit in a span whose leaf is not loaded is refused', async (t) => {
  const leaf = { fileBlock: 0, core: 0, coreBlock: 1, runCount: 70 }
  const map = { cores: [OWN], runs: [], leaves: [leaf], loaded: [] }
  t.throws(() => punch(map, 5, 6), { code: 'ERR_ASSERTION' })
  t.same(punch(map, 0, LEAF_SPAN_BLOCKS).leaves, [], 'one that goes as a whole need not be')
})
