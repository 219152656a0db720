/** The row of a file after its frozen content was ingested. */
import { BLOCK_BYTES, EMPTY_MAP, mappedBlocks } from '../format/content-map.js'
import { withData, type Write } from '../format/edit.js'
import { decodeMap, encodeMap } from '../format/map-codec.js'
import type { DataVersion } from '../format/record.js'
import type { IngestResult } from '../generation/types.js'
import type { Row } from '../union/row.js'
import type { FrozenFile } from './content-store.js'

/** A frozen file on its way. */
export interface Frozen {
  readonly file: FrozenFile
  readonly stat: Buffer
}

/** How many bytes pairs of file offsets [start, end) are. */
export function byteLengthOf(pairs: Float64Array): number {
  let bytes = 0
  for (let i = 0; i < pairs.length; i += 2) bytes += (pairs[i + 1] ?? 0) - (pairs[i] ?? 0)
  return bytes
}

/** A row with the content that was ingested; metadata that is newer than the freeze stays. */
export function withContent(
  row: Row,
  frozen: Frozen,
  result: IngestResult,
  next: { readonly write: Write; readonly base: DataVersion | null }
): Row {
  const { size } = frozen.file
  const map = result.map ? Buffer.from(result.map) : encodeMap(EMPTY_MAP)
  const allocated = result.map ? mappedBlocks(decodeMap(map)) * BLOCK_BYTES : 0
  const frozenMtimeNs = frozen.stat.readBigInt64LE(24)
  const frozenCtimeNs = frozen.stat.readBigInt64LE(32)
  const write = { ...next.write, atNs: frozenCtimeNs }
  const base = next.base && { base: next.base }
  const changedSince = row.ctimeNs > frozenCtimeNs
  const mtimeNs = changedSince ? row.mtimeNs : frozenMtimeNs
  const hash = result.hash ? Buffer.from(result.hash) : null
  const content = { type: 'file', size, maps: [map], hash } as const
  return row.with(
    {
      size,
      mtimeNs,
      ctimeNs: changedSince ? row.ctimeNs : frozenCtimeNs,
      baseEnd: result.map ? size : 0,
      allocated: Math.min(allocated, Math.ceil(size / 4096) * 4096)
    },
    withData(row.record, { ...base, content, mtimeNs }, write)
  )
}
