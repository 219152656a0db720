/**
 * Announces and looks up again while it may help. Hyperswarm by itself does so every 10 minutes and
 * gives up a peer after four attempts: two devices that looked before the other had announced, or
 * that a router's outage has parted, would be without each other for that long.
 */
import type Hyperswarm from 'hyperswarm'

/** Waits between look-ups while nobody is connected, ms; then the last one. */
const ALONE_MS = [1500, 4000, 10_000, 20_000, 60_000]

/** The wait while somebody is connected: others may be missing. */
const ACCOMPANIED_MS = 120_000

/** See the file's head. */
export class Redial {
  readonly #discovery: Hyperswarm.Discovery
  readonly #isAccompanied: () => boolean
  #timer: NodeJS.Timeout | null = null
  #tries = 0
  #isStopped = false

  /** @param isAccompanied whether any peer is connected */
  constructor(discovery: Hyperswarm.Discovery, isAccompanied: () => boolean) {
    this.#discovery = discovery
    this.#isAccompanied = isAccompanied
    this.#schedule()
  }

  /** Something has changed: look up soon, and then in growing intervals again. */
  now(): void {
    this.#isStopped = false
    this.#tries = 0
    this.#schedule(100)
  }

  /** Looks up no more until `now`. */
  stop(): void {
    this.#isStopped = true
    if (this.#timer !== null) clearTimeout(this.#timer)
  }

  #schedule(soonMs?: number): void {
    if (this.#timer !== null) clearTimeout(this.#timer)
    const aloneMs = ALONE_MS[Math.min(this.#tries, ALONE_MS.length - 1)] ?? ACCOMPANIED_MS
    // After a change even an accompanied device looks a few times: the change may be a new member.
    const isPatient = this.#isAccompanied() && this.#tries > 2
    const waitMs = soonMs ?? (isPatient ? ACCOMPANIED_MS : aloneMs)
    this.#timer = setTimeout(() => {
      void this.#lookUp()
    }, waitMs)
    this.#timer.unref()
  }

  async #lookUp(): Promise<void> {
    this.#tries++
    await this.#discovery.refresh().catch(() => undefined)
    if (!this.#isStopped) this.#schedule()
  }
}
