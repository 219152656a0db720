/**
 * Thumbnailers, indexers and the like read whatever they find. On a drive of which most is
 * elsewhere they would fetch all of it, and push out what a person uses. So what they read of
 * content that is not on this device counts against an hourly budget, is read without read-ahead
 * and not kept; beyond the budget they get EIO, and an alarm names them. What is here they read as
 * anybody does.
 */
import type { Alarms } from '../base/alarms.js'
import type { Clock } from '../base/clock.js'
import { FsError } from '../base/errors.js'

const HOUR_MS = 3_600_000
/** A process is taken for the same for so long: ids are used again. */
const KNOWN_MS = 1000
/** Processes that are remembered. */
const KNOWN_LIMIT = 256
/** What was read for them is let go after so long without another read. */
const RELEASE_MS = 5000

const ALARM = 'HYDRATION_STORM'

/** How much background readers may fetch. */
export interface BackgroundLimits {
  /** Names of processes as in /proc/PID/comm, at most 15 characters each. */
  readonly names: ReadonlySet<string>
  /** Bytes of content from elsewhere in an hour. */
  readonly hourlyBytes: number
}

/** The parts it works with. */
export interface BackgroundParts {
  readonly limits: BackgroundLimits
  /** The name of a process, or null when it is gone. */
  readonly nameOf: (pid: number) => string | null
  readonly clock: Pick<Clock, 'monotonicMs'>
  readonly alarms: Alarms
  /** Lets go what is held of a file locally; false while it is in use. */
  readonly release: (ino: number) => boolean
}

/** See the file's head. */
export class BackgroundReaders {
  readonly #known = new Map<number, { readonly name: string | null; readonly atMs: number }>()
  readonly #read = new Set<number>()
  #hourSinceMs = -Infinity
  #hourBytes = 0
  #timer: NodeJS.Timeout | null = null

  constructor(private readonly parts: BackgroundParts) {}

  /** The name of a background reader, or null: somebody waits for what this process reads. */
  nameOf(pid: number): string | null {
    const { clock, limits } = this.parts
    if (pid === 0 || limits.names.size === 0) return null
    const nowMs = clock.monotonicMs()
    let known = this.#known.get(pid)
    if (!known || nowMs - known.atMs > KNOWN_MS) {
      if (this.#known.size >= KNOWN_LIMIT) this.#known.clear()
      known = { name: this.parts.nameOf(pid), atMs: nowMs }
      this.#known.set(pid, known)
    }
    return known.name !== null && limits.names.has(known.name) ? known.name : null
  }

  /**
   * Counts what is about to be fetched for a background reader.
   * @throws {FsError} EIO when the hour's budget is used up
   */
  admit(name: string, bytes: number): void {
    const { clock, limits, alarms } = this.parts
    const nowMs = clock.monotonicMs()
    if (nowMs - this.#hourSinceMs >= HOUR_MS) {
      this.#hourSinceMs = nowMs
      this.#hourBytes = 0
      alarms.clear(ALARM)
    }
    if (this.#hourBytes + bytes > limits.hourlyBytes) {
      alarms.raise(
        ALARM,
        `${name} reads content that is not on this device; it gets errors until the hour is ` +
          'over. Tell it to leave the mount alone, or raise PCFS_BACKGROUND_BYTES'
      )
      throw new FsError('EIO', `${name} has read too much that is not on this device`)
    }
    this.#hourBytes += bytes
  }

  /** A file was fetched for a background reader: it is not to be kept. */
  noteRead(ino: number): void {
    this.#read.add(ino)
    this.#timer ??= setTimeout(() => this.#letGo(), RELEASE_MS).unref()
  }

  /** Somebody else reads the file: it stays. */
  keep(ino: number): void {
    this.#read.delete(ino)
  }

  close(): void {
    if (this.#timer) clearTimeout(this.#timer)
    this.#timer = null
  }

  #letGo(): void {
    this.#timer = null
    for (const ino of this.#read) {
      this.#read.delete(ino)
      this.parts.release(ino)
    }
  }
}
