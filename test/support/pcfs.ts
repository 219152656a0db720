/**
 * A real pcfs on a home of its own, driven as a person would through `bin/pcfs`. It finds every
 * process of its home by the environment, so that a kill misses neither supervisor nor daemon, and
 * it always gets the mount away: killed first, aborted second, waited for last.
 */
import { readFileSync, readdirSync, existsSync, mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { onEarlyEnd } from './cleanup.js'
import { findMount, forceUnmount, forceUnmountNow } from './mounts.js'
import { describe, isAlive, run, waitFor, type RunResult } from './process.js'
import { root } from './workspace.js'

/** The options that make the mount a full POSIX file system for many users. */
export const FULL_POSIX = ['--numeric-ids', '--allow-other', '--suid', '--dev'] as const

/** The launcher under test. */
export const PCFS_BIN = join(root, 'bin', 'pcfs')

/** Where a pcfs lives and how it is mounted. */
export interface PcfsOptions {
  /** Holds home, mount point and phrase; on a disk of the test's choice. */
  readonly folder: string
  /** Options of `pcfs mount`; default `FULL_POSIX`. */
  readonly mountArgs?: readonly string[]
  /** More environment for every pcfs process (for example PCFS_FAULT). */
  readonly env?: Readonly<Record<string, string>>
  /** What runs pcfs, for example in a network namespace; default: nothing. */
  readonly prefix?: readonly string[]
}

/** One home, at most one mount. */
export class Pcfs {
  readonly home: string
  readonly dir: string
  /** Environment of the next process that is started; tests may change it between mounts. */
  readonly env: Record<string, string>
  /** How the last `mountUnsupervised` ended, for failure messages. */
  lastMount = ''
  private readonly phraseFile: string
  private readonly mountArgs: readonly string[]
  private readonly prefix: readonly string[]
  private forget: () => void = () => undefined

  constructor(options: PcfsOptions) {
    this.home = join(options.folder, 'home')
    this.dir = join(options.folder, 'mnt')
    this.phraseFile = join(options.folder, 'phrase')
    this.mountArgs = options.mountArgs ?? FULL_POSIX
    this.prefix = options.prefix ?? []
    // An empty bootstrap list means no network at all.
    this.env = { PCFS_HOME: this.home, PCFS_BOOTSTRAP: '', ...options.env }
  }

  /** Runs one pcfs command on this home. */
  cli(args: readonly string[], timeoutMs = 60_000): Promise<RunResult> {
    const [command = PCFS_BIN, ...line] = [...this.prefix, PCFS_BIN, ...args]
    return run(command, line, { env: this.env, timeoutMs, onStuck: () => this.abort() })
  }

  /**
   * Runs one pcfs command with `--json` and parses what it prints.
   * @throws {Error} when it fails or prints no JSON
   */
  async json(args: readonly string[], timeoutMs = 60_000): Promise<Record<string, unknown>> {
    const result = await this.cli([...args, '--json'], timeoutMs)
    if (result.code !== 0) throw new Error(`pcfs ${args.join(' ')}: ${describe(result)}`)
    const value: unknown = JSON.parse(result.stdout)
    if (typeof value !== 'object' || value === null) throw new Error('pcfs printed no object')
    return Object.fromEntries(Object.entries(value))
  }

  /** Creates the home if there is none. */
  async init(): Promise<void> {
    if (existsSync(this.home)) return
    const args = ['init', '--name', 'test', '--phrase-file', this.phraseFile]
    const result = await this.cli(args)
    if (result.code !== 0) throw new Error(`pcfs init: ${describe(result)}`)
  }

  /**
   * Mounts, with the daemon in the background, as a person does.
   * @throws {Error} with the command's output when it does not answer in time
   */
  async mount(timeoutMs = 60_000): Promise<void> {
    await this.init()
    this.prepareMount()
    const result = await this.cli(['mount', this.dir, ...this.mountArgs], timeoutMs)
    if (result.code !== 0) throw new Error(`pcfs mount: ${describe(result)}`)
  }

  /**
   * Mounts with a daemon that nothing starts again when it dies, for tests that kill it.
   * @returns false when the daemon died while it started (a fault point may be there)
   * @throws {Error} with the command's output when it does not mount for another reason
   */
  async mountUnsupervised(timeoutMs = 60_000): Promise<boolean> {
    await this.init()
    this.prepareMount()
    const args = ['mount', this.dir, '--no-supervise', ...this.mountArgs]
    const result = await this.cli(args, timeoutMs)
    this.lastMount = describe(result)
    if (result.code === 0 && (await this.answers())) return true
    if (!this.isAlive()) return false
    throw new Error(`pcfs mount: ${this.lastMount}\n${this.logTail()}`)
  }

  /** Before each mount: the mount point, not touching what a crash left there, and the clean-up. */
  private prepareMount(): void {
    this.forget()
    this.forget = onEarlyEnd(() => {
      for (const pid of this.processes()) signal(pid, 'SIGKILL')
      forceUnmountNow(this.dir)
    })
    if (findMount(this.dir) === null) mkdirSync(this.dir, { recursive: true })
  }

  /** Whether any process of this home runs. */
  isAlive(): boolean {
    return this.processes().length > 0
  }

  /** True when something of type fuse.pcfs is mounted at the mount point; does not touch it. */
  isMounted(): boolean {
    return findMount(this.dir)?.type === 'fuse.pcfs'
  }

  /** Whether a stat of the mount's root by a child succeeds in time. */
  async answers(timeoutMs = 10_000): Promise<boolean> {
    const args = ['-c', '%i', this.dir]
    const look = await run('stat', args, { timeoutMs, onStuck: () => this.abort() })
    return look.code === 0 && this.isMounted()
  }

  /** Every process that has this home in its environment, the daemon and its supervisor. */
  processes(): number[] {
    const wanted = `PCFS_HOME=${this.home}\0`
    const found: number[] = []
    for (const name of readdirSync('/proc')) {
      const pid = Number(name)
      if (!Number.isInteger(pid) || pid === process.pid) continue
      try {
        if (`${readFileSync(`/proc/${name}/environ`, 'latin1')}\0`.includes(wanted)) found.push(pid)
      } catch {
        // it ended meanwhile
      }
    }
    return found
  }

  /**
   * kill -9 to every process of this home at once, and waits until they are gone. The mount stays
   * behind as a crash leaves it.
   */
  async kill9(): Promise<void> {
    // A process may be started between the look and the kill, so look again until none is left.
    const gone = await waitFor(() => {
      const pids = this.processes()
      for (const pid of pids) signal(pid, 'SIGKILL')
      return pids.length === 0
    }, 5_000)
    if (!gone) {
      await this.abort()
      await waitFor(() => this.processes().length === 0, 5_000)
    }
  }

  /** The daemon's pid as `status` tells it. */
  async daemonPid(): Promise<number> {
    const { pid } = await this.json(['status'])
    if (typeof pid !== 'number') throw new Error('status has no pid')
    return pid
  }

  /** Waits until no process of this home runs any more; false when one still does. */
  waitEnded(timeoutMs: number): Promise<boolean> {
    return waitFor(() => !this.isAlive(), timeoutMs)
  }

  /**
   * Stops politely: `pcfs stop` flushes and unmounts.
   * @throws {Error} when that fails; the mount is then removed all the same
   */
  async stop(timeoutMs = 60_000): Promise<void> {
    const result = await this.cli(['stop'], timeoutMs)
    const gone = await waitFor(() => this.processes().length === 0, 10_000)
    await this.destroy()
    if (result.code !== 0) throw new Error(`pcfs stop: ${describe(result)}\n${this.logTail()}`)
    if (!gone) throw new Error('a pcfs process was left after pcfs stop')
  }

  /** Makes everything of this home go away by force. Safe to call at any time, more than once. */
  async destroy(): Promise<void> {
    await this.kill9()
    if (!(await forceUnmount(this.dir))) throw new Error(`${this.dir} is still mounted`)
    this.forget()
  }

  /** Fails every request that waits for the daemon. */
  async abort(): Promise<void> {
    await forceUnmount(this.dir)
  }

  /** The end of the daemon's log, for failure messages. */
  logTail(): string {
    for (const name of ['log', 'log.stderr']) {
      try {
        return readFileSync(join(this.home, name), 'utf8').slice(-4_000)
      } catch {
        // the next name
      }
    }
    return ''
  }
}

/** Sends a signal to a process that may be gone. */
export function signal(pid: number, name: NodeJS.Signals): void {
  try {
    if (isAlive(pid)) process.kill(pid, name)
  } catch {
    // gone meanwhile
  }
}
