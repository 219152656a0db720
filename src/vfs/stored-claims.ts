/** Who claims a name, as it is stored beside the records. */
import { type Claim, direntKey, encodeClaims } from '../format/dirent.js'
import { type NodeId, linkDot } from '../format/ids.js'
import type { NodeRecord } from '../format/record.js'
import { placeWinner } from '../format/winner.js'
import type { DirentEntry } from '../generation/types.js'
import type { Name } from '../union/changes.js'
import type { MergeTables } from '../union/merge-tables.js'
import type { DirentPlace } from './tracker.js'

/** A directory entry with the node that it names; 0: none, or several. */
export interface StoredEntry {
  readonly ino: number
  readonly entry: DirentEntry
}

/** What is stored of a name as it is now. */
export function storedEntry(tables: MergeTables, place: DirentPlace): StoredEntry {
  const { index, author } = tables
  const parent = author.idOf(place.parent)
  const key = direntKey({ parent, name: Buffer.from(place.name, 'latin1') })
  if (tables.isTangledDir(index.node(place.parent))) {
    return { ino: 0, entry: { key, value: allClaims(tables, parent, place.name) } }
  }
  const dirent = index.dirent(place.parent, place.name)
  const row = dirent && index.node(dirent.ino)
  if (!dirent || !row) return { ino: 0, entry: { key, value: null } }
  const claim = claimOf(author.idOf(dirent.ino), row.record, dirent.link)
  return { ino: dirent.ino, entry: { key, value: encodeClaims([claim]) } }
}

/** One node's claim by one of its links. */
function claimOf(node: NodeId, record: NodeRecord, link: Claim['link']): Claim {
  const { kind } = record
  const place = placeWinner(record, link)
  const { dot, vector, stamp } = place ?? { dot: linkDot(link), vector: [], stamp: 0n }
  return { node, kind, link, state: 'here', dot, vector, stamp, unknown: null }
}

/** All claims that are known to a name of a directory's own; null: none. */
function allClaims(tables: MergeTables, parent: NodeId, name: Name): Buffer | null {
  const claims = tables.claimsAt(parent, name).flatMap(({ node, link }) => {
    const record = tables.record(node)
    return record ? [claimOf(node, record, link)] : []
  })
  return claims.length === 0 ? null : encodeClaims(claims)
}
