import { spawn } from 'node:child_process'
import { setTimeout as sleep } from 'node:timers/promises'
import { callDaemon } from '../../control/client.js'
import { Failure } from '../../control/failure.js'
import type { StatusReport } from '../../control/operations.js'
import { makeConfig, type DaemonConfig } from '../../daemon/config.js'
import { isHome } from '../../daemon/home.js'
import { launch, runInForeground } from '../../daemon/launch.js'
import { printResult } from '../output.js'
import { homeFrom, type Command, type CommonOptions } from './common.js'
import { MOUNT_OPTIONS, type MountFlags } from './mount-options.js'
import { INIT_OPTIONS, runInit, showPhrase, type InitCommandOptions } from './init.js'

/** How long we wait for a daemon that somebody else is just starting. */
const OTHER_START_MS = 60_000
const STATUS_MS = 10_000

interface MountCommandOptions extends InitCommandOptions, MountFlags {
  readonly directory?: string | undefined
  readonly foreground: boolean
  readonly supervise: boolean
}

/** `pcfs mount`: mounts, and makes a home first if there is none. */
export const mountCommand: Command<MountCommandOptions> = {
  command: 'mount [directory]',
  describe: 'Mount the drive (default ~/pc); makes a home first if there is none',
  builder: (argv) =>
    argv
      .positional('directory', { type: 'string', describe: 'where to mount', normalize: true })
      .options(INIT_OPTIONS)
      .options(MOUNT_OPTIONS)
      .options({
        foreground: { type: 'boolean', default: false, describe: 'stay, for service managers' },
        supervise: {
          type: 'boolean',
          default: true,
          describe: 'start the daemon again when it dies'
        }
      }),
  handler: runMount
}

async function runMount(options: CommonOptions & MountCommandOptions): Promise<void> {
  const home = homeFrom(options)
  const config = makeConfig(home, options, process.env)
  if (!isHome(home)) showPhrase(await runInit(home, options), options.json === true)
  const running = await runningMount(home)
  if (running !== null) {
    say(options, running, true)
    return
  }
  if (options.foreground) {
    process.exitCode = await runInForeground(config, (path) => {
      say(options, path, false)
      tellServiceManager()
    })
    return
  }
  const path = await launchOrJoin(config, options.supervise)
  say(options, path, false)
}

function say(options: CommonOptions, path: string, already: boolean): void {
  const text = already ? `${path} is mounted already; nothing was added` : `${path} is mounted`
  printResult(options.json === true, { path, already }, text)
}

/** The directory that a running daemon has mounted; null when none runs. */
async function runningMount(home: string): Promise<string | null> {
  try {
    const { mounts }: StatusReport = await callDaemon('status', {}, { home, deadlineMs: STATUS_MS })
    return mounts[0]?.path ?? null
  } catch (error) {
    if (error instanceof Failure && error.kind === 'not-running') return null
    throw error
  }
}

/** Starts a daemon; when another command is just doing that, waits for that one's mount. */
async function launchOrJoin(config: DaemonConfig, supervised: boolean): Promise<string> {
  try {
    return await launch(config, supervised)
  } catch (error) {
    if (!(error instanceof Failure) || error.kind !== 'home-busy') throw error
    const until = performance.now() + OTHER_START_MS
    while (performance.now() < until) {
      const path = await runningMount(config.home)
      if (path !== null) return path
      await sleep(200)
    }
    throw error
  }
}

/** Tells systemd, if it started us, that the mount answers (sd_notify(3)). */
function tellServiceManager(): void {
  if (process.env['NOTIFY_SOCKET'] === undefined) return
  // Without that program the unit's start runs into its time limit, which says enough.
  spawn('systemd-notify', ['--ready'], { stdio: 'ignore' }).on('error', () => undefined)
}
