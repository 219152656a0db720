/** Something in the middle of a commit. */
import type { ContentStore } from '../../src/vfs/content-store.js'

/** Calls of a commit: what happens on the first device right after one of them. */
export const MOMENTS = ['ingest', 'commit', 'barrier'] as const
type Moment = (typeof MOMENTS)[number]

/** Something that is done once, in the middle of a commit of the first device. */
export class Interruption {
  #at: { moment: Moment; run: () => Promise<void> } | null = null

  next(moment: Moment, run: () => Promise<void>): void {
    this.#at = { moment, run }
  }

  get isOver(): boolean {
    return this.#at === null
  }

  wrap(store: ContentStore): ContentStore {
    return new Proxy(store, {
      get: (target, name) => {
        const value: unknown = Reflect.get(target, name)
        if (typeof value !== 'function') return value
        return async (...args: unknown[]): Promise<unknown> => {
          const answer: unknown = await Reflect.apply(value, target, args)
          const at = this.#at
          if (at?.moment === name) {
            this.#at = null
            await at.run()
          }
          return answer
        }
      }
    })
  }
}
