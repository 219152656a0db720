/**
 * Keeps a daemon alive: when it dies it is started again, later and later while it keeps dying. A
 * daemon that ends by itself was asked to, and stays down; so does one whose start fails for a
 * reason that waiting does not mend.
 */
import { spawn, type ChildProcess } from 'node:child_process'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { backoffMs } from '../base/backoff.js'
import type { Logger } from '../base/log.js'
import { birthOf, type Birth } from './birth.js'
import type { DaemonConfig } from './config.js'
import { resolveMountPoint } from './mount-point.js'
import { detachAll } from './mount-table.js'
import type { FailureKind } from '../control/failure.js'

/** Waits between restarts. */
const BACKOFF = { firstMs: 200, maxMs: 30_000 }
/** After so long alive a death counts as the first one again. */
const HEALTHY_MS = 60_000
/** How long a daemon may take to end when it was told to. */
const END_MS = 60_000

/**
 * Failures of a restart that waiting does not mend, or that say that somebody else has taken over.
 * Trouble with the mount point is not among them: the dead mount may only be slow to go.
 */
const LASTING: ReadonlySet<FailureKind> = new Set<FailureKind>([
  'usage',
  'no-home',
  'home-busy',
  'home-unsafe',
  'damaged'
])

/** What the supervisor works with. */
export interface SupervisorOptions {
  readonly config: DaemonConfig
  readonly log: Logger
  /** Starts a daemon with an IPC channel. */
  readonly start: (config: DaemonConfig) => ChildProcess
  /** Told how the first start went. */
  readonly onBirth: (birth: Birth) => void
  /** Aborted when the daemon is to end for good. */
  readonly signal: AbortSignal
}

/**
 * Runs a daemon until it ends for good.
 * @returns the exit code for our own process
 */
export async function supervise(options: SupervisorOptions): Promise<number> {
  const { log, signal, onBirth } = options
  let { config } = options
  let deaths = 0
  for (let first = true; ; first = false) {
    const began = performance.now()
    const life = await runOnce(options, config, first ? onBirth : () => undefined)
    if (life.how === 'ended' || signal.aborted) return 0
    // A dead mount answers ENOTCONN; the next life replaces it just before it mounts. Taken away
    // here, programs would write into the bare directory meanwhile, and the mount would hide it.
    const { birth } = life
    if (birth.kind === 'failed' && (first || LASTING.has(birth.failure.kind))) {
      await clearMount(config).catch((err: unknown) => log.error({ err }, 'a dead mount stays'))
      log.error({ ...birth.failure }, 'the daemon does not start')
      return 1
    }
    deaths = performance.now() - began > HEALTHY_MS ? 1 : deaths + 1
    const ms = backoffMs(deaths, BACKOFF)
    log.error({ exit: life.exit, deaths, ms }, 'the daemon died; it is started again')
    await sleep(ms, undefined, { signal }).catch(() => undefined)
    if (signal.aborted) {
      await clearMount(config).catch((err: unknown) => log.error({ err }, 'a dead mount stays'))
      return 0
    }
    // A planned death is over with the first life.
    config = { ...config, fault: null }
  }
}

interface Life {
  readonly how: 'ended' | 'died'
  /** Signal or exit code. */
  readonly exit: string
  readonly birth: Birth
}

async function runOnce(
  options: SupervisorOptions,
  config: DaemonConfig,
  onBirth: (birth: Birth) => void
): Promise<Life> {
  const child = options.start(config)
  const exited = new Promise<string>((resolve) => {
    child.once('error', (error) => resolve(error.message))
    child.once('exit', (code, signal) => resolve(signal ?? String(code)))
  })
  const stop = (): void => void endChild(child, exited)
  options.signal.addEventListener('abort', stop, { once: true })
  const birth = await birthOf(child, `${config.home}/log.stderr`)
  onBirth(birth)
  const exit = await exited
  options.signal.removeEventListener('abort', stop)
  return { how: exit === '0' ? 'ended' : 'died', exit, birth }
}

/** Takes the dead daemon's mount away; never that of another home. */
async function clearMount({ mountPoint, home }: DaemonConfig): Promise<void> {
  await detachAll(resolveMountPoint(mountPoint), home)
}

/** Asks a daemon to end, and ends it when it does not. */
async function endChild(child: ChildProcess, exited: Promise<unknown>): Promise<void> {
  child.kill('SIGTERM')
  const timer = setTimeout(() => child.kill('SIGKILL'), END_MS)
  await exited
  clearTimeout(timer)
}

/**
 * V8 sizes its heaps by the machine's memory, and collects late where there is much. Ours are to be
 * small on any machine: a collection at one and a half times what was alive after the last one, and
 * a small nursery. No upper bound: what a large tree really needs it gets.
 */
const NODE_OPTIONS = [
  '--enable-source-maps',
  '--max-semi-space-size=8',
  '--heap-growing-percent=50'
] as const
/** glibc gives each of some 20 threads (RocksDB's, libuv's, ours) an arena that only grows. */
const MALLOC_OPTIONS = { MALLOC_ARENA_MAX: '2' } as const

/**
 * Starts a program of ours with an IPC channel. It says its last words where we say ours.
 * @param script name of the compiled entry in this folder
 * @param config goes onto its command line
 * @param background descriptor for its last words, when it is to outlive us
 */
export function startScript(
  script: string,
  config: DaemonConfig,
  background?: number
): ChildProcess {
  const stderr = background ?? 'inherit'
  const path = join(import.meta.dirname, script)
  return spawn(process.execPath, [...NODE_OPTIONS, path, JSON.stringify(config)], {
    cwd: '/',
    env: { ...MALLOC_OPTIONS, ...process.env },
    detached: background !== undefined,
    stdio: ['ignore', stderr, stderr, 'ipc']
  })
}
