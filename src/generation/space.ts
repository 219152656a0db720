/** Where a generation's bytes are, and the compaction that makes the disk shrink. */
import type { Store } from '../store/store.js'
import type { ClearedCore } from './cleared-core.js'
import type { SpaceInfo } from './types.js'

/**
 * The state now; walks the store directory.
 * @param cores the generation's
 */
export async function spaceOf(store: Store, cores: readonly ClearedCore[]): Promise<SpaceInfo> {
  return {
    heldBytes: cores.reduce((sum, { heldBytes }) => sum + heldBytes, 0),
    reclaimableBytes: reclaimableOf(cores),
    diskBytes: await store.diskBytes()
  }
}

/**
 * Compacts the store when at least `minBytes` would be freed.
 * @returns whether it did
 */
export async function compactSpace(
  store: Store,
  cores: readonly ClearedCore[],
  minBytes: number
): Promise<boolean> {
  const reclaimable = reclaimableOf(cores)
  if (reclaimable === 0 || reclaimable < minBytes) return false
  // What is cleared while it runs may be too late for it.
  const cleared = cores.map((one) => one.clearedBytes)
  await store.compact()
  for (const [position, one] of cores.entries()) await one.setCompacted(cleared[position] ?? 0)
  return true
}

function reclaimableOf(cores: readonly ClearedCore[]): number {
  return cores.reduce((sum, { reclaimableBytes }) => sum + reclaimableBytes, 0)
}
