/**
 * Records as no sound device writes them, in any combination: directories with several links,
 * files that others claim to be in, parents that nobody knows, copies with records of their own.
 * The merge has to make one tree of them too, and the incremental one the same.
 */
import assert from 'node:assert'
import fc from 'fast-check'
import type { DataVersion, NodeRecord, Place, PlaceVersion } from '../../src/format/record.js'
import {
  type Dot,
  type LinkId,
  type NodeId,
  compareLinks,
  derivedId
} from '../../src/format/ids.js'
import { ROOT_ID, linkIdOf, sequentialId, toGenerationNumber } from '../../src/format/ids.js'
import { contentOf, deviceOptions } from './drive-model.js'
import { MemoryState } from './memory-state.js'
import { whole } from './check-delta.js'
import { byWinner } from '../../src/format/register.js'
import { withDot } from '../../src/format/vector.js'

const GENERATIONS = [1, 2, 3].map(toGenerationNumber)
const PLAIN = [1, 2, 3, 4, 5, 6].map((counter) => sequentialId(toGenerationNumber(1), counter))
const POOL: readonly NodeId[] = [
  ROOT_ID,
  ...PLAIN,
  ...PLAIN.slice(0, 3).map((node) =>
    derivedId(node, { generation: toGenerationNumber(1), counter: 1 })
  )
]
const NAMES = ['a', 'b', 'a-wal', 'b-wal', 'a-wal-wal', 'a (conflict, d1, 1970-01-01, 0000)'].map(
  (name) => Buffer.from(name)
)

const place: fc.Arbitrary<Place> = fc.record({
  parent: fc.oneof(fc.constant(ROOT_ID), fc.constantFrom(...POOL)),
  name: fc.constantFrom(...NAMES)
})

function head(dot: Dot, stamp: bigint): Omit<DataVersion, 'contentDot' | 'mtimeNs' | 'content'> {
  return { dot, vector: withDot([], dot), stamp, atNs: 0n, unknown: null }
}

function register<T>(
  version: (dot: Dot, stamp: bigint) => fc.Arbitrary<T & { dot: Dot; stamp: bigint }>,
  minLength: number
): fc.Arbitrary<readonly (T & { dot: Dot; stamp: bigint })[]> {
  const one = (generation: number): fc.Arbitrary<T & { dot: Dot; stamp: bigint }> =>
    fc
      .tuple(fc.integer({ min: 1, max: 3 }), fc.bigInt({ min: 1n, max: 4n }))
      .chain(([counter, stamp]) =>
        version({ generation: toGenerationNumber(generation), counter }, stamp)
      )
  const few = { weight: 4, arbitrary: fc.subarray(GENERATIONS, { minLength, maxLength: 1 }) }
  return fc
    .oneof(few, { weight: 1, arbitrary: fc.subarray(GENERATIONS, { minLength: 1 }) })
    .chain((generations) => fc.tuple(...generations.map(one)))
    .map((versions) => [...versions].sort(byWinner))
}

const placeRegister = register<PlaceVersion>(
  (dot, stamp) =>
    fc
      .record({
        at: place,
        prev: fc.option(place, { freq: 2 }),
        isDeleted: fc.nat(4),
        isSeen: fc.boolean()
      })
      .map(({ at, prev, isDeleted, isSeen }) => ({
        ...head(dot, stamp),
        ...at,
        prev,
        deleted: isDeleted === 0,
        seen: isSeen && isDeleted === 0 ? { data: [1, 2, 2, 3], attr: [1, 9, 2, 9, 3, 9] } : null
      })),
  1
)

const links: fc.Arbitrary<ReadonlyMap<LinkId, readonly PlaceVersion[]>> = fc
  .array(fc.tuple(fc.constantFrom(...GENERATIONS), placeRegister), { minLength: 1, maxLength: 2 })
  .map((found) => {
    const made = found.map(([generation, versions]) => {
      return [linkIdOf({ generation, counter: 1 }), versions] as const
    })
    return new Map(made.sort(([a], [b]) => compareLinks(a, b)))
  })

const wildRecord: fc.Arbitrary<NodeRecord> = fc.record({
  kind: fc.constantFrom('dir', 'dir', 'file', 'file', 'symlink'),
  rdev: fc.constant(0),
  bornNs: fc.constant(0n),
  places: links,
  data: register<DataVersion>(
    (dot, stamp) =>
      fc.nat(2).map((content) => ({
        ...head(dot, stamp),
        contentDot: dot,
        mtimeNs: 0n,
        content: contentOf(content)
      })),
    0
  ),
  attr: fc.constant([]),
  unknownSections: fc.constant(new Map())
})

/** Batches of records that replace others, or forget them. */
export const wildBatches = fc.array(
  fc.array(fc.tuple(fc.constantFrom(...POOL), fc.option(wildRecord, { freq: 8 })), {
    minLength: 1,
    maxLength: 6
  }),
  { minLength: 1, maxLength: 8 }
)

/** After every batch the state is the tree of all records, and what they make at once. */
export function checkWild(batches: readonly (readonly [NodeId, NodeRecord | null])[][]): void {
  const state = new MemoryState()
  for (const batch of batches) {
    state.replace(new Map(batch), deviceOptions)
    assert.deepStrictEqual(state.tree(), whole(state))
  }
  const atOnce = new MemoryState()
  atOnce.replace(state.records, deviceOptions)
  assert.deepStrictEqual(state.tables(), atOnce.tables())
}
