/** Bounded waiting: everything that waits ends, by itself or by its caller's signal. */
import { FsError } from './errors.js'

/** How long something may take, and who may end it sooner. */
export interface DeadlineOptions {
  /** Milliseconds until it fails with ETIMEDOUT. */
  readonly ms: number
  /** What is waited for, to be named in the error, for example "the flush". */
  readonly what: string
  /** The caller's own signal. */
  readonly signal?: AbortSignal | undefined
}

/**
 * Runs work that gets a signal, and stops waiting for it at the deadline even when it ignores that
 * signal. What the work does after that is its own affair; a late failure is not reported.
 * @throws {FsError} ETIMEDOUT at the deadline; the signal's reason when the caller ended it
 */
export async function withDeadline<T>(
  options: DeadlineOptions,
  work: (signal: AbortSignal) => Promise<T>
): Promise<T> {
  const { ms, what, signal } = options
  signal?.throwIfAborted()
  const inner = new AbortController()
  const late = new FsError('ETIMEDOUT', `${what} took longer than ${ms / 1000} s`)
  return new Promise<T>((resolve, reject) => {
    const stop = (reason: unknown): void => {
      settle()
      inner.abort(reason)
      reject(reason instanceof Error ? reason : new FsError('EINTR', `${what} was ended`))
    }
    const onAbort = (): void => stop(signal?.reason)
    const timer = setTimeout(() => stop(late), ms)
    const settle = (): void => {
      clearTimeout(timer)
      signal?.removeEventListener('abort', onAbort)
    }
    signal?.addEventListener('abort', onAbort, { once: true })
    work(inner.signal).then(resolve, reject).finally(settle)
  })
}
