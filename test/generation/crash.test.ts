import { writeKeyring } from '../../src/keys/keyring.js'
import { nodeOf } from './crash-support.js'
import { type Home, closeHome, contentOf, newHome, noise, openHome, wholeFile } from './support.js'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type Test, test } from 'tap'

const CHILD = fileURLToPath(new URL('./crash-child.js', import.meta.url))

/** Runs the child until it kills itself; how many files it said were committed. */
async function crash(directory: string, point: string, passes: number): Promise<number> {
  const child = spawn(process.execPath, [CHILD, directory, point, String(passes)], {
    stdio: ['ignore', 'pipe', 'inherit']
  })
  let told = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    told += text
  })
  const timer = setTimeout(() => child.kill('SIGKILL'), 30_000)
  await once(child, 'close')
  clearTimeout(timer)
  const last = [...told.matchAll(/committed (\d+)/g)].at(-1)
  return Number(last?.[1] ?? 0)
}

async function checkFiles(t: Test, home: Home, committed: number): Promise<number> {
  let found = 0
  for await (const { id, record } of home.generation.scanNodes()) {
    const size = found * 10_000 + 1
    if (id !== nodeOf(found)) t.fail('a node is missing')
    const content = await contentOf(home.generation, record, size)
    if (!content.equals(noise(size, found))) t.fail(`file ${found} differs`)
    found++
  }
  t.ok(found >= committed, `${found} files, ${committed} were committed`)
  t.equal(found % 3, 0, 'a commit is there as a whole or not at all')
  return found
}

for (const point of ['ingest.blocks', 'ingest.records', 'ingest.barrier']) {
  await test(`a process killed at ${point} loses nothing that it committed`, async (t) => {
    const { directory, keyring } = await newHome()
    t.teardown(() => rm(directory, { recursive: true, force: true }))
    await writeKeyring(join(directory, 'keyring'), keyring)
    for (const passes of [0, 2, 7]) {
      const committed = await crash(directory, point, passes)
      const home = await openHome(directory, keyring)
      const found = await checkFiles(t, home, committed)

      const used = new Set<number>()
      for await (const { record } of home.generation.scanNodes()) {
        for (const { block, count } of await home.generation.runsOf(record)) {
          for (let i = 0; i < count; i++) used.add(block + i)
        }
      }
      const orphans = home.generation.info().blobsLength - used.size
      const isReferenced = (block: number): boolean => used.has(block)
      const cleared = await home.generation.reclaimOrphans(0, isReferenced)
      t.ok(cleared <= orphans)
      t.equal(await home.generation.reclaimOrphans(0, isReferenced), 0)
      await checkFiles(t, home, found)
      const [again] = await home.generation.ingest([wholeFile(noise(100, 1))])
      t.ok(again)
      await closeHome(home)
    }
  })
}
