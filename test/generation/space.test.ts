import type { Generation } from '../../src/generation/generation.js'
import { nodeOf } from './crash-support.js'
import { BLOCK, contentOf, noise, wholeFile, withHome } from './support.js'
import { test } from 'tap'

const MIB = 1024 * 1024

/** RocksDB keeps room for its log (16 MiB memtables) and some for its tables. */
const OVERHEAD = 24 * MIB

async function recordsOf(generation: Generation, version?: number): Promise<string[]> {
  const found: string[] = []
  for await (const { record } of generation.scanNodes(version === undefined ? {} : { version })) {
    found.push(record.toString('hex').slice(0, 16))
  }
  return found
}

await test('the disk shrinks when superseded blocks are cleared and compacted', async (t) => {
  await withHome(async ({ generation }) => {
    const size = 48 * MIB
    const kept = noise(4 * MIB, 1)
    const [first] = await generation.ingest([wholeFile(kept)])
    const [gone] = await generation.ingest([wholeFile(noise(size, 2))])
    if (!first || !gone) throw new Error('no result')
    const runs = await generation.runsOf(gone.map)
    const full = await generation.space()
    t.ok(full.heldBytes > size && full.reclaimableBytes === 0)

    await generation.clear(runs)
    await generation.clear(runs)
    const cleared = await generation.space()
    t.ok(Math.abs(cleared.reclaimableBytes - size) < 0.01 * size, 'counted once')
    t.equal(await generation.compact({ minBytes: 2 * size }), false)
    t.equal(await generation.compact(), true)
    const compacted = await generation.space()
    t.equal(compacted.reclaimableBytes, 0)
    t.ok(compacted.diskBytes < 4 * MIB + OVERHEAD, `${compacted.diskBytes} bytes left`)
    t.ok((await contentOf(generation, first.map, kept.length)).equals(kept))
    t.equal(await generation.compact(), false)
  })
})

await test('a cleared block is ETIMEDOUT when no peer has it, others are read', async (t) => {
  await withHome(async ({ generation }) => {
    const [file] = await generation.ingest([wholeFile(noise(3 * BLOCK, 1))])
    if (!file) throw new Error('no result')
    await generation.clear([{ block: 1, count: 1 }])
    await t.rejects(generation.read(file.map, 0, 3, { timeoutMs: 50 }), { code: 'ETIMEDOUT' })
    const [last] = await generation.read(file.map, 2, 1)
    t.ok(last?.equals(noise(3 * BLOCK, 1).subarray(2 * BLOCK)))
  })
})

await test('orphans of a crash are cleared, what is referenced stays', async (t) => {
  await withHome(async ({ generation }) => {
    const [old] = await generation.ingest([wholeFile(noise(2 * BLOCK, 1))])
    const known = generation.info().blobsLength
    await generation.ingest([wholeFile(noise(3 * BLOCK, 2))])
    const [used] = await generation.ingest([wholeFile(noise(2 * BLOCK, 3))])
    if (!old || !used) throw new Error('no result')
    t.equal(await generation.reclaimOrphans(known, (block) => block >= known + 3), 3)
    t.ok((await contentOf(generation, old.map, 2 * BLOCK)).equals(noise(2 * BLOCK, 1)))
    t.ok((await contentOf(generation, used.map, 2 * BLOCK)).equals(noise(2 * BLOCK, 3)))
  })
})

await test('a record that is committed 2,000 times does not grow the disk for ever', async (t) => {
  await withHome(async ({ generation }) => {
    const nodes = Array.from({ length: 500 }, (_, n) => ({
      id: nodeOf(n),
      record: noise(180, n + 1)
    }))
    await generation.commit({ nodes, dirents: [] })
    const small = (await generation.space()).heldBytes
    let keepFrom = 0
    for (let round = 0; round < 2000; round++) {
      const record = noise(180, 10_000 + round)
      const version = await generation.commit({ nodes: [{ id: nodeOf(77), record }], dirents: [] })
      if (round === 1900) keepFrom = version
    }
    const before = await recordsOf(generation)
    const atKept = await recordsOf(generation, keepFrom)
    const grown = (await generation.space()).heldBytes
    t.ok(grown > small + 2000 * 200)

    t.ok((await generation.sweepRecords({ keepFrom })) > 1800)
    const swept = (await generation.space()).heldBytes
    t.ok(swept < small + 200 * 1000, `${swept} bytes of ${grown}, ${small} at first`)
    t.equal(await generation.sweepRecords({ keepFrom }), 0)
    t.same(await recordsOf(generation), before, 'the head is whole')
    t.same(await recordsOf(generation, keepFrom), atKept, 'and so is the oldest kept version')
    let changes = 0
    for await (const { space } of generation.history({ gte: keepFrom })) {
      if (space === 'node') changes++
    }
    t.equal(changes, 99, 'and the history behind it')
    t.ok(await generation.compact())

    await generation.commit({ nodes: [{ id: nodeOf(499), record: noise(9, 1) }], dirents: [] })
    t.equal((await recordsOf(generation)).length, 500)
  })
})

await test('a sweep is due after enough changes, measured by what is held', async (t) => {
  await withHome(async ({ generation }) => {
    t.equal(await generation.isSweepDue(generation.info().dbLength), false)
    for (let round = 0; round < 3; round++) {
      const nodes = Array.from({ length: 5000 }, (_, n) => ({
        id: nodeOf(n),
        record: Buffer.from(`round ${round}`)
      }))
      await generation.commit({ nodes, dirents: [] })
    }
    const keepFrom = generation.info().dbLength
    t.equal(await generation.isSweepDue(keepFrom), true)
    t.equal(await generation.sweepRecords({ keepFrom }), 10_000)
    t.equal(await generation.isSweepDue(keepFrom), false)
  })
})
