/**
 * Configuration: environment and options become one checked value, once. Everything below gets
 * values; the daemon gets this one as JSON on its command line, so that `ps` shows it.
 */
import { hostname } from 'node:os'
import { isAbsolute, join, relative, resolve } from 'node:path'
import { Failure } from '../control/failure.js'
import { parseBootstrap, type NetworkOptions } from '../swarm/swarm.js'
import { parseFault } from './fault-point.js'

/** How much is logged. */
export type LogLevel = 'error' | 'warn' | 'info' | 'debug'

const LOG_LEVELS: readonly string[] = ['error', 'warn', 'info', 'debug']

/** The environment, for example `process.env`. */
export type Environment = Readonly<Record<string, string | undefined>>

/** What the operator can say about a mount. */
export interface MountOptions {
  /** Mounted directory; default `~/pc`. */
  readonly directory?: string | undefined
  /** Other users may enter; permissions decide as on any disk. */
  readonly allowOther?: boolean | undefined
  /** Owners are stored and shown as numbers; default: when root mounts for all users. */
  readonly numericIds?: boolean | undefined
  /** Set-uid programs work. */
  readonly suid?: boolean | undefined
  /** Device files work. */
  readonly dev?: boolean | undefined
}

/** All that a daemon needs to know before it opens its home. */
export interface DaemonConfig {
  /** Absolute. */
  readonly home: string
  /** Absolute. */
  readonly mountPoint: string
  readonly allowOther: boolean
  readonly numericIds: boolean
  readonly suid: boolean
  readonly dev: boolean
  readonly logLevel: LogLevel
  /** `name` or `name:countdown` of a fault point at which to die, for the crash harness. */
  readonly fault: string | null
  /** Which networks are used; null = none. */
  readonly network: NetworkSetting | null
}

/** Which networks are used, as JSON. */
export type NetworkSetting = Pick<NetworkOptions, 'bootstrap' | 'lan' | 'isLocal'>

/**
 * The home directory: `--home`, else `PCFS_HOME`, else `$XDG_DATA_HOME/pcfs`.
 * @returns absolute
 */
export function homeOf(option: string | undefined, env: Environment): string {
  const given = option ?? (env['PCFS_HOME'] || undefined)
  if (given !== undefined) return resolve(given)
  return join(env['XDG_DATA_HOME'] || join(userDirectory(env), '.local/share'), 'pcfs')
}

/** The device name that is used when none is given: the machine's, without its domain. */
export function defaultDeviceName(): string {
  return hostname().split('.')[0] || 'device'
}

/**
 * The networks that `PCFS_BOOTSTRAP` names: nodes of a private DHT (`host:port,…`); the public ones
 * when it is not set; none when it is empty. Where all nodes are on this machine nobody else is
 * looked for on the local network.
 * @throws {Failure} `usage`
 */
export function networkOf(env: Environment): NetworkSetting | null {
  const text = env['PCFS_BOOTSTRAP']
  if (text === undefined) return { bootstrap: 'public', lan: true, isLocal: false }
  try {
    const bootstrap = parseBootstrap(text)
    if (bootstrap.length === 0) return null
    return { bootstrap, lan: true, isLocal: bootstrap.every(({ host }) => isLoopback(host)) }
  } catch (cause) {
    const what = cause instanceof Error ? cause.message : String(cause)
    throw new Failure('usage', `PCFS_BOOTSTRAP: ${what}`, { code: 'EINVAL', cause })
  }
}

function isLoopback(host: string): boolean {
  return host === 'localhost' || /^127\.\d+\.\d+\.\d+$/.test(host)
}

/**
 * Puts options and environment together.
 * @throws {Failure} `usage` when a value makes no sense
 */
export function makeConfig(home: string, options: MountOptions, env: Environment): DaemonConfig {
  const isRoot = process.geteuid?.() === 0
  const allowOther = options.allowOther ?? false
  const logLevel = env['PCFS_LOG'] || 'info'
  if (!isLogLevel(logLevel)) {
    throw new Failure('usage', `PCFS_LOG is '${logLevel}'; it may be ${LOG_LEVELS.join(', ')}`)
  }
  const mountPoint = resolve(options.directory ?? join(userDirectory(env), 'pc'))
  checkApart(home, mountPoint)
  const fault = env['PCFS_FAULT'] || null
  parseFault(fault)
  return {
    home,
    mountPoint,
    allowOther,
    numericIds: options.numericIds ?? (isRoot && allowOther),
    suid: options.suid ?? false,
    dev: options.dev ?? false,
    logLevel,
    fault,
    network: networkOf(env)
  }
}

/**
 * Reads what `JSON.stringify` made of a configuration in another process of this program.
 * @throws {Failure} `usage` when it is something else
 */
export function decodeConfig(text: string | undefined): DaemonConfig {
  const config: Partial<DaemonConfig> | null = JSON.parse(text ?? 'null')
  const { home, mountPoint, logLevel } = config ?? {}
  const isWhole =
    typeof home === 'string' &&
    typeof mountPoint === 'string' &&
    isAbsolute(home) &&
    isAbsolute(mountPoint) &&
    isLogLevel(logLevel)
  if (!isWhole) throw new Failure('usage', 'this program is started by pcfs mount')
  return {
    home,
    mountPoint,
    logLevel,
    allowOther: config?.allowOther === true,
    numericIds: config?.numericIds === true,
    suid: config?.suid === true,
    dev: config?.dev === true,
    fault: config?.fault ?? null,
    network: config?.network ?? null
  }
}

/**
 * A home below its own mount would wait for itself for ever.
 * @throws {Failure} `mount-point` when one lies in the other
 */
export function checkApart(home: string, mountPoint: string): void {
  const isIn = (path: string, directory: string): boolean => {
    return !/^\.\.(\/|$)/.test(relative(directory, path))
  }
  if (!isIn(home, mountPoint) && !isIn(mountPoint, home)) return
  throw new Failure('mount-point', `${mountPoint} and the home ${home} may not lie in each other`)
}

function isLogLevel(value: unknown): value is LogLevel {
  return typeof value === 'string' && LOG_LEVELS.includes(value)
}

function userDirectory(env: Environment): string {
  const directory = env['HOME']
  if (directory !== undefined && isAbsolute(directory)) return directory
  throw new Failure(
    'usage',
    'HOME is not set; name the home with --home and the directory to mount'
  )
}
