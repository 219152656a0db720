/**
 * What an operator can ask a running daemon, as types and as a check of what came in. `daemon/`
 * carries the operations out, `cli/` asks for them.
 */
import type { Alarm } from '../base/alarms.js'
import { Failure } from './failure.js'

/** The stable fields of `pcfs status --json`; more may be added. */
export interface StatusReport {
  readonly version: string
  /** Process id of the daemon. */
  readonly pid: number
  /** Id of the drive, hexadecimal. */
  readonly drive: string
  readonly device: { readonly name: string; readonly role: string }
  readonly mounts: readonly { readonly path: string }[]
  readonly peers: readonly {
    readonly device: string
    readonly path: 'lan' | 'direct' | 'relay'
    readonly lagMs: number
  }[]
  readonly generations: readonly {
    readonly device: string
    readonly generation: string
    /** Blocks of the `db` core. */
    readonly length: number
    /** How many of them are held here. */
    readonly held: number
    /** Bytes of the generation's cores, cleared blocks included. */
    readonly byteLength: number
  }[]
  readonly backlog: {
    /** Bytes written that are not yet in the Corestore. */
    readonly spoolBytes: number
    /** Records that are not yet in the Corestore. */
    readonly records: number
    /** Bytes that are not yet in the object store. */
    readonly uploadBytes: number
  }
  readonly tier: { readonly url: string | null; readonly state: string; readonly bytes: number }
  readonly alarms: readonly Alarm[]
  /** Where the home is, and how long the daemon has been running. */
  readonly home: string
  readonly uptimeS: number
}

/** One thing that `doctor` looked at. */
export interface Finding {
  /** Stable name of the check, for example `keyring`. */
  readonly check: string
  readonly state: 'ok' | 'warn' | 'bad'
  /** What was found. */
  readonly message: string
  /** What to do about it; null when there is nothing to do. */
  readonly mend: string | null
}

/** How far a long operation is. */
export interface Progress {
  readonly done: number
  readonly total: number
  /** Of what, for example "bytes". */
  readonly unit: string
}

/** What an operation gets beside its arguments. */
export interface Call {
  /** Aborted when the asker went away or the deadline is over. */
  readonly signal: AbortSignal
  /** Tells the asker how far it is; dropped when nobody listens. */
  readonly progress: (progress: Progress) => void
}

/** Which unmount is wanted. */
export interface UnmountArguments {
  /** The mounted directory, absolute, without symbolic links; null = whatever is mounted. */
  readonly path: string | null
  /** Also when files are open: they stay usable to who has them, until closed. */
  readonly lazy: boolean
}

/** What a stop did. */
export interface StopResult {
  /** Directories that are no longer mounted; empty when another directory was named. */
  readonly unmounted: readonly string[]
  /** The process that ends now; empty when it goes on. */
  readonly pids: readonly number[]
}

/** No arguments, or no result. */
export type Nothing = Readonly<Record<string, never>>

interface Shapes {
  status: { args: Nothing; result: StatusReport }
  flush: { args: { readonly remote: boolean }; result: Nothing }
  stop: { args: UnmountArguments; result: StopResult }
  doctor: { args: Nothing; result: { readonly findings: readonly Finding[] } }
}

/** Name of an operation. */
export type OperationName = keyof Shapes

/** Arguments of an operation. */
export type ArgumentsOf<K extends OperationName> = Shapes[K]['args']

/** Result of an operation. */
export type ResultOf<K extends OperationName> = Shapes[K]['result']

/**
 * The operations of a daemon; each may be asked for by several operators at a time.
 * - `status`: how everything is; never waits for a peer, or for the disk for long
 * - `flush`: resolves when all that was written before is ingested; with `remote`, also uploaded
 * - `stop`: flushes, unmounts, and ends the daemon soon after the answer
 * - `doctor`: looks at what can be looked at while the daemon runs
 */
export type Operations = {
  readonly [K in OperationName]: (args: ArgumentsOf<K>, call: Call) => Promise<ResultOf<K>>
}

type Fields = Readonly<Record<string, unknown>>

/** Turns what came through the socket into the arguments of each operation. */
const PARSERS: { readonly [K in OperationName]: (fields: Fields) => ArgumentsOf<K> } = {
  status: () => ({}),
  flush: (fields) => ({ remote: flag(fields, 'remote') }),
  stop: (fields) => ({ path: pathOrNull(fields, 'path'), lazy: flag(fields, 'lazy') }),
  doctor: () => ({})
}

/** Whether there is an operation of that name. */
export function isOperation(name: unknown): name is OperationName {
  return typeof name === 'string' && Object.hasOwn(PARSERS, name)
}

/**
 * Checks arguments that came from outside.
 * @throws {Failure} `usage` when they do not fit the operation
 */
export function parseArguments<K extends OperationName>(name: K, value: unknown): ArgumentsOf<K> {
  if (typeof value !== 'object' || value === null) {
    throw new Failure('usage', `${name} takes an object of arguments`, { code: 'EINVAL' })
  }
  return PARSERS[name]({ ...value })
}

function flag(fields: Fields, name: string): boolean {
  const value = fields[name] ?? false
  if (typeof value === 'boolean') return value
  throw new Failure('usage', `${name} must be true or false`, { code: 'EINVAL' })
}

function pathOrNull(fields: Fields, name: string): string | null {
  const value = fields[name] ?? null
  if (value === null || (typeof value === 'string' && value.startsWith('/'))) return value
  throw new Failure('usage', `${name} must be an absolute path or null`, { code: 'EINVAL' })
}
