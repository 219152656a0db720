/**
 * Real applications on the mount, each a shell script of this folder that checks its results. All
 * run on one mount one after the other, in folders of their own.
 */
import { readFileSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { describe, must, run } from '../support/process.js'
import { targetUnderTest } from '../support/target.js'
import { makeTempFolder, root } from '../support/workspace.js'

const SCRIPT_TIMEOUT_MS = 180_000

const folder = join(root, 'test', 'apps')
const only = process.env['PCFS_TEST_ONLY'] ?? ''
const scripts = readdirSync(folder).filter(
  (name) => name.endsWith('.sh') && name !== 'lib.sh' && name.includes(only)
)
const target = targetUnderTest()
t.setTimeout(600_000)
t.teardown(() => target.stop())
await target.start()

for (const script of scripts) {
  const file = join(folder, script)
  const title = /^# title: (.*)$/m.exec(readFileSync(file, 'utf8'))?.[1] ?? script
  await t.test(title, { timeout: SCRIPT_TIMEOUT_MS + 60_000 }, async (tt) => {
    using temp = makeTempFolder('apps')
    const work = join(target.dir, script)
    const onStuck = (): Promise<void> => target.abort()
    await must('mkdir', [work], { onStuck })
    const env = { M: work, T: temp.path, PROJECT: root }
    const result = await run('bash', [file], { env, timeoutMs: SCRIPT_TIMEOUT_MS, onStuck })
    tt.equal(result.code, 0, `${script} on ${target.name}: ${describe(result)}`)
    await run('rm', ['-rf', work], { onStuck })
    tt.comment(`${script} took ${Math.round(result.ms)} ms`)
  })
}
t.ok(scripts.length > 0, 'there are application tests')
