import { FsError } from '../../src/base/errors.js'
import type { IngestResult } from '../../src/generation/types.js'
import { BLOCK, contentOf, frozenOf, noise, wholeFile, withHome } from './support.js'
import assert from 'node:assert'
import { createHash } from 'node:crypto'
import * as fc from 'fast-check'
import { test } from 'tap'

await test('a whole file comes back byte for byte, with its hash', async (t) => {
  await withHome(async ({ generation }) => {
    const bytes = noise(3 * BLOCK + 777, 1)
    const [result] = await generation.ingest([wholeFile(bytes)])
    t.ok(result)
    if (!result) return
    t.equal(result.appended, 4)
    t.same(result.superseded, [])
    t.ok((await contentOf(generation, result.map, bytes.length)).equals(bytes))
    t.same(result.hash, createHash('sha256').update(bytes).digest())
  })
})

await test('zeros are holes and cost nothing', async (t) => {
  await withHome(async ({ generation }) => {
    const bytes = Buffer.alloc(5 * BLOCK)
    bytes[2 * BLOCK + 5] = 1
    const [result] = await generation.ingest([wholeFile(bytes)])
    t.equal(result?.appended, 1)
    if (!result) return
    const blocks = await generation.read(result.map, 0, 5)
    t.same(
      blocks.map((block) => block === null),
      [true, true, false, true, true]
    )
    t.same(result.hash, createHash('sha256').update(bytes).digest())
  })
})

await test('a sparse file of 1 TiB costs its data, and its holes are not read', async (t) => {
  await withHome(async ({ generation }) => {
    const size = 2 ** 40
    const end = size - 1000
    const frozen = frozenOf([
      { at: 0, bytes: noise(10, 1) },
      { at: 10, hole: end - 10 },
      { at: end, bytes: noise(1000, 2) }
    ])
    const [result] = await generation.ingest([{ base: null, baseEnd: 0, size, frozen }])
    t.equal(result?.appended, 2)
    t.ok(frozen.readBytes <= 2 * BLOCK)
    if (!result) return
    const [last] = await generation.read(result.map, size / BLOCK - 1, 1)
    t.ok(last?.subarray(BLOCK - 1000).equals(noise(1000, 2)))
  })
})

await test('an edit of one block appends one block and supersedes one', async (t) => {
  await withHome(async ({ generation }) => {
    const bytes = noise(10 * BLOCK, 3)
    const [first] = await generation.ingest([wholeFile(bytes)])
    if (!first) throw new Error('no result')
    const patch = noise(100, 4)
    const [second] = await generation.ingest([
      {
        base: first.map,
        baseEnd: bytes.length,
        size: bytes.length,
        frozen: frozenOf([{ at: 4 * BLOCK + 50, bytes: patch }])
      }
    ])
    if (!second) throw new Error('no result')
    patch.copy(bytes, 4 * BLOCK + 50)
    t.equal(second.appended, 1)
    t.same(second.superseded, [{ block: 4, count: 1 }])
    t.equal(second.hash, null)
    t.ok((await contentOf(generation, second.map, bytes.length)).equals(bytes))
  })
})

await test('what lies behind the base end reads as zeros after the file grew again', async (t) => {
  await withHome(async ({ generation }) => {
    const bytes = noise(2 * BLOCK, 5)
    const [first] = await generation.ingest([wholeFile(bytes)])
    if (!first) throw new Error('no result')
    const [grown] = await generation.ingest([
      { base: first.map, baseEnd: 100, size: 2 * BLOCK, frozen: frozenOf([]) }
    ])
    if (!grown) throw new Error('no result')
    const expected = Buffer.alloc(2 * BLOCK)
    bytes.copy(expected, 0, 0, 100)
    t.ok((await contentOf(generation, grown.map, 2 * BLOCK)).equals(expected))
    t.same(grown.superseded, [{ block: 0, count: 2 }])
  })
})

await test('an edit in a fragmented file costs its block, one leaf and a root', async (t) => {
  await withHome(async ({ generation }) => {
    const blocks = 300
    const bytes = noise(blocks * BLOCK, 6)
    const [first] = await generation.ingest([wholeFile(bytes)])
    if (!first) throw new Error('no result')
    const size = bytes.length
    const ofBase = (map: Uint8Array, at: number[]): Promise<IngestResult[]> => {
      const pieces = at.map((block) => ({ at: block * BLOCK + 7, bytes: Buffer.from('edit') }))
      for (const piece of pieces) piece.bytes.copy(bytes, piece.at)
      return generation.ingest([{ base: map, baseEnd: size, size, frozen: frozenOf(pieces) }])
    }
    const third = Array.from({ length: blocks / 3 }, (_, i) => i * 3)
    const [fragmented] = await ofBase(first.map, third)
    if (!fragmented) throw new Error('no result')
    t.equal(fragmented.appended, blocks / 3 + 1, 'the blocks and a leaf')
    t.ok(fragmented.map.length < 100, 'the map is a root')

    const [edited] = await ofBase(fragmented.map, [100])
    if (!edited) throw new Error('no result')
    t.equal(edited.appended, 2, 'the block and its leaf')
    t.equal(blocksOf(edited.superseded).size, 2)
    t.ok((await contentOf(generation, edited.map, size)).equals(bytes))

    const used = blocksOf(await generation.runsOf(edited.map))
    t.equal(used.size, blocks + 1)
    const empty = { base: edited.map, baseEnd: 0, size: 0, frozen: frozenOf([]) }
    const [cut] = await generation.ingest([empty])
    t.same([...blocksOf(cut?.superseded ?? [])].sort(ascending), [...used].sort(ascending))
    t.same(await generation.runsOf(cut?.map ?? Buffer.of()), [])
  })
})

await test('edits far apart and holes over many leaves go in portions', async (t) => {
  await withHome(async ({ generation }) => {
    const size = 2 ** 40
    const span = 2048 * BLOCK
    const at = Array.from({ length: 70 }, (_, i) => [i * 3 * span, (i * 3 * 2048 + 9) * BLOCK + 5])
    const pieces = at.flat().map((offset) => ({ at: offset, bytes: Buffer.from(`at ${offset}`) }))
    const written = { base: null, baseEnd: 0, size, frozen: frozenOf(pieces) }
    const [first] = await generation.ingest([written])
    if (!first) throw new Error('no result')
    t.equal(first.appended, 140 + 70, 'blocks and leaves')
    const from = 5 * 3 * span
    const hole = [{ at: from, hole: 60 * 3 * span }]
    const punched = { base: first.map, baseEnd: size, size, frozen: frozenOf(hole) }
    const [second] = await generation.ingest([punched])
    if (!second) throw new Error('no result')
    t.equal(blocksOf(second.superseded).size, 60 * 3)
    for (const { at: offset, bytes } of pieces) {
      const [block] = await generation.read(second.map, Math.floor(offset / BLOCK), 1)
      const isGone = offset >= from && offset < from + 60 * 3 * span
      const found = block?.subarray(offset % BLOCK, (offset % BLOCK) + bytes.length)
      if (isGone ? block !== null : !found?.equals(bytes)) t.fail(`offset ${offset}`)
    }
    const used = blocksOf(await generation.runsOf(second.map)).size
    t.ok(used >= 20 && used <= 30, `${used} blocks`)
  })
})

await test('an aborted ingest is ECANCELED', async (t) => {
  await withHome(async ({ generation }) => {
    const signal = AbortSignal.abort()
    await t.rejects(generation.ingest([wholeFile(noise(BLOCK, 1))], signal), { code: 'ECANCELED' })
  })
})

await test('a failing frozen reader fails the ingest and the next one works', async (t) => {
  await withHome(async ({ generation }) => {
    const broken = {
      ...wholeFile(noise(BLOCK, 1)),
      frozen: {
        ranges: [{ start: 0, end: BLOCK }],
        read: () => {
          throw new FsError('EIO', 'spool unreadable')
        },
        nextData: () => 0
      }
    }
    await t.rejects(generation.ingest([wholeFile(noise(10, 1)), broken]), { code: 'EIO' })
    const [result] = await generation.ingest([wholeFile(noise(10, 2))])
    t.equal(result?.appended, 1)
  })
})

const extent = fc.record({
  at: fc.nat(6 * BLOCK),
  length: fc.oneof(fc.integer({ min: 1, max: 300 }), fc.integer({ min: 1, max: 3 * BLOCK })),
  isHole: fc.boolean(),
  seed: fc.integer({ min: 1, max: 1000 })
})
const round = fc.record({
  extents: fc.array(extent, { maxLength: 4 }),
  cutTo: fc.option(fc.nat(7 * BLOCK), { nil: null }),
  size: fc.nat(8 * BLOCK)
})

await test('any frozen writes, holes, cuts and growth equal a plain array', async () => {
  await withHome(async ({ generation }) => {
    await fc.assert(
      fc.asyncProperty(fc.array(round, { minLength: 1, maxLength: 4 }), async (rounds) => {
        let content = Buffer.alloc(0)
        let map: Buffer | null = null
        for (const { extents, cutTo, size } of rounds) {
          const baseEnd = Math.min(content.length, cutTo ?? content.length, size)
          const next = Buffer.alloc(size)
          content.copy(next, 0, 0, baseEnd)
          const pieces = []
          let end = 0
          for (const { at, length, isHole, seed } of [...extents].sort((a, b) => a.at - b.at)) {
            const start = Math.max(at, end)
            end = Math.min(start + length, size)
            if (start >= end) break
            const bytes = isHole ? Buffer.alloc(end - start) : noise(end - start, seed)
            bytes.copy(next, start)
            pieces.push(isHole ? { at: start, hole: end - start } : { at: start, bytes })
          }
          const frozen = frozenOf(pieces)
          const [result] = await generation.ingest([{ base: map, baseEnd, size, frozen }])
          assert(result)
          map = result.map
          content = next
          assert((await contentOf(generation, map, size)).equals(content))
          if (result.hash) {
            assert.deepEqual(result.hash, createHash('sha256').update(content).digest())
          }
        }
      }),
      { numRuns: 60 }
    )
  })
})

await test('what is superseded is not in the new map, all else of the base is', async () => {
  await withHome(async ({ generation }) => {
    await fc.assert(
      fc.asyncProperty(fc.array(extent, { minLength: 1, maxLength: 3 }), async (extents) => {
        const bytes = noise(6 * BLOCK, 9)
        const [base] = await generation.ingest([wholeFile(bytes)])
        assert(base)
        let end = 0
        const pieces = []
        for (const { at, length, seed } of [...extents].sort((a, b) => a.at - b.at)) {
          const start = Math.max(at, end)
          end = Math.min(start + length, bytes.length)
          if (start < end) pieces.push({ at: start, bytes: noise(end - start, seed) })
        }
        const request = { base: base.map, baseEnd: bytes.length, size: bytes.length }
        const [edited] = await generation.ingest([{ ...request, frozen: frozenOf(pieces) }])
        assert(edited)
        const before = blocksOf(await generation.runsOf(base.map))
        const after = blocksOf(await generation.runsOf(edited.map))
        const gone = blocksOf(edited.superseded)
        assert.deepEqual(
          [...gone],
          [...before].filter((block) => !after.has(block))
        )
      }),
      { numRuns: 30 }
    )
  })
})

function ascending(a: number, b: number): number {
  return a - b
}

function blocksOf(runs: readonly { block: number; count: number }[]): Set<number> {
  return new Set(
    runs.flatMap(({ block, count }) => Array.from({ length: count }, (_, i) => block + i))
  )
}
