/**
 * Where a generation's bytes are, and how the disk gets back those that were cleared.
 *
 * In two steps. Dropping dead files costs next to nothing and frees what was appended together and
 * is dead together: old versions of large files. What is dead between live blocks takes a rewrite
 * of all live content, so that one is made only when a third of the content is dead: over time each
 * byte is rewritten twice at most for every byte that is freed, and the disk holds at most half
 * again what is live.
 */
import type { Store } from '../store/store.js'
import type { ClearedCore } from './cleared-core.js'
import type { SpaceInfo } from './types.js'

/** Dead bytes for each live one at which a rewrite pays. */
const REWRITE_RATIO = 0.5

/**
 * The state now; walks the store directory.
 * @param generation its cores
 */
export async function spaceOf(
  store: Store,
  { db, blobs }: { readonly db: ClearedCore; readonly blobs: ClearedCore }
): Promise<SpaceInfo> {
  const { dead } = await store.contentBytes()
  const cores = [db, blobs]
  return {
    heldBytes: db.heldBytes + blobs.heldBytes,
    recordBlocks: await db.core.count(0, db.core.length),
    reclaimableBytes: clearedOf(cores) + dead,
    diskBytes: await store.diskBytes()
  }
}

/**
 * Gives cleared bytes back to the disk when at least `minBytes` were cleared since the last time.
 * @param minBytes below it nothing is done; also the fewest dead bytes that are worth a rewrite
 * @returns whether anything was done
 */
export async function compactSpace(
  store: Store,
  cores: readonly ClearedCore[],
  minBytes: number
): Promise<boolean> {
  const fresh = clearedOf(cores)
  if (fresh === 0 || fresh < minBytes) return false
  // What is cleared while it runs may be too late for it.
  const cleared = cores.map((one) => one.clearedBytes)
  await store.dropDead()
  for (const [position, one] of cores.entries()) await one.setCompacted(cleared[position] ?? 0)
  const { live, dead } = await store.contentBytes()
  const isWorthIt = dead > 0 && dead >= minBytes && dead >= live * REWRITE_RATIO
  if (isWorthIt && (await store.freeBytes()) > live) await store.rewrite()
  return true
}

function clearedOf(cores: readonly ClearedCore[]): number {
  return cores.reduce((sum, { reclaimableBytes }) => sum + reclaimableBytes, 0)
}
