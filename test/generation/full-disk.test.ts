import { BLOCK, closeHome, contentOf, newHome, noise, openHome, wholeFile } from './support.js'
import { nodeOf } from './crash-support.js'
import { spawnSync } from 'node:child_process'
import { rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { test } from 'tap'

const MIB = 1024 * 1024

const isRoot = process.geteuid?.() === 0

await test(
  'a full disk is ENOSPC, loses nothing, and the store goes on when there is space again',
  { skip: isRoot ? false : 'a small disk takes root to mount' },
  async (t) => {
    const { directory, keyring } = await newHome()
    const mounted = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=64m', 'tmpfs', directory])
    t.equal(mounted.status, 0)
    t.teardown(async () => {
      spawnSync('umount', ['-l', directory])
      await rm(directory, { recursive: true, force: true })
    })
    const ballast = join(directory, 'ballast')
    await writeFile(ballast, Buffer.alloc(24 * MIB))
    const home = await openHome(directory, keyring)
    const { generation } = home
    const maps: Buffer[] = []
    const fill = async (): Promise<void> => {
      for (let file = 0; file < 64; file++) {
        const [result] = await generation.ingest([wholeFile(noise(2 * MIB, file + 1))])
        if (!result) throw new Error('no result')
        await generation.commit({ nodes: [{ id: nodeOf(file), record: result.map }], dirents: [] })
        maps.push(result.map)
      }
    }
    await t.rejects(fill(), { code: 'ENOSPC' })
    t.ok(maps.length > 2)
    await rm(ballast)
    // RocksDB looks for space by itself, every few seconds.
    const deadline = Date.now() + 30_000
    const retry = async (): Promise<void> => {
      for (;;) {
        try {
          await generation.ingest([wholeFile(noise(BLOCK, 99))])
          await generation.commit({ nodes: [{ id: nodeOf(99), record: noise(9, 1) }], dirents: [] })
          await generation.barrier()
          return
        } catch (error) {
          if (Date.now() > deadline) throw error
          await setTimeout(500)
        }
      }
    }
    await t.resolves(retry())
    for (const [file, map] of maps.entries()) {
      t.ok((await generation.getNode(nodeOf(file)))?.equals(map))
      t.ok((await contentOf(generation, map, 2 * MIB)).equals(noise(2 * MIB, file + 1)))
    }
    await closeHome(home)
  }
)
