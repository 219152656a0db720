/** From a node's record, and what is known of it here, to its row. */
import { BLOCK_BYTES, mappedBlocks } from '../format/content-map.js'
import { decodeMap } from '../format/map-codec.js'
import type { DataVersion, NodeKind, NodeRecord } from '../format/record.js'
import { isSameShown } from '../format/tree-names.js'
import { attrWinner, changeTimeNs, contentMapOf } from '../format/winner.js'
import { Row, type RowFields } from './row.js'

/** `S_IF*` bits by kind. */
export const TYPE_BITS: Readonly<Record<NodeKind, number>> = {
  fifo: 0o010000,
  char: 0o020000,
  dir: 0o040000,
  block: 0o060000,
  file: 0o100000,
  symlink: 0o120000,
  socket: 0o140000
}
const DIRECTORY_BYTES = 4096
/** Row flag: no extended attributes. */
const PLAIN = 2

/** What of a row is not in the record. */
export interface Counts {
  readonly links: number
  readonly entries: number
  readonly subdirs: number
  readonly childAtNs: bigint
}

/** A new row: what is of this device only begins as if nothing had been done here. */
export function newRow(
  ino: number,
  record: NodeRecord,
  { counts, data }: { readonly counts: Counts; readonly data: DataVersion | null }
): Row {
  const fields = {
    ino,
    ...ownFields(record),
    ...contentFields(record, data),
    ...timesOf(record, data, counts.childAtNs),
    ...linksOf(record, counts),
    baseEpoch: 1
  }
  return Row.create(fields, record)
}

/** A node's own fields: mode, owner and the like. */
export function ownFields(record: NodeRecord): Partial<RowFields> {
  const attr = attrWinner(record)
  const owner = attr?.owner ?? { type: 'self' }
  return {
    mode: TYPE_BITS[record.kind] | (attr?.mode ?? 0o700),
    rdev: record.rdev,
    flags: attr && attr.xattrs.size > 0 ? 0 : PLAIN,
    uid: owner.type === 'ids' ? owner.uid : 0,
    gid: owner.type === 'ids' ? owner.gid : 0,
    ownedBySelf: owner.type === 'self' ? 1 : 0
  }
}

/** What a version of the content says. */
export function contentFields(record: NodeRecord, data: DataVersion | null): Partial<RowFields> {
  if (record.kind === 'dir') return { size: DIRECTORY_BYTES }
  if (data?.content.type === 'link') return { size: data.content.target.length }
  if (data?.content.type !== 'file') return { size: 0 }
  const bytes = contentMapOf(data)
  const blocks = bytes ? mappedBlocks(decodeMap(bytes)) : 0
  const { size } = data.content
  const allocated = Math.min(blocks * BLOCK_BYTES, Math.ceil(size / 4096) * 4096)
  return { size, baseEnd: blocks > 0 ? size : 0, allocated }
}

function timesOf(
  record: NodeRecord,
  data: DataVersion | null,
  childAtNs: bigint
): Partial<RowFields> {
  // A directory's mtime is its last child's, unless somebody set it later.
  const isChildLater = record.kind === 'dir' && childAtNs > (data?.atNs ?? 0n)
  const mtimeNs = isChildLater ? childAtNs : (data?.mtimeNs ?? record.bornNs)
  const ownNs = changeTimeNs(record)
  const ctimeNs = isChildLater && childAtNs > ownNs ? childAtNs : ownNs
  return { mtimeNs, ctimeNs, atimeNs: mtimeNs, btimeNs: record.bornNs, childAtNs }
}

/** The counts as a row has them. */
export function linksOf(record: NodeRecord, counts: Counts): Partial<RowFields> {
  const { subdirs, links, entries } = counts
  const nlink = record.kind === 'dir' ? 2 + subdirs : links
  return { subdirs, nlink, entries }
}

/** What a row becomes. */
export interface RowUpdate {
  readonly record: NodeRecord
  /** What is shown of its content before and after. */
  readonly shown: { readonly before: DataVersion | null; readonly after: DataVersion | null }
  readonly counts: Counts
  /** When its entries changed last in this batch; null: they did not. */
  readonly touchedNs: bigint | null
  /** Every write up to this journal entry is in the content. */
  readonly dataSeq: number
}

/** A row after a merge: facts of this device stay, except where the content is another one. */
export function updatedRow(old: Row, update: RowUpdate): Row {
  const { record, shown, counts, touchedNs } = update
  const changedNs = changeTimeNs(record)
  let fields: Partial<RowFields> = {
    ...ownFields(record),
    ...linksOf(record, counts),
    ctimeNs: old.ctimeNs > changedNs ? old.ctimeNs : changedNs
  }
  if (!isSameShown(shown.before, shown.after)) {
    fields = { ...fields, mtimeNs: shown.after?.mtimeNs ?? old.mtimeNs, childAtNs: 0n }
    if (!hasSameBytes(shown.before, shown.after)) {
      const baseEpoch = old.baseEpoch + 1
      const content = contentFields(record, shown.after)
      fields = { ...fields, ...content, baseEpoch, dataSeq: update.dataSeq }
    }
  }
  if (touchedNs !== null) {
    // A reader that polls the mtime must see a change, whatever the other device's clock said.
    const mtimeNs = touchedNs > old.mtimeNs ? touchedNs : old.mtimeNs + 1n
    fields = { ...fields, mtimeNs, childAtNs: mtimeNs, ctimeNs: maxOf(mtimeNs, old.ctimeNs) }
  }
  return old.with(fields, record)
}

/** Whether two versions are the same bytes at the same place. */
export function hasSameBytes(a: DataVersion | null, b: DataVersion | null): boolean {
  if (a === null || b === null) return a === b
  const mine = a.content
  const theirs = b.content
  if (mine.type === 'link') return theirs.type === 'link' && mine.target.equals(theirs.target)
  if (mine.type !== 'file' || theirs.type !== 'file') return mine.type === theirs.type
  const [map] = mine.maps
  return mine.size === theirs.size && theirs.maps[0]?.equals(map ?? Buffer.alloc(0)) === true
}

function maxOf(a: bigint, b: bigint): bigint {
  return a > b ? a : b
}
