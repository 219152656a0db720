/** Runs `bin/pcfs` as a person would, in a child process with a home of its own. */
import { execFile } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import type { Test } from 'tap'

/** The launcher. */
export const PCFS = resolve(import.meta.dirname, '../../../bin/pcfs')

/** What a command came to. */
export interface CliResult {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

/** A temporary directory with a home and a mount point in it, and `pcfs` for that home. */
export interface Playground {
  readonly directory: string
  readonly home: string
  readonly mount: string
  /** Runs `pcfs ARGS` and waits for its end. */
  readonly pcfs: (
    args: readonly string[],
    env?: Readonly<Record<string, string>>
  ) => Promise<CliResult>
  /** Runs `pcfs ARGS --json` and gives what it printed. */
  readonly json: <T = Record<string, unknown>>(args: readonly string[]) => Promise<T>
}

/**
 * Makes a playground; its daemon is stopped and its files removed when the test ends.
 * @param base environment of every command
 */
export function makePlayground(t: Test, base: Readonly<Record<string, string>> = {}): Playground {
  const directory = mkdtempSync(join(tmpdir(), 'p.'))
  const home = join(directory, 'home')
  const pcfs: Playground['pcfs'] = async (args, env = {}) =>
    new Promise((done) => {
      // An empty bootstrap list means no network at all.
      const own = { PCFS_HOME: home, PCFS_BOOTSTRAP: '' }
      const options = { env: { ...process.env, ...own, ...base, ...env }, timeout: 90_000 }
      const child = execFile(PCFS, [...args], options, (_error, stdout, stderr) => {
        done({ code: child.exitCode, stdout, stderr })
      })
      child.stdin?.end()
    })
  const json: Playground['json'] = async (args) => {
    const { stdout, stderr } = await pcfs([...args, '--json'])
    try {
      return JSON.parse(stdout)
    } catch (cause) {
      throw new Error(`pcfs ${args.join(' ')} printed ${stdout}${stderr}`, { cause })
    }
  }
  t.teardown(async () => {
    await pcfs(['stop', '--lazy'])
    // The supervisor may write its last line meanwhile.
    rmSync(directory, { recursive: true, force: true, maxRetries: 10 })
  })
  return { directory, home, mount: join(directory, 'm'), pcfs, json }
}

/** The parent of a process, from /proc/PID/stat (see proc(5)). */
export function parentOf(pid: number): number {
  return Number(statOf(pid)[1])
}

/** Whether a process runs; one that has ended but was not yet waited for does not. */
export function isRunning(pid: number): boolean {
  return existsSync(`/proc/${pid}`) && statOf(pid)[0] !== 'Z'
}

/** State, parent and so on: the fields behind the name. */
function statOf(pid: number): string[] {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
  return stat.slice(stat.lastIndexOf(')') + 2).split(' ')
}
