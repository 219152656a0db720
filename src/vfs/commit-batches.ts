/** The records of a commit as batches of the bee, each of which is a tree by itself. */
import type { DirentEntry, NodeEntry } from '../generation/types.js'
import type { Author } from '../union/author.js'
import type { Row } from '../union/row.js'
import type { ContentStore } from './content-store.js'
import type { Claim } from './horizon.js'

/** Entries of one bee batch: a commit of a large tree is many. */
const BATCH_ENTRIES = 5000

/** What a commit writes. */
export interface CommitRecords {
  /** Nodes; null: no name shows it. */
  readonly rows: ReadonlyMap<number, Row | null>
  /** Records of nodes that no name shows. */
  readonly graves: ReadonlyMap<number, Buffer>
  /** Directory entries with the nodes that they name; 0: none, or several. */
  readonly dirents: readonly { readonly ino: number; readonly entry: DirentEntry }[]
  readonly claim: Claim
}

/**
 * Writes the records, then what was seen of other devices.
 * @returns the bee's version behind the last batch with records; null: there were none
 * @throws {FsError} EIO, ENOSPC
 */
export async function writeRecords(
  { store, author }: { readonly store: Pick<ContentStore, 'commit'>; readonly author: Author },
  { rows, graves, dirents: all, claim }: CommitRecords
): Promise<number | null> {
  // A node's record and the entries that name it stay together, so that each batch by itself is
  // a tree whose every place has its entry.
  const byNode = new Map<number, DirentEntry[]>()
  const removed: DirentEntry[] = []
  for (const { ino, entry } of all) {
    const entries = byNode.get(ino)
    if (ino === 0) removed.push(entry)
    else if (entries) entries.push(entry)
    else byNode.set(ino, [entry])
  }
  let nodes: NodeEntry[] = []
  let dirents: DirentEntry[] = []
  let version: number | null = null
  const send = async (room: number, seen: Claim['seen'] = []): Promise<void> => {
    if (nodes.length + dirents.length + room <= BATCH_ENTRIES) return
    const after = await store.commit({ nodes, dirents, seen })
    if (nodes.some(({ record }) => record !== null)) version = after
    nodes = []
    dirents = []
  }
  for (const ino of new Set([...rows.keys(), ...byNode.keys()])) {
    const row = rows.get(ino)
    const entries = byNode.get(ino) ?? []
    await send(entries.length + 1)
    if (row !== undefined) {
      const record = row?.recordBytes ?? graves.get(ino) ?? null
      nodes.push({ id: author.idOf(ino), record })
    }
    dirents.push(...entries)
  }
  for (const entry of removed) {
    await send(1)
    dirents.push(entry)
  }
  const { seen } = claim
  if (nodes.length + dirents.length + seen.length > 0) await send(BATCH_ENTRIES + 1, seen)
  return version
}
