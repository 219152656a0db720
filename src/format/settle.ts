/**
 * Settling a conflict: what a mount shows as copies and under derived names is written down as it
 * is shown. An operation on such a name, or on one beside it, does this first, in the same batch:
 * otherwise removing a file would give its name to the loser, and `rm -r` would never end.
 */
import type { Entry, Tree } from './tree.js'
import { COMPANION_SUFFIXES, companionOf } from './companions.js'
import { type NodeId, derivedId, linkIdOf } from './ids.js'
import { type Write, copyOf, withData, withPlace } from './edit.js'
import type { NodeRecord, Place } from './record.js'
import type { Records } from './tree-places.js'
import { dataLosers, isLive, placeWinner } from './winner.js'

/** Records that an operation changes, by node. */
export type ChangedRecords = Map<NodeId, NodeRecord>

/**
 * The records that settle the conflict around a name: its copies, the derived names of those that
 * lost it, the same of its companions, and its directory, if that lives only because of what is in
 * it. Usually none. Afterwards the tree shows the same names and contents, none of them derived.
 * Who writes to a node with several names settles the conflict around each.
 * @param tree of `records`
 * @param place the directory's shown node and a shown or a new name in it
 * @param write of the operation that needs it
 */
export function settleConflict(
  tree: Tree,
  records: Records,
  { place, write }: { readonly place: Place; readonly write: Write }
): ChangedRecords {
  const changed: ChangedRecords = new Map()
  const settling = { changed, records, write }
  for (const dir of tree.displaced) storeDir(tree, dir, settling)
  const parent = records.get(place.parent)
  if (parent && !isLive(parent)) storeDir(tree, place.parent, settling)
  const entries = tree.dirs.get(place.parent) ?? []
  const shown = entries.find((entry) => entry.name.equals(place.name))
  const isQuiet = !entries.some((entry) => entry.stem !== null)
  const base = baseOf(shown?.stem ?? place.name)
  const group = isQuiet
    ? entries.filter((entry) => entry === shown)
    : entries.filter((entry) => baseOf(entry.stem ?? entry.name) === base)
  for (const entry of group) storeName(entry, place.parent, settling)
  for (const entry of group) chooseShown(entry, settling)
  return changed
}

/** Writes an entry's name down as it is shown, unless that is what its record says already. */
function storeName(entry: Entry, parent: NodeId, { changed, records, write }: Settling): void {
  const stored = { parent, name: entry.name }
  if (entry.copyOf !== null) {
    const origin = changed.get(entry.copyOf) ?? records.get(entry.copyOf)
    if (origin && entry.data) changed.set(entry.node, copyOf(origin, entry.data, stored, write))
    return
  }
  for (const { node, link } of entry.standing) {
    const record = changed.get(node) ?? records.get(node)
    if (record === undefined) continue
    const isStored = entry.stem === null && placeWinner(record, link)?.deleted === false
    if (!isStored) changed.set(node, withPlace(record, link, stored, write))
  }
}

interface Settling {
  readonly changed: ChangedRecords
  readonly records: Records
  readonly write: Write
}

/**
 * A directory that only its entries bring back stays when the last of them goes; one whose move is
 * void stays where it is when the cycle ends.
 */
function storeDir(tree: Tree, node: NodeId, { changed, records, write }: Settling): void {
  const record = records.get(node)
  for (const [parent, entries] of tree.dirs) {
    for (const { name, standing } of entries) {
      const link = standing.find((each) => each.node === node)?.link
      if (record && link) changed.set(node, withPlace(record, link, { parent, name }, write))
    }
  }
}

/** Makes what is shown of a node the only version, when each of the others has a record. */
function chooseShown(entry: Entry, to: Settling): void {
  const { changed, records, write } = to
  const { node, data } = entry
  const record = changed.get(node) ?? records.get(node)
  if (entry.copyOf !== null || data === null || record === undefined) return
  if (record.data.length <= 1) return
  const losers = dataLosers(record, data)
  const copies = losers.map((loser) => derivedId(node, loser.dot))
  if (!copies.every((copy) => changed.has(copy) || records.has(copy))) return
  const materialised = losers.map((loser) => loser.dot)
  changed.set(node, withData(record, { base: data }, { ...write, materialised }))
}

/** The name that decides for itself and its companions. */
function baseOf(name: Buffer): string {
  const key = name.toString('latin1')
  return companionOf(key, COMPANION_SUFFIXES)?.base ?? key
}

/**
 * The links that stand for an entry once its conflict is settled: those that it has, or the first
 * link of a copy that had no record.
 */
export function standingOf(entry: Entry): Entry['standing'] {
  if (entry.copyOf === null || entry.data === null) return entry.standing
  return [{ node: entry.node, link: linkIdOf(entry.data.dot) }]
}
