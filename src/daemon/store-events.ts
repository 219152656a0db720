/** News of the store's thread for the main thread. Everything is structured-clonable. */
import type { Logger, LogFields } from '../base/log.js'
import type { GenerationNumber } from '../format/ids.js'
import type { GenerationState } from '../format/membership.js'
import type { DeviceRole } from '../swarm/replicas.js'
import type { BearerNews } from './invitations.js'

/** A generation of a device that belongs, or belonged, this one's own included. */
export interface KnownGeneration {
  /** The signing key of the device's first generation, hexadecimal: the device's id. */
  readonly device: string
  /** Its name; null: it can not be read here (yet). */
  readonly name: string | null
  readonly role: DeviceRole
  readonly state: GenerationState
  /** null: it writes nothing. */
  readonly generation: GenerationNumber | null
  /** How much of its records counts; null: all. */
  readonly cut: number | null
  readonly isOwn: boolean
}

/** What a person is to be told of the group. */
export interface GroupWarning {
  readonly code: string
  /** What it is about, where there can be several of one code. */
  readonly subject: string
  readonly message: string
}

/** One piece of news. */
export type StoreEvent =
  /** Records of a generation have come. */
  | { readonly type: 'grown'; readonly generation: GenerationNumber }
  /** Who belongs has changed, or what is wrong with the group. */
  | {
      readonly type: 'members'
      readonly known: readonly KnownGeneration[]
      readonly warnings: readonly GroupWarning[]
    }
  /** So many members are connected now, and the ids of their devices. */
  | { readonly type: 'peers'; readonly count: number; readonly ids: readonly string[] }
  | BearerNews
  /** Two signed heads of a core disagree. */
  | { readonly type: 'conflict'; readonly core: string }
  | {
      readonly type: 'log'
      readonly level: keyof Logger
      readonly fields: LogFields
      readonly message: string
    }

/** A logger whose lines come out in the main thread. */
export function forwardingLogger(tell: (event: StoreEvent) => void): Logger {
  const at =
    (level: keyof Logger) =>
    (fields: LogFields, message: string): void => {
      tell({ type: 'log', level, fields: cloneable(fields), message })
    }
  return { error: at('error'), warn: at('warn'), info: at('info'), debug: at('debug') }
}

/** Errors of libraries may carry what can not be cloned: streams, functions. */
function cloneable(fields: LogFields): LogFields {
  const given = Object.entries(fields).filter(([, value]) => typeof value !== 'function')
  const plain = given.map(([name, value]): [string, unknown] => {
    if (value instanceof Error) return [name, new Error(value.message)]
    return [name, typeof value === 'object' ? JSON.stringify(value) : value]
  })
  return Object.fromEntries(plain)
}
