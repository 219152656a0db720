/**
 * The row of a file after its frozen content was ingested.
 *
 * The version that a commit makes has its dot from the freeze on: whoever removes the file while
 * its content is on its way has seen it (`withoutPlace`), and what is written after the freeze is
 * newer. What the generation stores of it and what is known here afterwards is one version.
 */
import { BLOCK_BYTES, mappedBlocks } from '../format/content-map.js'
import { withData, withoutPlace, type Write } from '../format/edit.js'
import { sameDot } from '../format/ids.js'
import { decodeMap } from '../format/map-codec.js'
import type { DataVersion, NodeRecord } from '../format/record.js'
import { mergeData } from '../format/register.js'
import { allLinks, isLive, lastLink } from '../format/winner.js'
import type { IngestResult } from '../generation/types.js'
import type { Row } from '../union/row.js'
import type { FrozenFile } from './content-store.js'

/** A frozen file on its way. */
export interface Frozen {
  readonly file: FrozenFile
  /** As the data plane had it at the freeze: what a write did to it is here and not in the row. */
  readonly stat: Buffer
  /** The row's mtime at the freeze. */
  readonly rowMtimeNs: bigint
  /** Of the version that is being made. */
  readonly write: Write
}

/** A frozen file whose content is in the generation's blobs core. */
export interface Ingested extends Frozen {
  readonly result: IngestResult
}

/** How many bytes pairs of file offsets [start, end) are. */
export function byteLengthOf(pairs: Float64Array): number {
  let bytes = 0
  for (let i = 0; i < pairs.length; i += 2) bytes += (pairs[i + 1] ?? 0) - (pairs[i] ?? 0)
  return bytes
}

/**
 * A row with the content that was ingested; metadata that is newer than the freeze stays.
 * @param base the version that the content was written over
 * @param write of the new version; default: the freeze's
 */
export function withContent(
  row: Row,
  ingested: Ingested,
  base: DataVersion | null,
  write = ingested.write
): Row {
  const { mtimeNs } = timesOf(row, ingested)
  return withFields(row, ingested, nextVersion(row.record, ingested, { mtimeNs, base, write }))
}

/**
 * A row that changed since the freeze, with the version that was committed meanwhile.
 * @param committed the record that the generation has
 * @param next should it have to be made again
 */
export function withCommitted(
  row: Row,
  ingested: Ingested,
  committed: NodeRecord,
  next: { readonly base: DataVersion | null; readonly write: Write }
): Row {
  const record = withVersion(row.record, committed, ingested)
  if (record === null) return withContent(row, ingested, next.base, next.write)
  return withFields(row, ingested, record)
}

/**
 * As `withCommitted`, of a node that lost its last name since: its record has the version too, for
 * another device may have kept the node without having heard of it.
 * @param write after the removal
 */
export function buried(
  record: NodeRecord,
  ingested: Ingested,
  committed: NodeRecord,
  write: Write
): NodeRecord {
  const known = withVersion(record, committed, ingested)
  if (known !== null) return known
  const mtimeNs = record.data[0]?.mtimeNs ?? 0n
  const next = nextVersion(record, ingested, { mtimeNs, base: null, write })
  const link = isLive(record) ? null : lastLink(allLinks(record))
  // It is as new as the removal, which is therefore done again.
  return link === null ? next : withoutPlace(next, link.id, write)
}

/**
 * The record with the version that was committed meanwhile; null: another write of this device
 * covers it that was made without that content (it set times), so it has to be made again upon it.
 */
function withVersion(
  record: NodeRecord,
  committed: NodeRecord,
  { write }: Frozen
): NodeRecord | null {
  const data = mergeData(record.data, committed.data)
  const isThere = data.some(({ dot }) => sameDot(dot, write))
  const isOwnNewer = data.some(({ dot }) => dot.generation === write.generation)
  return isThere || !isOwnNewer ? { ...record, data } : null
}

/**
 * A row whose content is what is in the generation now.
 * @param seq journal entry of the freeze
 * @param cut smallest size that the file was cut to meanwhile: what was behind must not show again
 */
export function asBase(row: Row, seq: number, cut: number): Row {
  const baseEnd = Math.min(row.baseEnd, cut)
  return row.with({ baseEnd, baseEpoch: row.baseEpoch + 1, dataSeq: seq })
}

function nextVersion(
  record: NodeRecord,
  { file, result, stat }: Ingested,
  next: { readonly mtimeNs: bigint; readonly base: DataVersion | null; readonly write: Write }
): NodeRecord {
  const hash = result.hash ? Buffer.from(result.hash) : null
  const { size } = file
  const content = { type: 'file', size, maps: [Buffer.from(result.map)], hash } as const
  const { mtimeNs, base } = next
  const write = { ...next.write, atNs: ctimeOf(stat) }
  return withData(record, { ...(base && { base }), content, mtimeNs }, write)
}

function withFields(row: Row, ingested: Ingested, record: NodeRecord): Row {
  const { size } = ingested.file
  const allocated = mappedBlocks(decodeMap(Buffer.from(ingested.result.map))) * BLOCK_BYTES
  return row.with(
    {
      size,
      ...timesOf(row, ingested),
      baseEnd: size,
      allocated: Math.min(allocated, Math.ceil(size / 4096) * 4096)
    },
    record
  )
}

/**
 * The times of the freeze; the mtime that somebody has set since. The row's ctime does not tell
 * whether somebody has: another device's chmod moves it too, and its clock may be ahead.
 */
function timesOf(
  { mtimeNs, ctimeNs }: Row,
  { stat, rowMtimeNs }: Frozen
): { readonly mtimeNs: bigint; readonly ctimeNs: bigint } {
  return {
    mtimeNs: mtimeNs === rowMtimeNs ? stat.readBigInt64LE(24) : mtimeNs,
    ctimeNs: ctimeNs > ctimeOf(stat) ? ctimeNs : ctimeOf(stat)
  }
}

function ctimeOf(stat: Buffer): bigint {
  return stat.readBigInt64LE(32)
}
