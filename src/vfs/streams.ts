/**
 * Files that are being streamed to: a commit that took the first half of a copy would read, hash
 * and encrypt beside the writer, on the same disk and cores, and the copy would be felt. So such a
 * file waits for a pause, or for a bound: of age, so that little is lost with the disk; of bytes,
 * so that neither the backlog nor the room that it needs twice grows without one.
 */
import { STAT_BYTES } from '../union/row.js'
import type { VolumeParts } from './volume.js'

/** Below this, a commit is not felt. */
const LEAST_BYTES = 8 * 2 ** 20
const MOST_BYTES = 2 ** 30
/** A writer that was silent for so long has paused. */
const PAUSE_NS = 400_000_000n
const MOST_MS = 10_000
/** When a file that is held is looked at again. */
const LOOK_AGAIN_MS = 250

/** What is known of one file with uncommitted bytes. */
export interface Stream {
  readonly dirtyBytes: number
  /** How long it has waited for a commit. */
  readonly waitedMs: number
  /** Since its last write; wall clock. */
  readonly silentNs: bigint
}

/**
 * Whether a commit had better leave a file out for now.
 * @param spareBytes how many more bytes may be written before the disk is full
 */
export function isStreaming(stream: Stream, spareBytes: number): boolean {
  const { dirtyBytes, waitedMs, silentNs } = stream
  if (dirtyBytes < LEAST_BYTES || dirtyBytes >= Math.min(MOST_BYTES, spareBytes / 2)) return false
  return waitedMs < MOST_MS && silentNs >= 0n && silentNs < PAUSE_NS
}

/**
 * Until when a file with uncommitted bytes had better wait.
 * @param file how long it has waited, and how many bytes may be written until the disk is full
 * @returns monotonic ms; null: it is to be committed
 */
export function heldUntilMs(
  { plane, clock }: Pick<VolumeParts, 'plane' | 'clock'>,
  ino: number,
  file: { readonly waitedMs: number; readonly spareBytes: number }
): number | null {
  const inode = Buffer.alloc(STAT_BYTES)
  if (!plane.getInode(ino, inode)) return null
  const dirtyBytes = plane.dirtyBytes(Float64Array.of(ino))
  const silentNs = clock.nowNs() - inode.readBigInt64LE(24)
  const stream = { dirtyBytes, silentNs, waitedMs: file.waitedMs }
  return isStreaming(stream, file.spareBytes) ? clock.monotonicMs() + LOOK_AGAIN_MS : null
}
