/**
 * One directory out of another generation's records, before its turn: what a listing needs while
 * the first scan of a large drive is under way. Blocks that are not here are asked for; those of
 * one directory lie in rows, so that a few round trips bring them.
 */
import { decodeClaims } from '../format/dirent.js'
import type { NodeId } from '../format/ids.js'
import type { Core } from '../store/core.js'
import type { Records, RecordsView } from '../store/records.js'
import { bufferOf, direntRecordKey, directoryRange, nodeRecordKey } from './key-spaces.js'
import type { NodeEntry } from './types.js'

/** Records that are read at a time: each is a way down the tree. */
const PARALLEL_RECORDS = 64

/**
 * The records of all nodes that claim a name in a directory, as the newest head that was heard of
 * has them.
 * @param core db core of the generation
 * @param name one name; null: all of them
 * @throws {FsError} ETIMEDOUT: a block did not come; EIO
 */
export async function listForeign(
  { core, records }: { readonly core: Core; readonly records: Records },
  parent: NodeId,
  name: Buffer | null
): Promise<NodeEntry[]> {
  const version = core.length
  // The bee reads block by block: what lies behind is asked for meanwhile.
  const view = records.view(Math.max(1, version), (block) => core.expect(block, version))
  try {
    const nodes = new Set<NodeId>()
    for (const claims of await claimsOf(view, parent, name)) {
      for (const { node } of decodeClaims(bufferOf(claims))) nodes.add(node)
    }
    return await recordsOf(view, [...nodes])
  } finally {
    await view.close()
  }
}

async function claimsOf(view: RecordsView, parent: NodeId, name: Buffer | null): Promise<Buffer[]> {
  if (name !== null) {
    const value = await view.get(direntRecordKey(parent, name))
    return value === null ? [] : [value]
  }
  const all: Buffer[] = []
  for await (const { value } of view.scan(directoryRange(parent))) all.push(value)
  return all
}

async function recordsOf(view: RecordsView, ids: readonly NodeId[]): Promise<NodeEntry[]> {
  const entries: NodeEntry[] = []
  for (let at = 0; at < ids.length; at += PARALLEL_RECORDS) {
    const some = ids.slice(at, at + PARALLEL_RECORDS)
    const found = await Promise.all(some.map((id) => view.get(nodeRecordKey(id))))
    for (const [i, id] of some.entries()) entries.push({ id, record: found[i] ?? null })
  }
  return entries
}
