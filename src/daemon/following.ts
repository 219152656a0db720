/**
 * Takes what other devices have written into the tree, as it comes: for each of their generations,
 * one after the other, pages of records from the store's thread, until there is nothing more.
 *
 * How far each has come is kept with the tree itself, so that a crash repeats a page and skips
 * none.
 */
import type { Logger } from '../base/log.js'
import type { GenerationNumber } from '../format/ids.js'
import type { ForeignCursor, ForeignPage } from '../generation/foreign.js'

/** After a failure, before the next try. */
const RETRY_MS = 5000

/** What it works between. */
export interface FollowingParts {
  /** Some records of a generation. */
  readonly read: (generation: GenerationNumber, cursor: ForeignCursor) => Promise<ForeignPage>
  /** How far the tree has them. */
  readonly cursorOf: (generation: GenerationNumber) => ForeignCursor
  /** Takes them into the tree together with the cursor. */
  readonly takeIn: (generation: GenerationNumber, page: ForeignPage) => Promise<void>
  /** There was nothing more of a generation. */
  readonly onUpToDate?: (generation: GenerationNumber) => void
  readonly log: Logger
}

/** See the file's head. */
export class Following {
  readonly #parts: FollowingParts
  /** Generations with news, in the order in which they came. */
  readonly #waiting = new Set<GenerationNumber>()
  readonly #retries = new Set<NodeJS.Timeout>()
  #running: Promise<void> | null = null
  #isClosed = false

  constructor(parts: FollowingParts) {
    this.#parts = parts
  }

  /** A generation may have something new. Cheap; called for every block that comes. */
  note(generation: GenerationNumber): void {
    if (this.#isClosed) return
    this.#waiting.add(generation)
    this.#start()
  }

  /** Whether all that was noted has been taken in. */
  get isIdle(): boolean {
    return this.#running === null && this.#retries.size === 0
  }

  /** Takes in nothing more; resolves when what is under way is done. */
  async close(): Promise<void> {
    this.#isClosed = true
    for (const timer of this.#retries) clearTimeout(timer)
    this.#retries.clear()
    await this.#running
  }

  #start(): void {
    this.#running ??= this.#run().finally(() => {
      this.#running = null
      // What came after the last look and before this.
      if (this.#waiting.size > 0 && !this.#isClosed) this.#start()
    })
  }

  async #run(): Promise<void> {
    for (;;) {
      const [generation] = this.#waiting
      if (generation === undefined || this.#isClosed) return
      this.#waiting.delete(generation)
      try {
        await this.#takeIn(generation)
      } catch (error) {
        this.#parts.log.warn({ err: error, generation }, "a device's records will be read again")
        this.#retry(generation)
      }
    }
  }

  async #takeIn(generation: GenerationNumber): Promise<void> {
    const { read, cursorOf, takeIn } = this.#parts
    let isComplete = false
    let isBehind = true
    while (!isComplete && !this.#isClosed) {
      const cursor = cursorOf(generation)
      const page = await read(generation, cursor)
      isComplete = page.isComplete
      isBehind = page.isBehind
      const isNews = page.records.length > 0 || page.next.version !== cursor.version
      if (isNews || page.next.scanned !== cursor.scanned) await takeIn(generation, page)
    }
    if (!isBehind) this.#parts.onUpToDate?.(generation)
  }

  #retry(generation: GenerationNumber): void {
    const timer = setTimeout(() => {
      this.#retries.delete(timer)
      this.note(generation)
    }, RETRY_MS)
    this.#retries.add(timer)
  }
}
