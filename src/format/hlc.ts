/**
 * The hybrid logical clock. A stamp orders concurrent versions and nothing else: causality comes
 * from vectors, so that a wrong clock can at worst choose the other of two versions that are kept.
 */

/**
 * Physical milliseconds since 1970 (48 bits) << 16 | counter (16 bits): an unsigned 64-bit number.
 */
export type Stamp = bigint

/** How far ahead of this device's clock a peer may pull it. */
export const MAX_AHEAD_MS = 60_000

const COUNTER_BITS = 16n

/**
 * The next stamp of this device: greater than `last`, and not before the wall clock.
 * @param last the greatest stamp that this device has issued or taken over; kept durably by the
 *   caller, so that a restart does not go back
 * @param nowMs wall clock, ms since 1970; may have jumped either way
 * @returns the new stamp, which is also the new `last`
 */
export function tick(last: Stamp, nowMs: number): Stamp {
  const now = stampFromMs(nowMs)
  return now > last ? now : last + 1n
}

/**
 * What `receive` says: the new `last`, and by how much the peer was out of bounds (null: it was
 * not).
 */
export interface Received {
  readonly last: Stamp
  /** ms that the peer's stamp is ahead of this clock; only when more than `MAX_AHEAD_MS`. */
  readonly offendingAheadMs: number | null
}

/**
 * Takes over a peer's stamp, so that what is written here later is stamped later; but never goes
 * more than `MAX_AHEAD_MS` beyond this device's clock because of a peer.
 * @param last as in `tick`
 * @param seen a stamp of a peer's record
 * @param nowMs wall clock, ms since 1970
 */
export function receive(last: Stamp, seen: Stamp, nowMs: number): Received {
  const bound = stampFromMs(nowMs + MAX_AHEAD_MS)
  const taken = seen < bound ? seen : bound
  const aheadMs = stampMs(seen) - nowMs
  return {
    last: taken > last ? taken : last,
    offendingAheadMs: aheadMs > MAX_AHEAD_MS ? aheadMs : null
  }
}

/** The physical part: ms since 1970. */
export function stampMs(stamp: Stamp): number {
  return Number(stamp >> COUNTER_BITS)
}

/** The first stamp of a millisecond since 1970; before 1970 counts as 1970. */
export function stampFromMs(ms: number): Stamp {
  return BigInt(Math.max(0, Math.floor(ms))) << COUNTER_BITS
}
