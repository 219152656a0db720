/**
 * The merge, incrementally: from the records that a batch changed to what changes in the tree, in
 * time that grows with the batch and not with the tree. For every sequence of batches the state is
 * then what `materialise` makes of all records; `test/format` holds them against each other.
 *
 * 1. directories have their places, cycles voided; claims come and go (`delta-places.ts`)
 * 2. directories of one name are one listing (`delta-listings.ts`)
 * 3. conflicts of contents are decided (`delta-conflicts.ts`)
 * 4. names are resolved (`delta-names.ts`)
 *
 * The path that nearly every change takes is none of these: a node whose content was replaced, in a
 * directory without conflicts around its name, has the same place and a new entry.
 */
import type { Delta, EntryChange, MergeState, NodeChange } from './merge-state.js'
import type { NodeRecord, Place } from './record.js'
import { type NamesByDir, Placing, addName, isPlainEdit } from './delta-places.js'
import { Conflicts, groupAt } from './delta-conflicts.js'
import { FolderNames, type Naming } from './delta-names.js'
import { type NodeId, ROOT_ID } from './ids.js'
import { COMPANION_SUFFIXES, rootOf } from './companions.js'
import { Listings } from './delta-listings.js'
import type { MergeOptions, Standing } from './tree.js'
import { Overlay } from './delta-overlay.js'
import { isSameShown } from './tree-names.js'

/**
 * What a batch of merged records changes in the merged tree. Pure: reads `state`, writes nothing.
 * @param state before the batch
 * @param changes each node at most once
 * @param options the same for every batch of a state; where the name of a device changes, the
 *   tree is to be computed again
 */
export function computeDelta(
  state: MergeState,
  changes: readonly NodeChange[],
  options: MergeOptions
): Delta {
  const displaced = state.displaced()
  const plain: NodeChange[] = []
  const others: NodeChange[] = []
  for (const change of changes) {
    const isPlain = isPlainEdit(change) && !displaced.has(change.node)
    if (isPlain) plain.push(change)
    else others.push(change)
  }
  const quick = others.length === 0 ? plainDelta(state, plain) : null
  return quick ?? fullDelta(new Overlay(state, changes), { plain, others, options })
}

/** The delta of any changes. */
function fullDelta(
  overlay: Overlay,
  batch: {
    readonly plain: readonly NodeChange[]
    readonly others: readonly NodeChange[]
    readonly options: MergeOptions
  }
): Delta {
  const { plain, others, options } = batch
  const suffixes = options.companions ?? COMPANION_SUFFIXES
  const placing = new Placing(overlay, others)
  const { dirty } = new Listings(overlay, placing)
  for (const key of placing.exileKeys) addName(dirty, ROOT_ID, key)
  for (const [dir, keys] of dirty) updateKnots(overlay, dir, keys)
  for (const change of plain) putPlain(overlay, change, { dirty, suffixes })
  new Conflicts(overlay, dirty, suffixes).decide(others, placing.hasMoved)
  const naming: Naming = { overlay, options, suffixes, exileKeys: placing.exileKeys }
  for (const [dir, keys] of dirty) new FolderNames(naming, dir, keys).resolve()
  return overlay.delta()
}

const NOTHING: Delta = {
  claims: [],
  claimCounts: new Map(),
  dirs: new Map(),
  conflicts: new Map(),
  origins: new Map(),
  displaced: new Map(),
  missing: new Map(),
  entries: []
}

/** The delta of plain edits in directories that have no conflicts; null: one of them has. */
function plainDelta(state: MergeState, plain: readonly NodeChange[]): Delta | null {
  const entries: EntryChange[] = []
  for (const { node, before, after } of plain) {
    if (before === null || after === null) continue
    if (isSameShown(before.data[0] ?? null, after.data[0] ?? null)) continue
    for (const [link, [place]] of after.places) {
      if (place === undefined) continue
      if (state.dir(place.parent) !== null) return null
      entries.push(plainChange(place.parent, place, { node, link, record: after }))
    }
  }
  return entries.length === 0 ? NOTHING : { ...NOTHING, entries }
}

/** What the name of a node that was only edited shows. */
function plainChange(
  dir: NodeId,
  { name }: Place,
  { node, link, record }: Standing & { readonly record: NodeRecord }
): EntryChange {
  const data = record.data[0] ?? null
  const standing = [{ node, link }]
  const entry = { name, kind: record.kind, node, data, standing, copyOf: null, stem: null }
  return { dir, nameKey: name.toString('latin1'), entry }
}

/** Notes which of the names have conflicts by now. */
function updateKnots(overlay: Overlay, dir: NodeId, keys: Iterable<string>): void {
  for (const key of keys) {
    const group = groupAt(overlay, dir, key)
    const isKnot = group.length > 1 || group.some(({ record }) => record.data.length > 1)
    overlay.setKnot(dir, key, isKnot)
  }
}

interface Around {
  readonly dirty: NamesByDir
  readonly suffixes: readonly string[]
}

/** The entries of a node whose claims did not change; those beside a conflict wait for it. */
function putPlain(overlay: Overlay, { node, before, after }: NodeChange, around: Around): void {
  if (before === null || after === null) return
  if (isSameShown(before.data[0] ?? null, after.data[0] ?? null)) return
  for (const [link, [place]] of after.places) {
    if (place === undefined) continue
    const dir = overlay.hostOf(place.parent)
    const nameKey = place.name.toString('latin1')
    if (around.dirty.get(dir)?.has(nameKey) === true) continue
    if (isBesideKnot(overlay.knotsOf(dir), nameKey, around.suffixes)) {
      addName(around.dirty, dir, nameKey)
      continue
    }
    overlay.putEntry(plainChange(dir, place, { node, link, record: after }))
  }
}

function isBesideKnot(
  knots: Iterable<string> | null,
  nameKey: string,
  suffixes: readonly string[]
): boolean {
  if (knots === null) return false
  const root = rootOf(nameKey, suffixes)
  for (const knot of knots) if (rootOf(knot, suffixes) === root) return true
  return false
}
