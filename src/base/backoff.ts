/** How long to wait between tries. */

/** Bounds of a back-off. */
export interface BackoffOptions {
  /** Wait after the first failure, milliseconds. */
  readonly firstMs: number
  /** Never longer than this, milliseconds. */
  readonly maxMs: number
}

/**
 * Doubles with each failure in a row.
 * @param failures how many in a row so far, from 1
 * @returns milliseconds to wait before the next try
 */
export function backoffMs(failures: number, options: BackoffOptions): number {
  const { firstMs, maxMs } = options
  // 2^30 first waits are beyond any maximum; more would only overflow.
  return Math.min(maxMs, firstMs * 2 ** Math.min(Math.max(failures, 1) - 1, 30))
}
