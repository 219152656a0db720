/**
 * Start at login or boot: a systemd unit, for the system when root asks, else for the user. The
 * templates are in packaging/: pcfs.service, and pcfs-cloud.service for what is always on. Works
 * without a running systemd: the files are written, and the caller is told what is left to do.
 */
import { spawnSync } from 'node:child_process'
import {
  existsSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync
} from 'node:fs'
import { dirname, join } from 'node:path'
import type { Role } from '../format/group-body.js'
import { Failure } from '../control/failure.js'
import type { DaemonConfig, Environment } from './config.js'

const TEMPLATES = join(import.meta.dirname, '../../../packaging')
const CLI = join(import.meta.dirname, '../cli/index.js')
const UNIT = 'pcfs.service'

/** Where a unit goes. */
export interface UnitPlace {
  /** The unit's file. */
  readonly path: string
  /** The link that enables it. */
  readonly link: string
  readonly target: string
  /** Options of systemctl. */
  readonly scope: readonly string[]
}

/** What was done, and what the caller still has to do. */
export interface ServiceResult {
  readonly unit: string
  /** Commands to be run by hand; empty when all is done. */
  readonly todo: readonly string[]
}

/** Where this user's unit goes. `DESTDIR` is put before a system unit's place, for packagers. */
export function unitPlace(env: Environment): UnitPlace {
  const isSystem = process.geteuid?.() === 0
  const config = env['XDG_CONFIG_HOME'] || join(env['HOME'] ?? '/', '.config')
  const folder = isSystem
    ? join(env['DESTDIR'] ?? '/', 'etc/systemd/system')
    : join(config, 'systemd/user')
  const target = isSystem ? 'multi-user.target' : 'default.target'
  return {
    path: join(folder, UNIT),
    link: join(folder, `${target}.wants`, UNIT),
    target,
    scope: isSystem ? [] : ['--user']
  }
}

/**
 * Writes and enables the unit. Again with other options: the unit is replaced.
 * @param config what is to be mounted; its home must exist
 * @param role of the home
 */
export function installService(config: DaemonConfig, role: Role, env: Environment): ServiceResult {
  const place = unitPlace(env)
  mkdirSync(dirname(place.link), { recursive: true })
  writeFileSync(place.path, unitText(config, role, place))
  if (lstatSync(place.link, { throwIfNoEntry: false }) === undefined) {
    symlinkSync(place.path, place.link)
  }
  // A daemon that runs outside of systemd would keep the home from the unit's.
  const manual = ['pcfs stop', `systemctl ${[...place.scope, 'start', UNIT].join(' ')}`]
  if (place.scope.length > 0) manual.push('loginctl enable-linger    # to start at boot, not login')
  if (!isSystemdRunning(env)) return { unit: place.path, todo: manual }
  runSystemctl([...place.scope, 'daemon-reload'])
  return { unit: place.path, todo: manual }
}

/**
 * Disables and removes the unit. Does not stop what runs.
 * @returns null when there was none
 */
export function uninstallService(env: Environment): ServiceResult | null {
  const place = unitPlace(env)
  const isThere = existsSync(place.path)
  rmSync(place.link, { force: true })
  rmSync(place.path, { force: true })
  if (!isThere) return null
  if (isSystemdRunning(env)) runSystemctl([...place.scope, 'daemon-reload'])
  return { unit: place.path, todo: [] }
}

/** The unit for a configuration. Pure but for the template. */
export function unitText(
  config: DaemonConfig,
  role: Role,
  place: Pick<UnitPlace, 'target' | 'scope'>
): string {
  const isUser = place.scope.length > 0
  const isAlwaysOn = role !== 'personal'
  const flags = [
    ...(config.allowOther ? ['--allow-other'] : []),
    ...(config.numericIds ? ['--numeric-ids'] : []),
    ...(config.suid ? ['--suid'] : []),
    ...(config.dev ? ['--dev'] : []),
    ...(isAlwaysOn ? ['--role', role] : [])
  ]
  const command = [process.execPath, CLI, 'mount', config.mountPoint, '--foreground']
  const words = [...command, '--home', config.home, ...flags]
  const values: Readonly<Record<string, string>> = {
    DIRECTORY: escapePercent(config.mountPoint),
    HOME_PATH: escapePercent(config.home).replaceAll(' ', '\\x20'),
    COMMAND: words.map(quote).join(' '),
    TARGET: place.target,
    AFTER: isUser ? '' : isAlwaysOn ? 'network-online.target' : 'network.target',
    // A user's units do not know the system's network.
    WANTS: isUser ? '' : 'network-online.target',
    ROLE: role
  }
  const template = isAlwaysOn ? 'pcfs-cloud.service' : 'pcfs.service'
  return readFileSync(join(TEMPLATES, template), 'utf8').replace(
    /@([A-Z_]+)@/g,
    (all, name: string) => {
      return values[name] ?? all
    }
  )
}

/** A word of a command line as systemd.service(5) wants it. */
function quote(word: string): string {
  const escaped = escapePercent(word).replace(/["\\]/g, '\\$&').replaceAll('$', '$$$$')
  return /^[\w@%+=:,./-]+$/.test(escaped) ? escaped : `"${escaped}"`
}

function escapePercent(text: string): string {
  return text.replaceAll('%', '%%')
}

function isSystemdRunning(env: Environment): boolean {
  return existsSync('/run/systemd/system') && env['DESTDIR'] === undefined
}

function runSystemctl(args: readonly string[]): void {
  const done = spawnSync('systemctl', args, { encoding: 'utf8', timeout: 30_000 })
  if (done.status === 0) return
  const said = done.stderr?.trim().split('\n').at(-1) ?? done.error?.message ?? ''
  throw new Failure('failed', `systemctl ${args.join(' ')} failed: ${said}`, { cause: done.error })
}
