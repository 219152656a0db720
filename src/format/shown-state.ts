/** The incremental merge's state as settling reads it. */
import type { ShownPlace, ShownTree } from './settle.js'
import { wantedLink, whereIs } from './tree-places.js'
import type { Entry } from './tree.js'
import type { MergeState } from './merge-state.js'
import type { NodeId } from './ids.js'

/**
 * The tree that a state shows, for `Settlement`. Reads when it is asked, a few rows each time.
 * @param state written up to date, and not changed while the result is used
 */
export function shownState(state: MergeState): ShownTree {
  return {
    record: (node) => state.record(node),
    entry: (dir, nameKey) => state.entry(dir, nameKey),
    derived: (dir) => derivedIn(state, dir),
    displaced: () => state.displaced().keys(),
    placeOf: (dir) => placeOf(state, dir)
  }
}

function derivedIn(state: MergeState, dir: NodeId): readonly Entry[] {
  const names = state.dir(dir)?.derived ?? []
  return names.flatMap(({ nameKey }) => state.entry(dir, nameKey) ?? [])
}

function placeOf(state: MergeState, node: NodeId): ShownPlace | null {
  const record = state.record(node)
  const link = record === null ? null : wantedLink(node, record)
  if (link === null) return null
  const place = whereIs({ link, stage: state.displaced().get(node) ?? 'wanted' })
  const parent = state.dir(place.parent)?.host ?? place.parent
  const stored = state.entry(parent, place.name.toString('latin1'))
  for (const entry of [stored, ...derivedIn(state, parent)]) {
    const standing = entry?.standing.find((each) => each.node === node)
    if (entry && standing) return { parent, name: entry.name, standing }
  }
  return null
}
