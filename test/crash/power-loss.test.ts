/**
 * Power loss under load: the home's file system forgets everything that was not made durable, then
 * the machine "boots" again. What an fsync had covered is there, the rest is a consistent prefix of
 * what was done, and no more than about a second of it is missing.
 *
 * How: facts about this machine decide. There is no device mapper and no nbd in many kernels, but
 * ext4 and XFS have the shutdown ioctl, which with "no log flush" is a power cut between the page
 * cache and the disk; sync_file_range brings chosen pages to the disk early, out of order. What it
 * cannot show is a disk that lies about flushes. See power-world.ts.
 *
 * PCFS_POWER_ROUNDS (default 12), PCFS_POWER_SECONDS (default 100), PCFS_POWER_SEED,
 * PCFS_POWER_DISK (ext4, xfs; `journal` checks the harness without pcfs).
 */
import { join } from 'node:path'
import t from 'tap'
import { describe, run } from '../support/process.js'
import { makeTempFolder, root } from '../support/workspace.js'

function isRow(value: unknown): value is { readonly problems: unknown } {
  return typeof value === 'object' && value !== null && 'problems' in value
}

const rounds = process.env['PCFS_POWER_ROUNDS'] ?? '12'
const seconds = process.env['PCFS_POWER_SECONDS'] ?? '100'
const seed = process.env['PCFS_POWER_SEED'] ?? String(Date.now() % 1_000_000)
const kind = process.env['PCFS_POWER_DISK'] ?? 'ext4'

t.setTimeout((Number(seconds) + 180) * 1000)
const able = await run('unshare', ['-m', 'true'])
if (able.code !== 0) {
  t.pass('needs root, for loop devices and mount namespaces', { skip: able.stderr })
} else {
  using folder = makeTempFolder('power')
  const program = join(root, 'dist', 'test', 'crash', 'power-main.js')
  const args = ['-m', '--propagation', 'private', 'node', program, folder.path, kind]
  const timeoutMs = (Number(seconds) + 120) * 1000
  const result = await run('unshare', [...args, rounds, seconds, seed], { timeoutMs })
  t.equal(result.code, 0, `the rounds ran to their end: ${describe(result)}`)
  const lines = result.stdout.split('\n').filter((line) => line.startsWith('{'))
  for (const line of lines) {
    const row: unknown = JSON.parse(line)
    const problems = isRow(row) ? row.problems : ['no row']
    t.same(problems, [], `power lost on ${kind}: nothing synced is lost (${line.slice(0, 100)})`)
  }
  t.ok(lines.length > 0, `${lines.length} rounds, first seed ${seed}`)
}
