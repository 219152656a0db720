/**
 * What a record from another device has to be beyond well-formed bytes, so that it can be merged,
 * shown and written upon: a device that is broken, or lies, must not stop those that hear it.
 */
import { decodeMap } from './map-codec.js'
import { type Dot, type NodeId, ROOT_ID, linkDot } from './ids.js'
import type { DataVersion, NodeRecord, VersionHead } from './record.js'
import { dotsOf } from './vector.js'

/** Bytes of the largest file: no device writes beyond it. */
const MAX_FILE_BYTES = 8 * 2 ** 40

/**
 * What is wrong with a record; null: nothing.
 * @param record as decoded
 */
export function flawOf(node: NodeId, record: NodeRecord): string | null {
  const isRoot = node === ROOT_ID
  if (isRoot && (record.kind !== 'dir' || record.places.size > 0)) return 'a root that is none'
  if (!isRoot && record.places.size === 0) return 'a node without a place'
  return record.data.map(contentFlaw).find((flaw) => flaw !== null) ?? null
}

function contentFlaw({ content }: DataVersion): string | null {
  if (content.type !== 'file') return null
  if (content.size > MAX_FILE_BYTES) return 'a file beyond 8 TiB'
  try {
    for (const map of content.maps) decodeMap(map)
    return null
  } catch {
    return 'a content map that cannot be read'
  }
}

/** All versions of a record. */
export function* versionsOf(record: NodeRecord): Generator<VersionHead> {
  yield* record.data
  yield* record.attr
  for (const versions of record.places.values()) yield* versions
}

/** The greatest write of each generation that each part of a record knows of. */
export function dotsIn(record: NodeRecord): readonly Dot[] {
  const dots = [...record.places.keys()].map(linkDot)
  for (const { vector } of versionsOf(record)) dots.push(...dotsOf(vector))
  for (const { contentDot } of record.data) dots.push(contentDot)
  for (const versions of record.places.values()) {
    for (const { seen } of versions) {
      if (seen !== null) dots.push(...dotsOf(seen.data), ...dotsOf(seen.attr))
    }
  }
  return dots
}
