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

await test('what is dead between live blocks leaves the disk when it is a third', async (t) => {
  await withHome(async ({ generation }) => {
    const files: Buffer[] = []
    for (let at = 0; at < 40; at++) {
      const [file] = await generation.ingest([wholeFile(noise(MIB, at + 1))])
      if (file) files.push(file.map)
    }
    const clear = async (wanted: (at: number) => boolean): Promise<void> => {
      for (const [at, map] of files.entries()) {
        if (wanted(at)) await generation.clear(await generation.runsOf(map))
      }
    }
    await clear((at) => at % 4 === 0)
    t.equal(await generation.compact(), true)
    const quarter = await generation.space()
    t.ok(quarter.reclaimableBytes > 8 * MIB, 'a quarter stays for now')
    t.equal(await generation.compact(), false, 'and is not tried again')

    await clear((at) => at % 4 === 1)
    t.equal(await generation.compact(), true)
    const half = await generation.space()
    t.equal(half.reclaimableBytes, 0)
    t.ok(half.diskBytes < 20 * MIB + OVERHEAD, `${half.diskBytes} bytes`)
    for (const [at, map] of files.entries()) {
      if (at % 4 < 2) continue
      t.ok((await contentOf(generation, map, MIB)).equals(noise(MIB, at + 1)))
    }
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

await test('a record that is committed 600 times does not grow the disk for ever', async (t) => {
  await withHome(async ({ generation }) => {
    const nodes = Array.from({ length: 500 }, (_, n) => ({
      id: nodeOf(n),
      record: noise(180, n + 1)
    }))
    await generation.commit({ nodes, dirents: [] })
    const small = (await generation.space()).heldBytes
    let keepFrom = 0
    for (let round = 0; round < 600; round++) {
      const record = noise(180, 10_000 + round)
      const version = await generation.commit({ nodes: [{ id: nodeOf(77), record }], dirents: [] })
      if (round === 500) keepFrom = version
    }
    const before = await recordsOf(generation)
    const atKept = await recordsOf(generation, keepFrom)
    const grown = (await generation.space()).heldBytes
    t.ok(grown > small + 600 * 200)

    t.ok((await generation.sweepRecords({ keepFrom, isForced: true })) > 450)
    const swept = (await generation.space()).heldBytes
    t.ok(swept < small + 200 * 500, `${swept} bytes of ${grown}, ${small} at first`)
    t.equal(await generation.sweepRecords({ keepFrom, isForced: true }), 0)
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

await test('a sweep is made after enough changes, measured by what is held', async (t) => {
  await withHome(async ({ generation }) => {
    const sweep = (): Promise<number> => {
      return generation.sweepRecords({ keepFrom: generation.info().dbLength })
    }
    const commit = async (round: number): Promise<void> => {
      const record = Buffer.from(`round ${round}`)
      const nodes = Array.from({ length: 5000 }, (_, n) => ({ id: nodeOf(n), record }))
      await generation.commit({ nodes, dirents: [] })
    }
    t.equal(await sweep(), 0)
    await commit(0)
    await commit(1)
    t.equal(await sweep(), 5000)
    t.equal(await sweep(), 0)
    await commit(2)
    t.equal(await sweep(), 0, 'not enough yet')
    await commit(3)
    t.equal(await sweep(), 10_000)
  })
})
