/** Who claims a name, as it is stored beside the records. */
import { type Claim, encodeClaims } from '../format/dirent.js'
import { type NodeId, linkDot } from '../format/ids.js'
import type { NodeRecord } from '../format/record.js'
import { placeWinner } from '../format/winner.js'
import type { Name } from '../union/changes.js'
import type { MergeTables } from '../union/merge-tables.js'

/** One node's claim by one of its links. */
export function claimOf(node: NodeId, record: NodeRecord, link: Claim['link']): Claim {
  const { kind } = record
  const place = placeWinner(record, link)
  const { dot, vector, stamp } = place ?? { dot: linkDot(link), vector: [], stamp: 0n }
  return { node, kind, link, state: 'here', dot, vector, stamp, unknown: null }
}

/** All claims that are known to a name of a directory's own; null: none. */
export function allClaims(tables: MergeTables, parent: NodeId, name: Name): Buffer | null {
  const claims = tables.claimsAt(parent, name).flatMap(({ node, link }) => {
    const record = tables.record(node)
    return record ? [claimOf(node, record, link)] : []
  })
  return claims.length === 0 ? null : encodeClaims(claims)
}
