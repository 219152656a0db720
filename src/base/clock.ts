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

/** The clock of this machine, at microsecond resolution or better. */
export function systemClock(): Clock {
  return {
    nowNs: () => BigInt(Math.round((performance.timeOrigin + performance.now()) * 1e3)) * 1000n,
    nowMs: () => Date.now(),
    monotonicMs: () => performance.now()
  }
}
