/**
 * Runs the compiled test files, a bounded number at a time, each in a process and a temporary
 * directory of its own, and prints the totals. A file fails also when it leaves a mount or a
 * process behind. `node dist/test/support/run-tests.js [PATTERN...]` runs the files whose path
 * contains one of the patterns; without a pattern the source is checked first.
 *
 * A file that needs more than the usual time, or the machine for itself, says so in a comment:
 * `// runner: timeout=600 alone`.
 */
import { spawn, spawnSync, type ChildProcess } from 'node:child_process'
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join, relative, resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import {
  killLeft,
  listMounts,
  mountsBelow,
  processesMarked,
  removeMount,
  type MountEntry
} from './leftovers.js'
import { summarize, type TapSummary } from './tap-summary.js'

const ROOT = resolve(import.meta.dirname, '../../..')
const JOBS = 2
const TIMEOUT_S = 600
/** How long what a test started may take to end after the test itself. */
const GRACE_MS = 3000

interface TestFile {
  readonly name: string
  readonly path: string
  readonly index: number
  readonly timeoutS: number
  readonly alone: boolean
}

interface Run {
  readonly id: string
  readonly directory: string
}

interface Totals {
  passed: number
  failed: number
  skipped: number
}

function findFiles(patterns: readonly string[]): TestFile[] {
  const base = join(ROOT, 'dist/test')
  return readdirSync(base, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.test.js'))
    .sort()
    .filter((name) => patterns.length === 0 || patterns.some((pattern) => name.includes(pattern)))
    .map((name, index) => {
      const path = join(base, name)
      const wish = /^\/\/ runner:(.*)$/m.exec(readFileSync(path, 'utf8'))?.[1] ?? ''
      const timeoutS = Number(/timeout=(\d+)/.exec(wish)?.[1] ?? TIMEOUT_S)
      return { name, path, index, timeoutS, alone: /\balone\b/.test(wish) }
    })
}

/** Ends whatever carries the mark: mounts are aborted first, or a process may not die. */
function removeLeftovers(directory: string, mark: string): void {
  for (const { path } of mountsBelow(directory)) removeMount(path)
  for (const { pid } of processesMarked(mark)) killLeft(pid)
}

async function ended(child: ChildProcess): Promise<string> {
  return new Promise((done) => {
    child.once('error', (error) => done(error.message))
    child.once('exit', (code, signal) => done(signal ?? `exit ${code}`))
  })
}

/** Files that are running: directory and mark. */
const running = new Map<string, string>()

/** Ctrl-C leaves nothing behind either. */
function endEarly(): never {
  for (const [directory, mark] of running) removeLeftovers(directory, mark)
  process.exit(1)
}

/** What is still there after the grace time, as lines for a person. */
async function findLeftovers(directory: string, mark: string): Promise<string[]> {
  const until = performance.now() + GRACE_MS
  for (;;) {
    const left = [
      ...processesMarked(mark).map(({ pid, command }) => `left process ${pid}: ${command}`),
      ...mountsBelow(directory).map(({ path, type }) => `left mount ${path} (${type})`)
    ]
    if (left.length === 0 || performance.now() > until) return left
    await sleep(100)
  }
}

async function runFile(file: TestFile, run: Run): Promise<TapSummary & { ms: number }> {
  const started = performance.now()
  // Short, because Unix socket paths are limited to 107 bytes.
  const directory = join(run.directory, String(file.index))
  mkdirSync(directory)
  const value = `${run.id}.${file.index}`
  const mark = `PCFS_TEST_RUN=${value}`
  running.set(directory, mark)
  const child = spawn(process.execPath, ['--enable-source-maps', file.path], {
    cwd: ROOT,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: {
      ...process.env,
      // No test reaches for the public network: an empty list means none.
      PCFS_BOOTSTRAP: '',
      TMPDIR: directory,
      TAP_TIMEOUT: String(file.timeoutS),
      PCFS_HOME: join(directory, 'home'),
      PCFS_TEST_RUN: value
    }
  })
  const output: Buffer[] = []
  child.stdout.on('data', (chunk: Buffer) => output.push(chunk))
  child.stderr.on('data', (chunk: Buffer) => output.push(chunk))
  const kill = setTimeout(
    () => {
      removeLeftovers(directory, mark)
      child.kill('SIGKILL')
    },
    (file.timeoutS + 10) * 1000
  )
  const exit = await ended(child)
  clearTimeout(kill)
  const left = await findLeftovers(directory, mark)
  removeLeftovers(directory, mark)
  running.delete(directory)
  const text = Buffer.concat(output).toString()
  if (mountsBelow(directory).length === 0) rmSync(directory, { recursive: true, force: true })
  const summary = summarize(text, exit)
  const failures = [...summary.failures, ...left]
  const failed = summary.failed + (left.length > 0 ? 1 : 0)
  if (failed > 0) {
    const log = join(run.directory, `${file.index}.log`)
    writeFileSync(log, text)
    failures.push(`all of its output: ${log}`)
  }
  return { ...summary, failed, failures, ms: performance.now() - started }
}

function report(file: TestFile, result: TapSummary & { ms: number }, totals: Totals): void {
  totals.passed += result.passed
  totals.failed += result.failed
  totals.skipped += result.skipped
  const seconds = (result.ms / 1000).toFixed(1).padStart(6)
  const skipped = result.skipped > 0 ? `, ${result.skipped} skipped` : ''
  const verdict = result.failed > 0 ? `${result.failed} FAILED, ` : ''
  console.log(`${seconds} s  ${file.name}: ${verdict}${result.passed} passed${skipped}`)
  if (result.failed > 0) for (const text of result.failures) console.log(text)
}

/** Types, lint, format and dead code count as one test. */
function checkSource(totals: Totals): void {
  const { status, stdout, stderr } = spawnSync('npm', ['run', '--silent', 'check'], {
    cwd: ROOT,
    encoding: 'utf8'
  })
  if (status === 0) totals.passed++
  else totals.failed++
  console.log(`npm run check: ${status === 0 ? 'passed' : 'FAILED'}`)
  if (status !== 0) console.log(`${stdout}${stderr}`.split('\n').slice(-60).join('\n'))
}

async function runAll(files: readonly TestFile[], run: Run, totals: Totals): Promise<void> {
  const shared = files.filter(({ alone }) => !alone)
  const lane = async (queue: TestFile[]): Promise<void> => {
    for (let file = queue.shift(); file !== undefined; file = queue.shift()) {
      report(file, await runFile(file, run), totals)
    }
  }
  await Promise.all(Array.from({ length: JOBS }, async () => lane(shared)))
  await lane(files.filter(({ alone }) => alone))
}

async function main(): Promise<void> {
  const isPcfs = ({ type }: MountEntry): boolean => type === 'fuse.pcfs'
  const before = new Set(
    listMounts()
      .filter(isPcfs)
      .map(({ path }) => path)
  )
  const run: Run = { id: String(process.pid), directory: mkdtempSync(join(tmpdir(), 'pcfs-t.')) }
  // Some tests become another user.
  chmodSync(run.directory, 0o755)
  process.on('SIGINT', endEarly)
  process.on('SIGTERM', endEarly)
  const patterns = process.argv.slice(2)
  const totals: Totals = { passed: 0, failed: 0, skipped: 0 }
  if (patterns.length === 0) checkSource(totals)
  const files = findFiles(patterns)
  await runAll(files, run, totals)
  // On a machine that others use too, a mount outside of our directory may well be theirs.
  const strays = listMounts().filter((entry) => isPcfs(entry) && !before.has(entry.path))
  for (const { path } of process.env['CI'] === undefined ? [] : strays) {
    console.log(`a test left the mount ${path}`)
    totals.failed++
  }
  if (totals.failed === 0 && mountsBelow(run.directory).length === 0) {
    rmSync(run.directory, { recursive: true, force: true })
  }
  if (totals.passed + totals.failed === 0) totals.failed++
  console.log(`${files.length} test files (${relative(process.cwd(), ROOT) || '.'}/dist/test)`)
  const skipped = totals.skipped > 0 ? `, ${totals.skipped} skipped` : ''
  console.log(`${totals.passed} passed, ${totals.failed} failed${skipped}`)
  process.exitCode = totals.failed > 0 ? 1 : 0
}

await main()
