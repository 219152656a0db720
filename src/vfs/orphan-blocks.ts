/**
 * Blocks that an interrupted commit appended are in no row's map: they are found at the next start
 * and given to the history like any that are superseded.
 */
import type { Alarms } from '../base/alarms.js'
import type { ContentStore } from './content-store.js'
import { BLOBS_KEY, blobsLengthChange, type History } from './history.js'
import type { Ingester } from './ingester.js'
import type { Volume } from './volume.js'

/** Book-keeping keys of their ranges. */
const ORPHANS_PREFIX = 'orphans:'

/** The parts it works with. */
export interface OrphanBlocksParts {
  readonly volume: Volume
  readonly history: Pick<History, 'supersede'>
  readonly ingester: Pick<Ingester, 'flush'>
  readonly store: Pick<ContentStore, 'info'>
  readonly alarms: Alarms
}

/**
 * Gives up blocks behind what the last commit has noted. Records in the generation may name them
 * until the same files have been committed again, so that comes first; the range is noted
 * meanwhile.
 * @throws what the commit fails with
 */
export async function sweepOrphanBlocks(parts: OrphanBlocksParts): Promise<void> {
  const { volume, history, ingester, store, alarms } = parts
  const { index } = volume.parts
  const known = index.meta(BLOBS_KEY)?.readUIntLE(0, 6) ?? 0
  const { blobsLength } = await store.info()
  if (blobsLength < known) {
    alarms.raise(
      'STORE_SHORT',
      `the store holds ${blobsLength} content blocks where ${known} were written: it has lost ` +
        'data or was replaced by an older copy; files whose blocks are missing answer EIO'
    )
  }
  if (blobsLength > known) {
    const value = Buffer.alloc(12)
    value.writeUIntLE(known, 0, 6)
    value.writeUIntLE(blobsLength - known, 6, 6)
    volume.apply([
      { kind: 'meta', key: ORPHANS_PREFIX + known, value },
      blobsLengthChange(blobsLength)
    ])
  }
  const orphans = index.metaRange(ORPHANS_PREFIX)
  if (orphans.length === 0) return
  await ingester.flush()
  for (const { key, value } of orphans) {
    const run = { block: value.readUIntLE(0, 6), count: value.readUIntLE(6, 6) }
    volume.apply([...history.supersede([run], []), { kind: 'meta', key, value: null }])
  }
}
