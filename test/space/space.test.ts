// runner: timeout=600
/**
 * What is rewritten all day must not fill the disk: the home stays within what is live, the history
 * budget and the cache; and it shrinks when a large tree is removed and its history is over (which
 * is made to be soon). `npm run soak` makes it 200 rewrites and ten minutes of a database.
 */
import { readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { Pcfs } from '../support/pcfs.js'
import { must, waitFor } from '../support/process.js'
import { makeTempFolder } from '../support/workspace.js'

const MIB = 2 ** 20
const REWRITES = Number(process.env['PCFS_SPACE_REWRITES'] ?? 12)
const DATABASE_SECONDS = Number(process.env['PCFS_SPACE_SECONDS'] ?? 12)
const HISTORY_BYTES = 150 * MIB
const CACHE_BYTES = 64 * MIB
/** Journal segments, index, logs, and what is cleared together before it pays to compact. */
const FIXED_BYTES = 220 * MIB

/** Rewrites a file as a whole again and again, each time with other bytes. */
const REWRITE = `
import os, random, sys
rounds = int(sys.argv[1])
for n in range(rounds):
    with open('large', 'wb') as file:
        for _ in range(100):
            file.write(random.randbytes(1 << 20))
        file.flush()
        os.fsync(file.fileno())
`

/** Updates rows at random for a while, and now and then many in one transaction. */
const DATABASE = `
import random, sqlite3, sys, time
end = time.monotonic() + float(sys.argv[1])
db = sqlite3.connect('data.db')
db.execute('pragma journal_mode = ' + sys.argv[2])
db.execute('create table if not exists t (id integer primary key, body blob)')
with db:
    db.executemany('insert or replace into t values (?, ?)',
                   ((i, random.randbytes(2000)) for i in range(10000)))
commits = 0
while time.monotonic() < end:
    with db:
        for _ in range(20):
            db.execute('update t set body = ? where id = ?',
                       (random.randbytes(2000), random.randrange(10000)))
    commits += 1
print(commits, db.execute('pragma integrity_check').fetchone()[0])
`

function diskBytes(folder: string): number {
  let total = 0
  for (const name of readdirSync(folder, { recursive: true, encoding: 'utf8' })) {
    total += statSync(join(folder, name), { throwIfNoEntry: false })?.blocks ?? 0
  }
  return total * 512
}

async function mounted(t: Test, env: Record<string, string>): Promise<Pcfs> {
  const folder = makeTempFolder('space')
  const pcfs = new Pcfs({ folder: folder.path, env })
  t.teardown(async () => {
    await pcfs.destroy()
    folder[Symbol.dispose]()
  })
  await pcfs.mount()
  return pcfs
}

/** Waits for the work behind a commit; the home's size then. */
async function settledBytes(pcfs: Pcfs, bound: number): Promise<number> {
  const flushed = await pcfs.cli(['flush'], 300_000)
  if (flushed.code !== 0) throw new Error(flushed.stderr)
  await waitFor(() => diskBytes(pcfs.home) <= bound, 60_000)
  return diskBytes(pcfs.home)
}

const BUDGETS = {
  PCFS_HISTORY_BYTES: String(HISTORY_BYTES),
  PCFS_CACHE_BYTES: String(CACHE_BYTES)
}

t.test(
  `a file of 100 MB rewritten ${REWRITES} times stays within the history budget`,
  async (t) => {
    const pcfs = await mounted(t, BUDGETS)
    const onStuck = (): Promise<void> => pcfs.abort()
    const options = { cwd: pcfs.dir, timeoutMs: 3_600_000, onStuck }
    await must('python3', ['-c', REWRITE, String(REWRITES)], options)
    // The disk holds at most half again what is kept before a rewrite of the store pays.
    const bound = 1.5 * (100 * MIB + HISTORY_BYTES) + CACHE_BYTES + FIXED_BYTES
    const bytes = await settledBytes(pcfs, bound)
    t.ok(bytes <= bound, `${Math.round(bytes / MIB)} MiB of ${Math.round(bound / MIB)}`)
    await must('sh', ['-c', 'test "$(stat -c %s large)" = 104857600'], options)
    await pcfs.stop(300_000)
  }
)

for (const mode of ['wal', 'delete']) {
  const title = `an SQLite database (${mode}) updated for ${DATABASE_SECONDS} s does not fill the disk`
  t.test(title, async (t) => {
    const pcfs = await mounted(t, BUDGETS)
    const onStuck = (): Promise<void> => pcfs.abort()
    const options = { cwd: pcfs.dir, timeoutMs: 3_600_000, onStuck }
    const said = await must('python3', ['-c', DATABASE, String(DATABASE_SECONDS), mode], options)
    t.match(said, /^\d+ ok\n$/)
    t.comment(said.trim())
    const bound = 1.5 * (30 * MIB + HISTORY_BYTES) + CACHE_BYTES + FIXED_BYTES
    const bytes = await settledBytes(pcfs, bound)
    t.ok(bytes <= bound, `${Math.round(bytes / MIB)} MiB of ${Math.round(bound / MIB)}`)
    await pcfs.stop(300_000)
  })
}

t.test('the disk shrinks when a large tree is removed and its history is over', async (t) => {
  const env = { ...BUDGETS, PCFS_HISTORY_BYTES: '1e12', PCFS_HISTORY_MS: '1e12' }
  const pcfs = await mounted(t, env)
  const onStuck = (): Promise<void> => pcfs.abort()
  const options = { cwd: pcfs.dir, timeoutMs: 300_000, onStuck }
  const make =
    'for d in $(seq 20); do mkdir -p tree/$d; ' +
    'for f in $(seq 100); do head -c 200000 /dev/urandom > tree/$d/$f; done; done'
  await must('sh', ['-c', `echo kept > kept; ${make}`], options)
  await pcfs.cli(['flush'], 300_000)
  await must('sh', ['-c', 'rm -rf tree'], options)
  await pcfs.cli(['flush'], 300_000)
  await pcfs.stop(300_000)
  t.ok(diskBytes(pcfs.home) > 350 * MIB, 'as long as it is history it is kept')
  pcfs.env['PCFS_HISTORY_MS'] = '0'
  await pcfs.mount()
  await must('sh', ['-c', 'echo new > new'], options)
  const bytes = await settledBytes(pcfs, 150 * MIB)
  t.ok(bytes <= 150 * MIB, `${Math.round(bytes / MIB)} MiB are left`)
  await must('sh', ['-c', 'test "$(cat kept)" = kept'], options)
  await pcfs.stop(300_000)
})
