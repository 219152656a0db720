/**
 * The long runs that are too slow for every change: hundreds of crashes and power losses, hours of
 * the exerciser. `node dist/test/soak/soak.js [HOURS]` (default 1) goes through the suites again
 * and again with new seeds until the time is over, and stops at the first failure, whose seed is in
 * the output.
 */
import { join } from 'node:path'
import { run } from '../support/process.js'
import { root } from '../support/workspace.js'

const HOUR_MS = 3_600_000
/** A million histories take the better part of an hour on two cores. */
const SUITE_MS = 3 * HOUR_MS

/** Each suite with the environment that makes it long. */
/** Other histories each time; printed, so that a red run can be repeated. */
const seed = String(Math.floor(Math.random() * 2 ** 31))
console.error(`seed ${seed}`)

const SUITES: readonly { readonly file: string; readonly env: Readonly<Record<string, string>> }[] =
  [
    { file: 'crash/crash', env: { PCFS_CRASH_ROUNDS: '200', PCFS_CRASH_SECONDS: '900' } },
    { file: 'crash/power-loss', env: { PCFS_POWER_ROUNDS: '60', PCFS_POWER_SECONDS: '600' } },
    {
      file: 'crash/power-loss',
      env: { PCFS_POWER_ROUNDS: '60', PCFS_POWER_SECONDS: '600', PCFS_POWER_DISK: 'xfs' }
    },
    { file: 'posix/stress', env: { PCFS_EXERCISE_SECONDS: '120' } },
    { file: 'format/convergence', env: { PCFS_MERGE_RUNS: '1000000', PCFS_MERGE_SEED: seed } },
    { file: 'format/delta', env: { PCFS_DELTA_RUNS: '10000', PCFS_MERGE_SEED: seed } },
    {
      file: 'vfs/model',
      env: { PCFS_MODEL_SEED: seed, PCFS_MODEL_RUNS: '10000', PCFS_MODEL_SECONDS: '1200' }
    },
    { file: 'vfs/mounted-model', env: { PCFS_MODEL_SEED: seed, PCFS_MODEL_MOUNTED: '5000' } },
    { file: 'space/space', env: { PCFS_SPACE_REWRITES: '200', PCFS_SPACE_SECONDS: '600' } },
    {
      file: 'devices/converge',
      env: { PCFS_DEVICES: '6', PCFS_DEVICES_SECONDS: '900', PCFS_DEVICES_SEED: seed }
    },
    { file: 'hang/hang', env: {} },
    { file: 'apps/apps', env: {} }
  ]

const end = Date.now() + Number(process.argv[2] ?? 1) * HOUR_MS
for (let round = 1; Date.now() < end; round++) {
  for (const { file, env } of SUITES) {
    const program = join(root, 'dist', 'test', `${file}.test.js`)
    const result = await run('node', [program], { env, timeoutMs: SUITE_MS })
    const minutes = (result.ms / 60_000).toFixed(1)
    console.log(`round ${round}: ${file} ${result.code === 0 ? 'ok' : 'FAILED'} (${minutes} min)`)
    if (result.code === 0) continue
    console.log(`${result.stdout}\n${result.stderr}`)
    process.exit(1)
  }
}
