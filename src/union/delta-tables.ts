/** The part of a delta that goes to the merge's own tables. */
import type { Claim, ClaimChange, Delta } from '../format/merge-state.js'
import type { NodeId } from '../format/ids.js'
import type { Change, Dirent, Name } from './changes.js'
import { type MergeTables, TABLE, encodeClaims, nameKeyOf, toJson } from './merge-tables.js'
import type { Row } from './row.js'

/** What the same batch changes elsewhere. */
export interface Beside {
  readonly rows: ReadonlyMap<number, Row | null>
  /** By `ino/name`. */
  readonly dirents: ReadonlyMap<string, Dirent | null>
}

/** What writes the conflicts, claims and counts of a delta. */
export function tableChanges(tables: MergeTables, delta: Delta, beside: Beside): Change[] {
  const { author, index } = tables
  const changes: Change[] = []
  const put = (key: string, value: Buffer | null): void => {
    if (value !== null || index.meta(key)) changes.push({ kind: 'meta', key, value })
  }
  for (const [node, dir] of delta.dirs) {
    put(TABLE.dir + author.inoOf(node), dir && toJson(dir))
  }
  for (const [node, conflict] of delta.conflicts) {
    const ino = author.inoOf(node)
    put(TABLE.conflict + ino, conflict && toJson(conflict))
    put(TABLE.spread + ino, conflict?.isSpread === true ? Buffer.of(1) : null)
  }
  for (const [copy, origin] of delta.origins) {
    changes.push(...author.introduce([copy]))
    put(TABLE.origin + author.inoOf(copy), origin === null ? null : Buffer.from(origin))
  }
  for (const [node, stage] of delta.displaced) {
    put(TABLE.displaced + author.inoOf(node), stage && Buffer.from(stage))
  }
  for (const [node, isMissing] of delta.missing) {
    put(TABLE.missing + author.inoOf(node), isMissing ? Buffer.of(1) : null)
  }
  for (const [{ parent, nameKey }, edits] of claimEdits(delta)) {
    const ino = author.inoOf(parent)
    const claims = withEdits(tables.claimsAt(parent, nameKey), edits)
    const changed = beside.dirents.get(`${ino}/${nameKey}`)
    const dirent = changed === undefined ? index.dirent(ino, nameKey) : changed
    const said = dirent ? [tables.claimOf(parent, nameKey, dirent)] : []
    const value = isSameClaims(claims, said) ? null : encodeClaims(claims)
    put(nameKeyOf(TABLE.claims, ino, nameKey), value)
  }
  changes.push(...countChanges(tables, delta, beside))
  return changes
}

/** Every name whose claims or entry changed, with the edits of its claims. */
function claimEdits(
  delta: Delta
): Map<{ readonly parent: NodeId; readonly nameKey: Name }, readonly ClaimChange[]> {
  const byKey = new Map<string, { parent: NodeId; nameKey: Name; edits: ClaimChange[] }>()
  const at = (parent: NodeId, nameKey: Name): ClaimChange[] => {
    const key = `${parent}/${nameKey}`
    const known = byKey.get(key)
    if (known) return known.edits
    const edits: ClaimChange[] = []
    byKey.set(key, { parent, nameKey, edits })
    return edits
  }
  for (const change of delta.claims) at(change.claim.parent, change.claim.nameKey).push(change)
  for (const { dir, nameKey } of delta.entries) at(dir, nameKey)
  return new Map([...byKey.values()].map(({ edits, ...place }) => [place, edits]))
}

function withEdits(claims: readonly Claim[], edits: readonly ClaimChange[]): readonly Claim[] {
  let result = claims
  for (const { claim, isAdded } of edits) {
    result = result.filter(({ node, link }) => node !== claim.node || link !== claim.link)
    if (isAdded) result = [...result, claim]
  }
  return result
}

function isSameClaims(a: readonly Claim[], b: readonly Claim[]): boolean {
  return (
    a.length === b.length &&
    a.every((one) => b.some(({ node, link }) => node === one.node && link === one.link))
  )
}

/** How many more claims than entries each directory has, where the batch changed either. */
function countChanges(tables: MergeTables, delta: Delta, { rows, dirents }: Beside): Change[] {
  const { author, index } = tables
  const asked = new Map<number, NodeId>()
  for (const node of delta.claimCounts.keys()) asked.set(author.inoOf(node), node)
  for (const key of dirents.keys()) {
    const ino = Number(key.slice(0, key.indexOf('/')))
    asked.set(ino, author.idOf(ino))
  }
  // Where a row comes or goes, its count of entries does.
  for (const [ino, row] of rows) {
    if ((row === null) !== (index.node(ino) === null)) asked.set(ino, author.idOf(ino))
  }
  const changes: Change[] = []
  for (const [ino, node] of asked) {
    const claims = delta.claimCounts.get(node) ?? tables.claimCount(node)
    const changed = rows.get(ino)
    const row = changed === undefined ? index.node(ino) : changed
    const difference = claims - (row?.entries ?? 0)
    const key = TABLE.count + ino
    if (difference === (index.meta(key)?.readInt32LE(0) ?? 0)) continue
    const value = difference === 0 ? null : Buffer.alloc(4)
    value?.writeInt32LE(difference)
    changes.push({ kind: 'meta', key, value })
  }
  return changes
}
