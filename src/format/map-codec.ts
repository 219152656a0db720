/**
 * Bytes of content maps and their leaves: FORMAT.md, "Content map".
 *
 * A leaf covers a *fixed, aligned* span of file blocks, not a number of runs: an edit then touches
 * exactly the leaves of its own blocks (no splits that ripple), two devices that edit different
 * spans keep each other's leaves, and a leaf is bounded by its span: with 2,048 blocks (128 MiB)
 * that are each a run of their own it has 8 to 28 KiB. The span balances leaf and root: a fully
 * fragmented 10 GiB file has 80 leaves (root below 1 KiB), 1 TiB has 8,192 (root below 96 KiB).
 */
import assert from 'node:assert'
import {
  type ContentMap,
  CoreTable,
  INLINE_RUNS,
  LEAF_SPAN_BLOCKS,
  type LeafRef,
  type Run,
  coreOf,
  cutRun,
  pushRun,
  runEnd
} from './content-map.js'
import { Reader, Writer } from './bytes.js'

const TYPE_INLINE = 1
const TYPE_ROOT = 2
const TYPE_LEAF = 3
const CORE_KEY_BYTES = 32
/** File blocks below this keep every sum of the format a safe integer. */
const MAX_BLOCK = 2 ** 48

/** A leaf to append to a blobs core before the map that names it can be encoded. */
export interface LeafPlan {
  /** First file block of its span. */
  readonly fileBlock: number
  /** The leaf block, at most 64 KiB with up to 1,000 cores. */
  readonly bytes: Buffer
}

/** Where the leaves of a plan went. */
export interface LeafHome {
  /** Public key of the blobs core, 32 bytes. */
  readonly core: Buffer
  /** For each leaf of the plan, in its order, its block in that core. */
  readonly coreBlocks: readonly number[]
}

/** How the runs of a map are to be stored. */
interface Layout {
  /** Runs that the root names itself. */
  readonly direct: readonly Run[]
  /** Leaves that are stored already. */
  readonly kept: readonly LeafRef[]
  /** Runs of the leaves to write, each of one span. */
  readonly fresh: readonly (readonly Run[])[]
}

/**
 * The leaves that have to be written before `map` can be encoded: none for a short map, and none
 * for spans whose runs did not change since they were loaded.
 */
export function planLeaves(map: ContentMap): readonly LeafPlan[] {
  return layoutOf(map).fresh.map((runs) => ({
    fileBlock: spanStart(runs[0]?.fileBlock ?? 0),
    bytes: encodeItems(TYPE_LEAF, { ...map, runs, leaves: [] })
  }))
}

/**
 * The map with the planned leaves stored: their runs stay in it, as after `withLeaf`. This is what
 * to encode, and what to compare with by `superseded`.
 * @param home where `planLeaves(map)` went; null when the plan was empty
 */
export function withLeavesStored(map: ContentMap, home: LeafHome | null): ContentMap {
  const layout = layoutOf(map)
  const table = new CoreTable(map.cores)
  const loaded = map.loaded.filter((leaf) => layout.kept.includes(leaf.ref))
  for (const [index, runs] of layout.fresh.entries()) {
    const coreBlock = home?.coreBlocks[index]
    assert(home && coreBlock !== undefined, 'a planned leaf was not stored')
    const fileBlock = spanStart(runs[0]?.fileBlock ?? 0)
    const core = table.indexOf(home.core)
    loaded.push({ ref: { fileBlock, core, coreBlock, runCount: runs.length }, runs })
  }
  return { cores: table.cores, runs: map.runs, leaves: map.leaves, loaded }
}

/**
 * The bytes of a map: inline, or a root that names leaves. Equal maps have equal bytes.
 * @throws {AssertionError} when `planLeaves(map)` is not empty
 */
export function encodeMap(map: ContentMap): Buffer {
  const stored = forgetLeaves(map)
  return encodeItems(stored.leaves.length > 0 ? TYPE_ROOT : TYPE_INLINE, stored)
}

/**
 * The map without the runs of its leaves, as `decodeMap` of its bytes would give it: to bound the
 * memory of an edit that loads many.
 * @throws {AssertionError} when `planLeaves(map)` is not empty
 */
export function forgetLeaves(map: ContentMap): ContentMap {
  const { direct, kept, fresh } = layoutOf(map)
  assert(fresh.length === 0, 'leaves to be stored first')
  return { cores: map.cores, runs: direct, leaves: kept, loaded: [] }
}

/**
 * A map from the bytes in a data version; leaves are not loaded.
 * @throws {FsError} EIO when malformed
 */
export function decodeMap(bytes: Buffer): ContentMap {
  return decodeItems('content map', bytes, [TYPE_INLINE, TYPE_ROOT])
}

/**
 * A map with the runs of one leaf.
 * @throws {FsError} EIO when malformed
 */
export function decodeLeaf(bytes: Buffer): ContentMap {
  return decodeItems('map leaf', bytes, [TYPE_LEAF])
}

function spanStart(fileBlock: number): number {
  return fileBlock - (fileBlock % LEAF_SPAN_BLOCKS)
}

function layoutOf(map: ContentMap): Layout {
  const direct: Run[] = []
  const kept = [...map.leaves]
  const fresh: (readonly Run[])[] = []
  if (map.leaves.length === 0 && map.runs.length <= INLINE_RUNS) {
    return { direct: map.runs, kept, fresh }
  }
  const loaded = new Map(map.loaded.map((leaf) => [leaf.ref.fileBlock, leaf]))
  for (const pieces of spansOf(map.runs)) {
    const first = pieces[0]
    if (!first) continue
    if (pieces.length === 1) {
      pushRun(direct, first)
      continue
    }
    const old = loaded.get(spanStart(first.fileBlock))
    if (old && sameRuns(old.runs, pieces)) kept.push(old.ref)
    else fresh.push(pieces)
  }
  kept.sort((a, b) => a.fileBlock - b.fileBlock)
  return { direct, kept, fresh }
}

/** The runs cut into groups of one span each; a run that fills several spans alone stays whole. */
function* spansOf(runs: readonly Run[]): Generator<readonly Run[]> {
  let group: Run[] = []
  let span = -1
  for (const run of runs) {
    let rest: Run | null = run
    while (rest) {
      const start = spanStart(rest.fileBlock)
      if (start !== span) {
        if (group.length > 0) yield group
        group = []
        span = start
      }
      const wholeSpans = spanStart(runEnd(rest))
      const end: number =
        group.length === 0 && start === rest.fileBlock && wholeSpans > start
          ? wholeSpans
          : start + LEAF_SPAN_BLOCKS
      group.push(cutRun(rest, rest.fileBlock, end))
      rest = runEnd(rest) > end ? cutRun(rest, end, Infinity) : null
    }
  }
  if (group.length > 0) yield group
}

function sameRuns(a: readonly Run[], b: readonly Run[]): boolean {
  return a.length === b.length && a.every((run, index) => sameRun(run, b[index]))
}

function sameRun(a: Run, b: Run | undefined): boolean {
  return (
    a.fileBlock === b?.fileBlock &&
    a.count === b.count &&
    a.core === b.core &&
    a.coreBlock === b.coreBlock
  )
}

/** Runs and leaf references in the order of their file blocks. */
function* itemsOf(map: ContentMap): Generator<Run | LeafRef> {
  let leafAt = 0
  for (const run of map.runs) {
    let leaf = map.leaves[leafAt]
    while (leaf && leaf.fileBlock < run.fileBlock) {
      yield leaf
      leaf = map.leaves[++leafAt]
    }
    yield run
  }
  yield* map.leaves.slice(leafAt)
}

function encodeItems(type: number, map: ContentMap): Buffer {
  // The table in order of first use, so that equal maps are equal bytes.
  const indexes = new Map<number, number>()
  for (const item of itemsOf(map)) {
    if (!indexes.has(item.core)) indexes.set(item.core, indexes.size)
  }
  const writer = new Writer()
  writer.uint(type)
  writer.uint(indexes.size)
  for (const index of indexes.keys()) writer.raw(coreOf(map, index))
  writer.uint(map.runs.length + map.leaves.length)
  // Where each core's next block is expected: a run that continues there costs one byte for it.
  const expected: number[] = []
  let end = 0
  for (const item of itemsOf(map)) {
    const core = indexes.get(item.core) ?? 0
    writer.uint(item.fileBlock - end)
    if ('runCount' in item) {
      writer.uint(0)
      writer.uint(item.runCount)
    } else {
      writer.uint(item.count)
    }
    writer.uint(core)
    writer.int(item.coreBlock - (expected[core] ?? 0))
    expected[core] = item.coreBlock + ('runCount' in item ? 1 : item.count)
    end = item.fileBlock + ('runCount' in item ? LEAF_SPAN_BLOCKS : item.count)
  }
  return writer.finish()
}

function decodeItems(what: string, bytes: Buffer, types: readonly number[]): ContentMap {
  const reader = new Reader(what, bytes)
  const type = reader.uint()
  if (!types.includes(type)) throw reader.error(`unknown type ${type}`)
  const cores: Buffer[] = []
  for (let left = reader.count(CORE_KEY_BYTES); left > 0; left--) {
    cores.push(reader.raw(CORE_KEY_BYTES))
  }
  const runs: Run[] = []
  const leaves: LeafRef[] = []
  const expected = cores.map(() => 0)
  let end = 0
  for (let left = reader.count(4); left > 0; left--) {
    const fileBlock = end + reader.uint()
    const count = reader.uint()
    const runCount = count === 0 ? reader.uint() : 0
    const core = reader.uint()
    const next = expected[core]
    if (next === undefined) throw reader.error('a core that is not in its table')
    const coreBlock = next + reader.int()
    if (fileBlock + count > MAX_BLOCK || coreBlock < 0 || coreBlock + count > MAX_BLOCK) {
      throw reader.error('a block out of bounds')
    }
    if (count > 0) {
      runs.push({ fileBlock, count, core, coreBlock })
    } else if (type === TYPE_ROOT && fileBlock % LEAF_SPAN_BLOCKS === 0) {
      leaves.push({ fileBlock, core, coreBlock, runCount })
    } else {
      throw reader.error('a leaf where none can be')
    }
    expected[core] = coreBlock + Math.max(1, count)
    end = fileBlock + (count || LEAF_SPAN_BLOCKS)
  }
  reader.done()
  return { cores, runs, leaves, loaded: [] }
}
