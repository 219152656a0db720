/**
 * The merge of two records of the same node: associative, commutative, idempotent, so that devices
 * that heard the same in any order, any number of times, hold the same.
 */
import { type LinkId, compareLinks } from './ids.js'
import type { NodeRecord, PlaceVersion } from './record.js'
import { mergeAttr, mergeData, mergePlaces } from './register.js'
import { KINDS } from './record-codec.js'

/** All that is known of a node after hearing both. */
export function mergeRecord(a: NodeRecord, b: NodeRecord): NodeRecord {
  if (a === b) return a
  // kind, rdev and birth never change; should two records differ, every device must still choose
  // the same.
  const isFirst = KINDS.indexOf(a.kind) >= KINDS.indexOf(b.kind)
  return {
    kind: isFirst ? a.kind : b.kind,
    rdev: Math.max(a.rdev, b.rdev),
    bornNs: a.bornNs < b.bornNs ? a.bornNs : b.bornNs,
    places: mergeLinks(a.places, b.places),
    data: mergeData(a.data, b.data),
    attr: mergeAttr(a.attr, b.attr),
    unknownSections: mergeUnknown(a.unknownSections, b.unknownSections)
  }
}

function mergeLinks(a: NodeRecord['places'], b: NodeRecord['places']): NodeRecord['places'] {
  if (b.size === 0) return a
  const merged = new Map<LinkId, readonly PlaceVersion[]>(a)
  for (const [link, versions] of b) merged.set(link, mergePlaces(a.get(link) ?? [], versions))
  return merged.size === 1 ? merged : new Map([...merged].sort(([x], [y]) => compareLinks(x, y)))
}

/** What is not understood cannot be merged: the greater bytes of each section stay. */
function mergeUnknown(
  a: ReadonlyMap<number, Buffer>,
  b: ReadonlyMap<number, Buffer>
): ReadonlyMap<number, Buffer> {
  if (b.size === 0) return a
  const merged = new Map(a)
  for (const [tag, bytes] of b) {
    const known = merged.get(tag)
    if (known === undefined || known.compare(bytes) < 0) merged.set(tag, bytes)
  }
  return new Map([...merged].sort(([x], [y]) => x - y))
}
