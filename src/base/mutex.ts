/** One at a time, in the order of asking. */

/** Runs asynchronous sections one after the other. A section that fails does not stop the next. */
export class Mutex {
  #tail: Promise<unknown> = Promise.resolve()

  /**
   * Runs a section when all that were asked for before it have ended. Not re-entrant: a section
   * that waits for another one of the same mutex waits for ever.
   * @returns what the section returns
   * @throws what the section throws
   */
  async run<T>(section: () => Promise<T>): Promise<T> {
    const mine = this.#tail.then(section)
    this.#tail = mine.catch(() => undefined)
    return mine
  }
}
