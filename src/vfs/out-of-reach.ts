/**
 * Files whose commit needs a part of another device's block that is not here and that nobody who
 * is connected has: an append to a file that was never read, away from home. They wait, so that
 * they do not hold up the commits of all others.
 */
import { FsError } from '../base/errors.js'
import type { Alarms } from '../base/alarms.js'
import { BLOCK_BYTES } from '../format/content-map.js'
import type { ContentStore, FrozenFile } from './content-store.js'
import type { Tracker } from './tracker.js'

const ALARM = 'CONTENT_ELSEWHERE'
/** Before such a file is tried again. */
const WAIT_MS = 10_000

/** The parts it works with. */
export interface OutOfReachParts {
  readonly store: Pick<ContentStore, 'coldBlocks'>
  readonly tracker: Pick<Tracker, 'holdBack' | 'hasFile'>
  readonly alarms: Alarms
  readonly monotonicMs: () => number
}

/** See the file's head. */
export class OutOfReach {
  readonly #waiting = new Set<number>()

  constructor(private readonly parts: OutOfReachParts) {}

  /**
   * A commit of these files has failed, and its batch was given back to the tracker: holds back
   * those that were the reason.
   * @returns whether there were any, so that the others can be committed at once
   */
  async holdBack(files: readonly FrozenFile[], error: unknown): Promise<boolean> {
    const isReason = error instanceof FsError && ELSEWHERE.has(error.code)
    if (!isReason) return false
    const { tracker, monotonicMs } = this.parts
    let isAny = false
    for (const file of files) {
      if (!(await this.#isElsewhere(file))) continue
      isAny = true
      this.#waiting.add(file.ino)
      tracker.holdBack(file.ino, monotonicMs() + WAIT_MS)
    }
    this.#tell()
    return isAny
  }

  /** A commit has succeeded: which of the files still wait. */
  review(): void {
    if (this.#waiting.size === 0) return
    for (const ino of this.#waiting) {
      if (!this.parts.tracker.hasFile(ino)) this.#waiting.delete(ino)
    }
    this.#tell()
  }

  #tell(): void {
    const count = this.#waiting.size
    if (count === 0) this.parts.alarms.clear(ALARM)
    else {
      const what = count === 1 ? 'a file was' : `${count} files were`
      this.parts.alarms.raise(
        ALARM,
        `${what} changed in a part of a block that is on another device only: it is kept here, ` +
          'and the others get it when that device is connected'
      )
    }
  }

  /** Whether a block that is changed in part has to come from elsewhere. */
  async #isElsewhere({ base, baseEnd, ranges }: FrozenFile): Promise<boolean> {
    if (base === null) return false
    for (const edge of ranges) {
      const block = Math.floor(edge / BLOCK_BYTES)
      if (edge % BLOCK_BYTES === 0 || block * BLOCK_BYTES >= baseEnd) continue
      try {
        if ((await this.parts.store.coldBlocks(base, block, 1)) > 0) return true
      } catch {
        // A part of the map is elsewhere too.
        return true
      }
    }
    return false
  }
}

const ELSEWHERE: ReadonlySet<string> = new Set(['EHOSTUNREACH', 'ETIMEDOUT'])
