/**
 * A file manager (PCManFM on a virtual screen) lists, opens, copies in and trashes files on the
 * mount, and its thumbnails do no harm; `session.sh` does it and checks the files. With
 * PCFS_TEST_SHOTS set to a folder the screenshots are kept there, to be looked at.
 */
import { cpSync, mkdirSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { describe, must, run } from '../support/process.js'
import { targetUnderTest } from '../support/target.js'
import { makeTempFolder, root } from '../support/workspace.js'

const PROGRAMS = ['Xvfb', 'pcmanfm', 'xdotool', 'import', 'dbus-run-session']

t.setTimeout(240_000)
const missing: string[] = []
for (const program of PROGRAMS) {
  if ((await run('which', [program])).code !== 0) missing.push(program)
}
if (missing.length > 0) {
  t.pass('a desktop works on the mount', { skip: `not installed: ${missing.join(', ')}` })
} else {
  const target = targetUnderTest()
  using temp = makeTempFolder('desktop')
  t.teardown(() => target.stop())
  await target.start()
  const onStuck = (): Promise<void> => target.abort()
  const script = join(root, 'test', 'desktop', 'session.sh')
  const env = { M: target.dir, T: temp.path, SCREEN: String(100 + (process.pid % 800)) }
  const options = { env, timeoutMs: 150_000, onStuck }
  const result = await run('dbus-run-session', ['--', 'bash', script], options)
  const shots = process.env['PCFS_TEST_SHOTS']
  if (shots !== undefined) {
    mkdirSync(shots, { recursive: true })
    cpSync(temp.path, shots, { recursive: true, filter: (path) => !/\/(run|home)$/.test(path) })
  }
  t.equal(result.code, 0, `a desktop works on the mount: ${describe(result)}`)
  await must('sync', ['-f', target.dir], { onStuck })
}
