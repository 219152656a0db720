/**
 * Whoever opens closes, in reverse order, and what an open acquired before it failed is released.
 *
 * Invariant: after `close` nothing is held; a second `close` does nothing; an acquisition that ends
 * after the close is released at once.
 */

/** Releases one thing. Called once. */
export type Release = () => Promise<void> | void

/** The things that one open acquired so far, with how each is released. */
export class CloseStack {
  readonly #releases: Release[] = []
  #closing: Promise<void> | null = null

  /**
   * Remembers how to release what was just acquired.
   * @param release runs at close, after the releases that were pushed later
   */
  push(release: Release): void {
    this.#releases.push(release)
  }

  /**
   * Releases everything, the last acquired first. One failing release does not keep the others from
   * running; the first error is thrown at the end. May be called again and from several places: all
   * wait for the same close.
   */
  async close(): Promise<void> {
    this.#closing ??= this.#run()
    return this.#closing
  }

  async #run(): Promise<void> {
    const errors: unknown[] = []
    for (let release = this.#releases.pop(); release !== undefined;) {
      try {
        await release()
      } catch (error) {
        errors.push(error)
      }
      release = this.#releases.pop()
    }
    if (errors.length > 0) throw errors[0]
  }
}

/**
 * Opens something in several steps, so that a step that fails releases what the earlier ones got.
 * @param open acquires, pushing a release after each step; what it returns belongs to the caller
 * together with the stack
 * @throws whatever `open` throws, after the releases have run
 */
export async function openInSteps<T>(open: (stack: CloseStack) => Promise<T>): Promise<T> {
  const stack = new CloseStack()
  try {
    return await open(stack)
  } catch (error) {
    // The reason for the failed open is worth more than that of a failed release.
    await stack.close().catch(() => undefined)
    throw error
  }
}
