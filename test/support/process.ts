/**
 * Child processes of the tests. A test process itself never touches a mount: a hung file system
 * would hang the test, and one in state D cannot even be killed. So everything that looks into a
 * mount runs in a child here, in a process group of its own, with a kill timer; and a child that
 * does not die from SIGKILL has its mount aborted by the `onStuck` handler before it is waited for.
 */
import { spawn, type ChildProcess } from 'node:child_process'

/** How a child is run. */
export interface RunOptions {
  /** Working directory; entered by the child itself (`env -C`), never by this process. */
  readonly cwd?: string
  /** Added to this process's environment. */
  readonly env?: Readonly<Record<string, string>>
  /** Milliseconds until the child's whole process group is killed; default 60,000. */
  readonly timeoutMs?: number
  /** Given to the child as its standard input. */
  readonly input?: string
  /** User to run as (a number), by setpriv; default: this process's user. */
  readonly uid?: number
  /** Called when the child outlives SIGKILL by two seconds (state D): abort its mount here. */
  readonly onStuck?: () => Promise<void>
}

/** What became of a child. */
export interface RunResult {
  /** Exit code, or null when a signal ended it. */
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
  readonly stdout: string
  readonly stderr: string
  /** True when the kill timer ended it. */
  readonly timedOut: boolean
  readonly ms: number
}

/** Bytes of output kept per stream; a child that prints more loses the beginning. */
const MAX_OUTPUT = 4 << 20

/** The time that a killed child gets before it counts as stuck in the kernel. */
const STUCK_MS = 2_000

/**
 * Waits.
 * @param ms milliseconds
 */
export function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}

/**
 * Waits until a claim holds.
 * @param claim asked every `everyMs`
 * @param timeoutMs after which the answer is false
 * @param everyMs default 20
 * @returns whether it came to hold in time
 */
export async function waitFor(
  claim: () => boolean | Promise<boolean>,
  timeoutMs: number,
  everyMs = 20
): Promise<boolean> {
  const end = performance.now() + timeoutMs
  for (;;) {
    if (await claim()) return true
    if (performance.now() >= end) return false
    await sleep(everyMs)
  }
}

/**
 * Kills a process group that this process started.
 * @param child the group's leader, spawned with `detached`
 */
export function killGroup(child: ChildProcess, signal: NodeJS.Signals = 'SIGKILL'): void {
  if (child.pid === undefined) return
  try {
    process.kill(-child.pid, signal)
  } catch {
    // gone already
  }
}

/** True while a process exists and is not a zombie. */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}

/**
 * Starts a child in its own process group. The caller ends it.
 * @param command a program on the PATH
 */
export function start(
  command: string,
  args: readonly string[],
  options: Pick<RunOptions, 'cwd' | 'env' | 'uid'> & { readonly stdio?: 'pipe' | 'ignore' } = {}
): ChildProcess {
  const line = [command, ...args]
  if (options.cwd !== undefined) line.unshift('env', '-C', options.cwd)
  if (options.uid !== undefined) {
    const id = String(options.uid)
    line.unshift('setpriv', `--reuid=${id}`, `--regid=${id}`, '--clear-groups')
  }
  return spawn(line[0] ?? command, line.slice(1), {
    detached: true,
    stdio: options.stdio ?? 'pipe',
    env: { ...process.env, ...options.env }
  })
}

/** Collects the end of a stream. */
function collect(stream: NodeJS.ReadableStream | null): () => string {
  const parts: Buffer[] = []
  let size = 0
  stream?.on('data', (part: Buffer) => {
    parts.push(part)
    size += part.length
    while (size > MAX_OUTPUT && parts.length > 1) size -= parts.shift()?.length ?? 0
  })
  return () => Buffer.concat(parts).toString()
}

/**
 * Runs a child to its end; does not throw when it fails.
 * @param command a program on the PATH
 */
export async function run(
  command: string,
  args: readonly string[],
  options: RunOptions = {}
): Promise<RunResult> {
  const began = performance.now()
  const child = start(command, args, options)
  const stdout = collect(child.stdout)
  const stderr = collect(child.stderr)
  child.stdin?.on('error', () => undefined)
  child.stdin?.end(options.input ?? '')
  let timedOut = false
  let stuck: NodeJS.Timeout | undefined
  const timer = setTimeout(() => {
    timedOut = true
    killGroup(child)
    stuck = setTimeout(() => {
      // Wherever the handler fails, the close below still decides.
      options.onStuck?.().catch(() => undefined)
    }, STUCK_MS)
  }, options.timeoutMs ?? 60_000)
  const end = await new Promise<{ code: number | null; signal: NodeJS.Signals | null }>(
    (resolve, reject) => {
      child.once('error', reject)
      child.once('close', (code, signal) => resolve({ code, signal }))
    }
  ).finally(() => {
    clearTimeout(timer)
    clearTimeout(stuck)
    killGroup(child)
  })
  return { ...end, stdout: stdout(), stderr: stderr(), timedOut, ms: performance.now() - began }
}

/**
 * Runs a child that must succeed.
 * @returns its standard output
 * @throws {Error} with the end of its output when it fails or takes too long
 */
export async function must(
  command: string,
  args: readonly string[],
  options: RunOptions = {}
): Promise<string> {
  const result = await run(command, args, options)
  if (result.code === 0) return result.stdout
  throw new Error(`${command} ${args.join(' ')}: ${describe(result)}`)
}

/** One paragraph about how a child ended, for a failure message. */
export function describe(result: RunResult): string {
  const how = result.timedOut
    ? `killed after ${Math.round(result.ms)} ms`
    : result.signal !== null
      ? `ended by ${result.signal}`
      : `exit code ${result.code ?? '?'}`
  return `${how}\n${result.stdout.slice(-2_000)}\n${result.stderr.slice(-4_000)}`.trim()
}
