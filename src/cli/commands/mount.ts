import { spawn } from 'node:child_process'
import { setTimeout as sleep } from 'node:timers/promises'
import { callDaemon } from '../../control/client.js'
import { Failure } from '../../control/failure.js'
import { ROLES, type DeviceRole, type StatusReport } from '../../control/operations.js'
import { makeConfig, type DaemonConfig } from '../../daemon/config.js'
import { isHome, pathsOf } from '../../daemon/home.js'
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
  readonly role?: DeviceRole | undefined
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
        role: {
          choices: ROLES,
          describe: 'refuse to run unless this device has that role',
          nargs: 1
        },
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
  await checkRole(home, options.role)
  if (!isHome(home)) showPhrase(await runInit(home, options), options.json === true)
  const running = await runningDaemon(home)
  if (running !== null) {
    say(options, running.path, true)
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

/**
 * The role that is asked for is the one that the drive admitted this device with.
 * @throws {Failure} when it is another one
 */
async function checkRole(home: string, role: DeviceRole | undefined): Promise<void> {
  if (role === undefined || (role === 'personal' && !isHome(home))) return
  if (!isHome(home)) {
    const how = `'pcfs device invite --role ${role}' there, 'pcfs device join CODE' here`
    throw new Failure('no-home', `a ${role} device joins a drive that exists: ${how}`, {
      code: 'ENOENT'
    })
  }
  const { openKeyring } = await import('../../keys/keyring.js')
  const keyring = await openKeyring(pathsOf(home).keyring)
  if (keyring.role === role) return
  throw new Failure('failed', `this is a ${keyring.role} device, not a ${role} one`, {
    code: 'EINVAL'
  })
}

/** @param path null: a blind device mounts nothing */
function say(options: CommonOptions, path: string | null, already: boolean): void {
  const what = path === null ? 'this blind device runs' : `${path} is mounted`
  const text = already ? `${what} already; nothing was added` : what
  printResult(options.json === true, { path, already }, text)
}

/** What a running daemon has mounted; null when none runs. */
async function runningDaemon(home: string): Promise<{ readonly path: string | null } | null> {
  try {
    const { mounts }: StatusReport = await callDaemon('status', {}, { home, deadlineMs: STATUS_MS })
    return { path: mounts[0]?.path ?? null }
  } catch (error) {
    if (error instanceof Failure && error.kind === 'not-running') return null
    throw error
  }
}

/** Starts a daemon; when another command is just doing that, waits for that one's mount. */
async function launchOrJoin(config: DaemonConfig, supervised: boolean): Promise<string | null> {
  try {
    return await launch(config, supervised)
  } catch (error) {
    if (!(error instanceof Failure) || error.kind !== 'home-busy') throw error
    const until = performance.now() + OTHER_START_MS
    while (performance.now() < until) {
      const running = await runningDaemon(config.home)
      if (running !== null) return running.path
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
