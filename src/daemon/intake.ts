/**
 * Takes a page of another device's records into the tree in slices, so that whoever uses the mount
 * meanwhile does not feel it: each is short, and between two the thread is somebody else's.
 */
import { setImmediate, setTimeout as sleep } from 'node:timers/promises'
import type { GenerationNumber } from '../format/ids.js'
import type { ForeignPage } from '../generation/foreign.js'
import type { HeardRecord, Remote } from '../vfs/remote.js'

/** How long a slice may hold the thread, ms. */
const SLICE_MS = 8
/** Of the time that a slice took, how much is left to others before the next one. */
const REST = 0.5
const LEAST_RECORDS = 16

/**
 * Takes a page in; the cursor is kept with its last slice, so that a crash repeats the page.
 * @returns greatest ms by which a stamp was ahead of this device's clock beyond the bound
 * @throws {FsError} as `Remote.takeIn`
 */
export async function takeInSlices(
  remote: Pick<Remote, 'takeIn'>,
  generation: GenerationNumber,
  { records, seen, next }: ForeignPage
): Promise<number> {
  const heard = records.filter(isRecord)
  let aheadMs = 0
  let size = LEAST_RECORDS
  let at = 0
  do {
    const slice = heard.slice(at, at + size)
    at += size
    const isLast = at >= heard.length
    const startMs = performance.now()
    const taken = isLast
      ? remote.takeIn(generation, slice, next, seen ?? [])
      : remote.takeIn(generation, slice, null)
    const tookMs = performance.now() - startMs
    aheadMs = Math.max(aheadMs, taken.aheadMs)
    size = nextSize(slice.length, tookMs)
    if (isLast) break
    // The kernel's requests come in by the event loop: even a short rest serves them.
    if (tookMs * REST < 1) await setImmediate()
    else await sleep(tookMs * REST)
  } while (at < heard.length)
  return aheadMs
}

function nextSize(size: number, tookMs: number): number {
  const fitting = Math.round((size * SLICE_MS) / Math.max(tookMs, 0.1))
  return Math.max(LEAST_RECORDS, Math.min(fitting, 4 * size))
}

function isRecord(entry: ForeignPage['records'][number]): entry is HeardRecord {
  return entry.record !== null
}
