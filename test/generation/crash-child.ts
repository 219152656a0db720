/**
 * Writes for ever and dies by SIGKILL at the n-th pass of a fault point. Tells on stdout, one line
 * each, what was acknowledged: `committed N`, `durable N` (files 0 to N - 1).
 *
 * Arguments: directory, fault point, how many times it may be passed.
 */
import { openKeyring } from '../../src/keys/keyring.js'
import { noise, openHome, wholeFile } from './support.js'
import { nodeOf } from './crash-support.js'
import { writeSync } from 'node:fs'
import { join } from 'node:path'

const [directory, point, passes] = process.argv.slice(2)
if (directory === undefined || point === undefined) throw new Error('arguments: see the head')

let left = Number(passes)
const keyring = await openKeyring(join(directory, 'keyring'))
const home = await openHome(directory, keyring, (name) => {
  if (name === point && left-- === 0) process.kill(process.pid, 'SIGKILL')
})
const { generation } = home
for (let file = 0; ; file += 3) {
  const seeds = [file, file + 1, file + 2]
  const results = await generation.ingest(
    seeds.map((seed) => wholeFile(noise(seed * 10_000 + 1, seed)))
  )
  await generation.commit({
    nodes: results.map(({ map }, at) => ({ id: nodeOf(file + at), record: map })),
    dirents: []
  })
  writeSync(1, `committed ${file + 3}\n`)
  await generation.barrier()
  writeSync(1, `durable ${file + 3}\n`)
}
