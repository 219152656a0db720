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

/** A foreign drive that is shown in the tree. */
export interface AttachedReport {
  /** Of the drive, hexadecimal. */
  readonly key: string
  /** In the tree. */
  readonly path: string
  /** False while its directory is not there, or something of the tree has its name. */
  readonly isShown: boolean
  /** Length of the drive's `db` core; 0: nothing was heard of it yet. */
  readonly version: number
  /** Peers that have the drive and are connected. */
  readonly peers: number
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

/** Roles of devices. */
export type DeviceRole = 'personal' | 'cloud' | 'blind'

/** One device of the drive. */
export interface DeviceReport {
  readonly name: string
  readonly role: DeviceRole
  /** `active`, `suspended`, `revoked` or `sealed`. */
  readonly state: string
  /** UTC, ISO 8601; now while it is connected, and for this device itself; null: never. */
  readonly lastSeen: string | null
  /** How it is connected; null: it is not. */
  readonly path: 'lan' | 'direct' | 'relay' | null
  /** Whether it is the device that was asked. */
  readonly isThis: boolean
  /** `everything`, `everything, unreadable` or `what it uses`. */
  readonly holds: string
  /** Bytes that it has written, as far as is known here. */
  readonly byteLength: number
}

/** How an invitation is wanted. */
export interface InviteArguments {
  /** Whoever holds the code first is admitted, without digits. */
  readonly isBearer: boolean
  /** null: 15 minutes. */
  readonly openMs: number | null
  /** The only role that is admitted; null: the joiner's choice. */
  readonly role: DeviceRole | null
}

/** A device that asks to be admitted, or was. */
export interface JoinerReport {
  readonly name: string
  readonly role: DeviceRole
}

/** A copy of a file that was changed on two devices at a time, and waits for a person. */
export interface ConflictReport {
  /** Within the mount; where a name is not UTF-8, with replacement characters. */
  readonly path: string
  /** The file that it is a copy of, beside it. */
  readonly of: string
  readonly device: string
  /** UTC, `2026-11-23`. */
  readonly date: string
}

/** No arguments, or no result. */
export type Nothing = Readonly<Record<string, never>>

interface Shapes {
  status: { args: Nothing; result: StatusReport }
  flush: { args: { readonly remote: boolean }; result: Nothing }
  stop: { args: UnmountArguments; result: StopResult }
  doctor: { args: Nothing; result: { readonly findings: readonly Finding[] } }
  devices: { args: Nothing; result: { readonly devices: readonly DeviceReport[] } }
  invite: { args: InviteArguments; result: { readonly code: string; readonly expires: string } }
  inviteAnswered: { args: { readonly code: string }; result: JoinerReport }
  inviteConfirm: {
    args: { readonly code: string; readonly digits: string }
    result: JoinerReport
  }
  inviteCancel: { args: { readonly code: string }; result: Nothing }
  conflicts: { args: Nothing; result: { readonly conflicts: readonly ConflictReport[] } }
  attach: {
    /** Key in hexadecimal; path in the tree, null = `/Attached/` and the key's first digits. */
    args: { readonly key: string; readonly path: string | null }
    result: AttachedReport
  }
  /** Key in hexadecimal, or path in the tree. */
  detach: {
    args: { readonly which: string }
    result: { readonly key: string; readonly path: string }
  }
  attached: { args: Nothing; result: { readonly attached: readonly AttachedReport[] } }
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
 * - `devices`: who belongs or belonged
 * - `invite`: opens an invitation, which is served until it is over; an earlier one ends
 * - `inviteAnswered`: waits for the device that asks; `inviteConfirm`: admits it if these are its
 *   digits, else the invitation is over; `inviteCancel`: takes it back
 * - `conflicts`: copies that wait for a person
 * - `attach`: shows a foreign drive in the tree, and gives it some seconds to be found
 * - `detach`: takes it out again
 * - `attached`: what is attached
 */
export type Operations = {
  readonly [K in OperationName]: (args: ArgumentsOf<K>, call: Call) => Promise<ResultOf<K>>
}

type Fields = Readonly<Record<string, unknown>>

/** Longest time for which an invitation is open: a day. */
const MAX_INVITE_MS = 24 * 3_600_000

/** All roles. */
export const ROLES: readonly DeviceRole[] = ['personal', 'cloud', 'blind']

/** Turns what came through the socket into the arguments of each operation. */
const PARSERS: { readonly [K in OperationName]: (fields: Fields) => ArgumentsOf<K> } = {
  status: () => ({}),
  flush: (fields) => ({ remote: flag(fields, 'remote') }),
  stop: (fields) => ({ path: pathOrNull(fields, 'path'), lazy: flag(fields, 'lazy') }),
  doctor: () => ({}),
  devices: () => ({}),
  invite: (fields) => ({
    isBearer: flag(fields, 'isBearer'),
    openMs: durationOrNull(fields, 'openMs'),
    role: roleOrNull(fields, 'role')
  }),
  inviteAnswered: (fields) => ({ code: text(fields, 'code') }),
  inviteConfirm: (fields) => ({ code: text(fields, 'code'), digits: text(fields, 'digits') }),
  inviteCancel: (fields) => ({ code: text(fields, 'code') }),
  conflicts: () => ({}),
  attach: (fields) => ({ key: text(fields, 'key'), path: pathOrNull(fields, 'path') }),
  detach: (fields) => ({ which: text(fields, 'which') }),
  attached: () => ({})
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

function text(fields: Fields, name: string): string {
  const value = fields[name]
  if (typeof value === 'string') return value
  throw new Failure('usage', `${name} must be a text`, { code: 'EINVAL' })
}

function durationOrNull(fields: Fields, name: string): number | null {
  const value = fields[name] ?? null
  const isFit = typeof value === 'number' && value > 0 && value <= MAX_INVITE_MS
  if (value === null || isFit) return value
  throw new Failure('usage', `an invitation is open for up to ${MAX_INVITE_MS / 3_600_000} hours`, {
    code: 'EINVAL'
  })
}

function roleOrNull(fields: Fields, name: string): DeviceRole | null {
  const value = fields[name] ?? null
  const role = ROLES.find((known) => known === value)
  if (value === null || role !== undefined) return role ?? null
  throw new Failure('usage', `${name} must be ${ROLES.join(', ')}`, { code: 'EINVAL' })
}
