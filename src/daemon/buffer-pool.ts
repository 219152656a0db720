/**
 * Node cuts small buffers out of pools of 8 KiB. Making a pool costs far more than a cut, and every
 * file that is made takes some 2 KiB of short-lived small buffers: with 8 KiB that was a sixth of
 * the thread that answers the kernel. A larger pool would keep more memory alive for one small
 * buffer that lasts.
 */
const POOL_BYTES = 64 * 1024

/** To be called once in each thread, before any work. */
export function enlargeBufferPool(): void {
  Buffer.poolSize = POOL_BYTES
}
