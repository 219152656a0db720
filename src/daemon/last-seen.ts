/**
 * When each device was last connected, for people; kept in the home and lost without harm. A device
 * that is connected is written down when it comes and when it goes.
 */
import { readFileSync, renameSync, writeFileSync } from 'node:fs'
import type { Clock } from '../base/clock.js'
import type { Logger } from '../base/log.js'

/** See the file's head. */
export class LastSeen {
  readonly #path: string
  readonly #clock: Pick<Clock, 'nowMs'>
  readonly #log: Logger
  readonly #seenMs: Map<string, number>
  #connected: ReadonlySet<string> = new Set()

  /** @param path of its file, which need not be there */
  constructor(path: string, clock: Pick<Clock, 'nowMs'>, log: Logger) {
    this.#path = path
    this.#clock = clock
    this.#log = log
    this.#seenMs = read(path)
  }

  /** The devices that are connected now, by their ids. */
  note(ids: readonly string[]): void {
    const nowMs = this.#clock.nowMs()
    for (const id of [...this.#connected, ...ids]) this.#seenMs.set(id, nowMs)
    this.#connected = new Set(ids)
    try {
      const temporary = `${this.#path}.new`
      writeFileSync(temporary, JSON.stringify(Object.fromEntries(this.#seenMs)), { mode: 0o600 })
      renameSync(temporary, this.#path)
    } catch (err) {
      this.#log.debug({ err }, 'when devices were last seen could not be kept')
    }
  }

  /** Wall clock, ms since 1970; null: never. */
  of(id: string): number | null {
    if (this.#connected.has(id)) return this.#clock.nowMs()
    return this.#seenMs.get(id) ?? null
  }
}

function read(path: string): Map<string, number> {
  try {
    const value: unknown = JSON.parse(readFileSync(path, 'utf8'))
    if (typeof value !== 'object' || value === null) return new Map()
    const seen = Object.entries(value).filter(
      (entry): entry is [string, number] => typeof entry[1] === 'number'
    )
    return new Map(seen)
  } catch {
    return new Map()
  }
}
