import { deepEqual, equal, throws } from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { test } from 'tap'
import { FakeKernel } from './fake-kernel.js'
import { readSegment } from './journal-reader.js'

const child = fileURLToPath(new URL('fault-child.js', import.meta.url))
const [WRITE, MARK, BIND] = [1, 5, 6]

/** What is in the journal and the local file after dying at a point for the second time. */
const expected: readonly (readonly [string, readonly number[], string])[] = [
  ['write.data', [BIND, WRITE, MARK], 'two'],
  ['write.journal', [BIND, WRITE, MARK, WRITE], 'two'],
  ['sync.data', [BIND, WRITE, MARK, WRITE], 'two'],
  ['sync.mark', [BIND, WRITE, MARK, WRITE, MARK], 'two'],
  ['sync.done', [BIND, WRITE, MARK, WRITE, MARK], 'two']
]

for (const [point, types, content] of expected)
  await test(`killed at ${point}: the journal holds all that was answered`, async (t) => {
    const directory = mkdtempSync(join(tmpdir(), 'pcfs-fault-'))
    t.teardown(() => rmSync(directory, { recursive: true }))
    const ran = spawnSync(process.execPath, [child, point, directory], { timeout: 20_000 })
    equal(ran.signal, 'SIGKILL', ran.stderr.toString())
    deepEqual(
      readSegment(join(directory, 'journal')).entries.map((entry) => entry.type),
      types
    )
    equal(readFileSync(join(directory, 'file'), 'utf8'), content)
  })

await test('an unknown fault point is refused', async (t) => {
  const kernel = new FakeKernel(t)
  throws(() => kernel.session.setFault('no.such', 1), { code: 'EINVAL' })
  kernel.session.setFault('write.data', 0)
})
