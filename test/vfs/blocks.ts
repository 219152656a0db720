/** Accounts for every block of a test volume: used by a file, kept as history, or leaked. */
import type { BlockRun } from '../../src/generation/types.js'
import { contentMapOf, dataWinner } from '../../src/format/winner.js'
import { decodeNote } from '../../src/vfs/history.js'
import type { TestVolume } from './test-volume.js'

function historyRuns(volume: TestVolume): readonly BlockRun[] {
  const notes = volume.fs.volume.parts.index.metaRange('hist:')
  return notes.flatMap(({ value }) => decodeNote(value).runs)
}

/** The blocks that nothing knows of, after everything has been committed; none is right. */
export async function leakedBlocks(volume: TestVolume): Promise<number[]> {
  await volume.flush()
  await volume.flush()
  const known = new Set<number>()
  const add = ({ block, count }: BlockRun): void => {
    for (let i = 0; i < count; i++) known.add(block + i)
  }
  for (const row of volume.fs.volume.parts.index.rows()) {
    const map = contentMapOf(dataWinner(row.record))
    if (map) (await volume.store.runsOf(map)).forEach(add)
  }
  historyRuns(volume).forEach(add)
  const { blobsLength } = await volume.store.info()
  return Array.from({ length: blobsLength }, (_, block) => block).filter(
    (block) => !known.has(block)
  )
}

/** How many blocks are kept as history. */
export function historyBlocks(volume: TestVolume): number {
  return historyRuns(volume).reduce((sum, run) => sum + run.count, 0)
}
