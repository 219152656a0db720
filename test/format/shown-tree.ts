/** A materialised tree as settling reads it. */
import { type NodeId, ROOT_ID } from '../../src/format/ids.js'
import type { ShownPlace, ShownTree } from '../../src/format/settle.js'
import type { Records } from '../../src/format/tree-places.js'
import type { Tree } from '../../src/format/tree.js'

/** Reads `tree`, which is the one of `records`; both must not change meanwhile. */
export function shownTree(tree: Tree, records: Records): ShownTree {
  const placeOf = (dir: NodeId): ShownPlace | null => {
    for (const [parent, entries] of tree.dirs) {
      for (const { name, standing } of entries) {
        const found = standing.find(({ node }) => node === dir)
        if (found) return { parent, name, standing: found }
      }
    }
    return null
  }
  return {
    record: (node) => records.get(node) ?? null,
    entry: (dir, nameKey) =>
      tree.dirs.get(dir)?.find(({ name }) => name.toString('latin1') === nameKey) ?? null,
    derived: (dir) => (tree.dirs.get(dir) ?? []).filter(({ stem }) => stem !== null),
    displaced: () => tree.displaced,
    placeOf: (dir) => (dir === ROOT_ID ? null : placeOf(dir))
  }
}
