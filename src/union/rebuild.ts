/**
 * The index made anew from records: what `pcfs doctor --rebuild-index` does, and a mount that finds
 * a store without an index. Everything that a row holds is either in the records or local and
 * disposable, so nothing is asked but the records themselves; the journal is applied on top by the
 * next mount's recovery.
 */
import { decodeRecord } from '../format/record-codec.js'
import { type NodeId, type GenerationNumber, sequentialParts } from '../format/ids.js'
import { linkDot } from '../format/ids.js'
import { mappedBlocks, BLOCK_BYTES } from '../format/content-map.js'
import { decodeMap } from '../format/map-codec.js'
import type { NodeKind, NodeRecord } from '../format/record.js'
import { materialise, type Entry } from '../format/tree.js'
import { attrWinner, changeTimeNs, contentMapOf, dataWinner } from '../format/winner.js'
import { placeWinner } from '../format/winner.js'
import type { Author } from './author.js'
import type { Change } from './changes.js'
import type { Index } from './index-store.js'
import { Row, type RowFields } from './row.js'

/** `S_IF*` bits by kind. */
const TYPE_BITS: Readonly<Record<NodeKind, number>> = {
  fifo: 0o010000,
  char: 0o020000,
  dir: 0o040000,
  block: 0o060000,
  file: 0o100000,
  symlink: 0o120000,
  socket: 0o140000
}
/** Rows that are written in one transaction. */
const BATCH = 10_000
const DIRECTORY_BYTES = 4096
/** Row flag: no extended attributes. */
const PLAIN = 2

/** A node id with its encoded record. */
export interface StoredRecord {
  readonly id: NodeId
  readonly record: Uint8Array
}

/** What a rebuild is made from. */
export interface RebuildOptions {
  /** Empty. */
  readonly index: Index
  readonly author: Author
  /** All records of all generations that count. */
  readonly records: AsyncIterable<StoredRecord>
  readonly deviceName: (generation: GenerationNumber) => string
  /** Called now and then with the number of nodes done. */
  readonly onProgress?: (done: number) => void
}

interface Counts {
  links: number
  entries: number
  subdirs: number
  childAtNs: bigint
}

/**
 * Fills an empty index; durable when it resolves.
 * @returns how many nodes there are
 * @throws {FsError} EIO for a record that is malformed
 */
export async function rebuildIndex(options: RebuildOptions): Promise<number> {
  const { index, author } = options
  const records = new Map<NodeId, NodeRecord>()
  for await (const { id, record } of options.records) {
    records.set(id, decodeRecord(Buffer.from(record)))
  }
  raiseCounters(author, records)
  index.apply(author.slotFor(author.generation))
  const tree = materialise(records, { deviceName: options.deviceName })
  const counts = countsOf(tree.dirs, records)
  let done = 0
  for (const [dir, entries] of tree.dirs) {
    const parent = author.inoOf(dir)
    index.apply(entries.map((entry) => direntOf(author, parent, entry)))
    for (const node of new Set([dir, ...entries.map((entry) => entry.node)])) {
      const record = records.get(node)
      if (record && (record.kind !== 'dir' || node === dir || !tree.dirs.has(node))) {
        index.apply([rowOf(author.inoOf(node), record, counts.get(node))])
        done++
      }
    }
    if (index.pendingCount >= BATCH) await write(index)
    options.onProgress?.(done)
  }
  index.apply(author.reserve(0))
  await write(index)
  return done
}

async function write(index: Index): Promise<void> {
  index.cut()
  await index.flush()
}

/** Nothing that these records name may be issued again. */
function raiseCounters(author: Author, records: ReadonlyMap<NodeId, NodeRecord>): void {
  for (const [id, record] of records) {
    const parts = sequentialParts(id)
    if (parts?.generation === author.generation) author.raise(parts.counter, 0, 0n)
    const versions = [...record.data, ...record.attr, ...[...record.places.values()].flat()]
    for (const { dot, stamp } of versions) {
      author.raise(0, dot.generation === author.generation ? dot.counter : 0, stamp)
    }
    for (const link of record.places.keys()) {
      const dot = linkDot(link)
      if (dot.generation === author.generation) author.raise(0, dot.counter, 0n)
    }
  }
}

function countsOf(
  dirs: ReadonlyMap<NodeId, readonly Entry[]>,
  records: ReadonlyMap<NodeId, NodeRecord>
): Map<NodeId, Counts> {
  const counts = new Map<NodeId, Counts>()
  const of = (node: NodeId): Counts => {
    let found = counts.get(node)
    if (!found) counts.set(node, (found = { links: 0, entries: 0, subdirs: 0, childAtNs: 0n }))
    return found
  }
  for (const [dir, entries] of dirs) {
    const own = of(dir)
    for (const entry of entries) {
      own.entries++
      if (entry.kind === 'dir') own.subdirs++
      of(entry.node).links++
      const [standing] = entry.standing
      const record = records.get(entry.node)
      const place = standing && record && placeWinner(record, standing.link)
      if (place && place.atNs > own.childAtNs) own.childAtNs = place.atNs
    }
  }
  return counts
}

function direntOf(author: Author, parent: number, entry: Entry): Change {
  const [standing] = entry.standing
  const name = entry.name.toString('latin1')
  if (!standing) return { kind: 'dirent', parent, name, dirent: null }
  const dtype = TYPE_BITS[entry.kind] >> 12
  const dirent = { ino: author.inoOf(entry.node), dtype, link: standing.link }
  return { kind: 'dirent', parent, name, dirent }
}

function rowOf(ino: number, record: NodeRecord, counts: Counts | undefined): Change {
  const row = Row.create(
    {
      ino,
      ...ownFields(record),
      ...contentFields(record),
      ...timesOf(record, counts),
      ...linksOf(record, counts)
    },
    record
  )
  return { kind: 'node', ino, row }
}

function ownFields(record: NodeRecord): Partial<RowFields> {
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

function contentFields(record: NodeRecord): Partial<RowFields> {
  const data = dataWinner(record)
  if (record.kind === 'dir') return { size: DIRECTORY_BYTES }
  if (data?.content.type === 'link') return { size: data.content.target.length }
  if (data?.content.type !== 'file') return { size: 0 }
  const bytes = contentMapOf(data)
  const blocks = bytes ? mappedBlocks(decodeMap(bytes)) : 0
  const { size } = data.content
  const allocated = Math.min(blocks * BLOCK_BYTES, Math.ceil(size / 4096) * 4096)
  return { size, baseEnd: blocks > 0 ? size : 0, baseEpoch: 1, allocated }
}

function timesOf(record: NodeRecord, counts: Counts | undefined): Partial<RowFields> {
  const data = dataWinner(record)
  const childAtNs = counts?.childAtNs ?? 0n
  // A directory's mtime is its last child's, unless somebody set it later.
  const isChildLater = record.kind === 'dir' && childAtNs > (data?.atNs ?? 0n)
  const mtimeNs = isChildLater ? childAtNs : (data?.mtimeNs ?? record.bornNs)
  const ownNs = changeTimeNs(record)
  const ctimeNs = isChildLater && childAtNs > ownNs ? childAtNs : ownNs
  return { mtimeNs, ctimeNs, atimeNs: mtimeNs, btimeNs: record.bornNs, childAtNs }
}

function linksOf(record: NodeRecord, counts: Counts | undefined): Partial<RowFields> {
  const subdirs = counts?.subdirs ?? 0
  const nlink = record.kind === 'dir' ? 2 + subdirs : (counts?.links ?? 1)
  return { subdirs, nlink, entries: counts?.entries ?? 0 }
}
