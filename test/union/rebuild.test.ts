import assert from 'node:assert'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import t from 'tap'
import type { Clock } from '../../src/base/clock.js'
import type { NodeId } from '../../src/format/ids.js'
import { ROOT_ID, toGenerationNumber } from '../../src/format/ids.js'
import { encodeRecord } from '../../src/format/record-codec.js'
import type { NodeRecord } from '../../src/format/record.js'
import { materialise } from '../../src/format/tree.js'
import { Author } from '../../src/union/author.js'
import { Index } from '../../src/union/index-store.js'
import { MergeTables } from '../../src/union/merge-tables.js'
import { rebuildIndex } from '../../src/union/rebuild.js'
import { deviceOptions } from '../format/drive-model.js'
import { history, play } from '../format/histories.js'

const clock: Clock = { nowMs: () => 1e12, nowNs: () => 10n ** 18n, monotonicMs: () => 0 }

/** Names by directory, as the index has them. */
function namesIn(index: Index, author: Author): Map<NodeId, string[]> {
  const dirs = new Map<NodeId, string[]>()
  const queue = [ROOT_ID]
  for (let dir = queue.pop(); dir !== undefined; dir = queue.pop()) {
    const names: string[] = []
    for (const { name, ino, dtype } of index.children(author.inoOf(dir))) {
      names.push(`${name} ${author.idOf(ino)}`)
      if (dtype === 4) queue.push(author.idOf(ino))
    }
    dirs.set(dir, names.sort())
  }
  return dirs
}

t.test('an index of several generations is made anew, and is what their records make', async () => {
  await fc.assert(
    fc.asyncProperty(history, async (value) => {
      const directory = mkdtempSync(join(tmpdir(), 'pcfs-rebuild-'))
      const index = Index.open(directory)
      try {
        const { devices } = play(value)
        const author = new Author(index, toGenerationNumber(1), clock)
        async function* all(): AsyncGenerator<{ id: NodeId; record: Buffer }> {
          for (const { records } of devices) {
            for (const [id, record] of records) yield { id, record: encodeRecord(record) }
          }
        }
        await rebuildIndex({ index, author, records: all(), ...deviceOptions, isShared: true })
        const records: ReadonlyMap<NodeId, NodeRecord> = devices[0]?.records ?? new Map()
        const expected = new Map<NodeId, string[]>()
        for (const [dir, entries] of materialise(records, deviceOptions).dirs) {
          const names = entries.map(({ name, node }) => `${name.toString('latin1')} ${node}`)
          expected.set(dir, names.sort())
        }
        const sorted = (dirs: Map<NodeId, string[]>): unknown =>
          [...dirs].sort(([a], [b]) => (a < b ? -1 : 1))
        assert.deepStrictEqual(sorted(namesIn(index, author)), sorted(expected))
        const tables = new MergeTables(index, author)
        for (const [id, record] of records) {
          const known = tables.record(id)
          assert.ok(known && encodeRecord(known).equals(encodeRecord(record)), `record ${id}`)
        }
      } finally {
        await index.close()
        rmSync(directory, { recursive: true })
      }
    }),
    { numRuns: 60, seed: Number(process.env['PCFS_SEED'] ?? 3), interruptAfterTimeLimit: 20_000 }
  )
})
