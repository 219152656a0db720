/**
 * What somebody must know or do: shown by `pcfs status` until it is over. One alarm for each code
 * and subject; a stable code, a message that says what happened and what to do.
 */

/** One alarm; `code` is stable. */
export interface Alarm {
  readonly code: string
  readonly message: string
}

/** Alarms that are kept at most; of more, the first ones stay. */
const LIMIT = 100

/** The alarms of this process. */
export class Alarms {
  readonly #alarms = new Map<string, Alarm>()

  /**
   * Raises an alarm, or changes its message.
   * @param code stable, upper case
   * @param subject what it is about, where there can be several of one code
   */
  raise(code: string, message: string, subject = ''): void {
    const key = `${code} ${subject}`
    if (this.#alarms.has(key) || this.#alarms.size < LIMIT) {
      this.#alarms.set(key, { code, message })
    }
  }

  /** Ends an alarm; it need not be there. */
  clear(code: string, subject = ''): void {
    this.#alarms.delete(`${code} ${subject}`)
  }

  /** Oldest first. */
  list(): readonly Alarm[] {
    return [...this.#alarms.values()]
  }
}
