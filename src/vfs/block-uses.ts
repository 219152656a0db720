/**
 * Which own blocks the files of the tree use, asked for a few files at a time: those that some
 * blocks were written for, and those that are noted as users of blocks of others (`uses:`).
 */
import { blocksOf } from '../format/content-map.js'
import type { DataVersion } from '../format/record.js'
import type { BlockRun } from '../generation/types.js'
import type { Change } from '../union/changes.js'
import type { Index } from '../union/index-store.js'
import { USES_KEYS, inoOfKey } from './aftermath.js'
import type { ContentStore } from './content-store.js'
import type { Horizon } from './horizon.js'

/** The parts it works with. */
export interface BlockUsesParts {
  readonly index: Index
  readonly store: Pick<ContentStore, 'runsOf' | 'coldBlocks'>
  readonly horizon: Pick<Horizon, 'current'>
  /** Journals and applies changes. */
  readonly apply: (changes: readonly Change[]) => void
}

/** See the file's head. */
export class BlockUses {
  constructor(private readonly parts: BlockUsesParts) {}

  /** Own blocks that any version of these files uses. */
  async runsOf(inos: Iterable<number>): Promise<readonly BlockRun[]> {
    const runs: BlockRun[] = []
    for (const ino of inos) {
      for (const { content } of this.#versionsOf(ino)) {
        if (content.type !== 'file') continue
        for (const map of content.maps) runs.push(...(await this.parts.store.runsOf(map)))
      }
    }
    return runs
  }

  /** As `runsOf`, with those of all files that use blocks which were not written for them. */
  async runsOfUsers(inos: Iterable<number>): Promise<readonly BlockRun[]> {
    const runs = [...(await this.runsOf(inos))]
    const ended: Change[] = []
    for (const { key } of this.parts.index.metaRange(USES_KEYS)) {
      const used = await this.runsOf([inoOfKey(key)])
      if (used.length === 0) ended.push({ kind: 'meta', key, value: null })
      else runs.push(...used)
    }
    if (ended.length > 0) this.parts.apply(ended)
    return runs
  }

  /**
   * Whether the versions that these files have now can be read for sure: their authors still
   * belong, or their blocks are here.
   */
  async areSafe(inos: Iterable<number>): Promise<boolean> {
    const current = this.parts.horizon.current()
    for (const ino of inos) {
      for (const { dot, content } of this.#versionsOf(ino)) {
        if (content.type !== 'file' || current.has(dot.generation)) continue
        const [map] = content.maps
        if (!map) continue
        if ((await this.parts.store.coldBlocks(map, 0, blocksOf(content.size))) > 0) return false
      }
    }
    return true
  }

  /** The versions of a file that a name shows, losers of a conflict too. */
  #versionsOf(ino: number): readonly DataVersion[] {
    return this.parts.index.node(ino)?.record.data ?? []
  }
}

/** What of `runs` is in none of `used`; sorted. */
export function withoutRuns(runs: readonly BlockRun[], used: readonly BlockRun[]): BlockRun[] {
  const kept = [...used].sort((a, b) => a.block - b.block)
  const result: BlockRun[] = []
  let at = 0
  let from = 0
  for (const run of [...runs].sort((a, b) => a.block - b.block)) {
    const end = run.block + run.count
    let start = Math.max(run.block, from)
    while (start < end) {
      let hole = kept[at]
      while (hole && hole.block + hole.count <= start) hole = kept[++at]
      const stop = hole ? Math.min(end, hole.block) : end
      if (stop > start) result.push({ block: start, count: stop - start })
      start = hole && hole.block < end ? Math.max(stop, hole.block + hole.count) : stop
    }
    from = Math.max(from, end)
  }
  return result
}
