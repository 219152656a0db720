/**
 * Time as a value that is passed down, so that tests can turn it by hand. Only `daemon/` makes the
 * real one.
 */

/** Where the time comes from. */
export interface Clock {
  /** Wall clock, nanoseconds since 1970 (UTC). May jump. */
  nowNs(): bigint
  /** Wall clock, whole milliseconds since 1970 (UTC). May jump. */
  nowMs(): number
  /** Milliseconds of a clock that never goes back; its zero has no meaning. */
  monotonicMs(): number
}

/**
 * How far the fine wall clock may be from the system's before it is set by it, ms: it runs with the
 * monotonic clock, which stands still while the machine sleeps.
 */
const DRIFT_MS = 2

/**
 * The clock of this machine, at microsecond resolution.
 * @param read its two sources; given by tests only
 */
export function systemClock(
  read: Pick<Clock, 'nowMs' | 'monotonicMs'> = {
    nowMs: () => Date.now(),
    monotonicMs: () => performance.now()
  }
): Clock {
  let zeroMs = read.nowMs() - read.monotonicMs()
  return {
    ...read,
    nowNs: () => {
      const wallMs = read.nowMs()
      const sinceMs = read.monotonicMs()
      if (Math.abs(zeroMs + sinceMs - wallMs) > DRIFT_MS) zeroMs = wallMs - sinceMs
      return BigInt(Math.round((zeroMs + sinceMs) * 1e3)) * 1000n
    }
  }
}
