/**
 * The POSIX suite (`suite.py`): hundreds of small cases about what each system call promises, run
 * by one child process on the target. `PCFS_TEST_TARGET=disk` runs it on the disk's own file
 * system, which is how the suite itself is checked.
 */
import { join } from 'node:path'
import t from 'tap'
import { describe, run } from '../support/process.js'
import { targetUnderTest } from '../support/target.js'
import { root } from '../support/workspace.js'

interface Row {
  readonly name: string
  readonly ok: boolean
  readonly message: string | undefined
  readonly skip: string | undefined
}

t.setTimeout(580_000)
function parseRow(line: string): Row {
  const value: unknown = JSON.parse(line)
  if (typeof value !== 'object' || value === null) throw new Error(`not a row: ${line}`)
  const fields = new Map<string, unknown>(Object.entries(value))
  const text = (key: string): string | undefined => {
    const field = fields.get(key)
    return typeof field === 'string' ? field : undefined
  }
  const name = text('name') ?? line
  return { name, ok: fields.get('ok') === true, message: text('message'), skip: text('skip') }
}

const target = targetUnderTest()
t.teardown(() => target.stop())
await target.start()
const result = await run(
  '/usr/bin/python3',
  ['-B', join(root, 'test', 'posix', 'suite.py'), target.dir],
  { timeoutMs: 560_000, onStuck: () => target.abort() }
)
const rows: Row[] = result.stdout
  .split('\n')
  .filter((line) => line !== '')
  .map(parseRow)

for (const row of rows) {
  if (row.skip === undefined) t.ok(row.ok, row.name, row.ok ? {} : { why: row.message })
  else t.pass(row.name, { skip: row.skip })
}
t.ok(rows.length >= 700, `the suite ran to its end on ${target.name} (${rows.length} cases)`, {
  how: describe(result)
})
