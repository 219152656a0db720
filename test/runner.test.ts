import { spawn } from 'node:child_process'
import { once } from 'node:events'
import t from 'tap'
import { parseMounts, processesMarked } from './support/leftovers.js'
import { summarize } from './support/tap-summary.js'

t.test('top-level tests are counted, subtests are not', async (t) => {
  const text = 'TAP version 14\n    ok 1 - a\n    1..1\nok 1 - b\nok 2 - c # SKIP no bird\n1..2\n'
  const { passed, failed, skipped } = summarize(text, 'exit 0')
  t.strictSame({ passed, failed, skipped }, { passed: 1, failed: 0, skipped: 1 })
})

t.test('a failure shows its innermost point once', async (t) => {
  const text =
    '    not ok 1 - deep\n      ---\n      found: 1\n      ...\n    1..1\nnot ok 1 - top\n'
  const { failed, failures } = summarize(text, 'exit 1')
  t.equal(failed, 1)
  t.strictSame(failures, ['    not ok 1 - deep\n      ---\n      found: 1\n      ...'])
})

t.test('a file that dies or runs nothing has failed', async (t) => {
  t.match(summarize('ok 1 - a\n', 'SIGKILL'), { failed: 1, failures: [/SIGKILL/] })
  t.match(summarize('', 'exit 0'), { failed: 1, failures: ['ran no test'] })
})

t.test('mount points are read with their escapes', async (t) => {
  t.strictSame(parseMounts('pcfs /tmp/a\\040b fuse.pcfs rw 0 0\n'), [
    { path: '/tmp/a b', type: 'fuse.pcfs' }
  ])
})

t.test('a process is found by its mark', async (t) => {
  const mark = `PCFS_MARK_${process.pid}`
  const child = spawn('sleep', ['30'], { env: { ...process.env, [mark]: 'x' } })
  await once(child, 'spawn')
  t.match(processesMarked(`${mark}=x`), [{ pid: child.pid, command: 'sleep 30' }])
  child.kill()
  await once(child, 'exit')
  t.strictSame(processesMarked(`${mark}=x`), [])
})
