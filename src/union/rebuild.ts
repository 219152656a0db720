/**
 * The index made anew from records: what `pcfs doctor --rebuild-index` does, and a mount that finds
 * a store without an index. Everything that a row holds is either in the records or local and
 * disposable, so nothing is asked but the records themselves; the journal is applied on top by the
 * next mount's recovery.
 */
import { computeDelta } from '../format/delta.js'
import { decodeRecord } from '../format/record-codec.js'
import { type NodeId, type GenerationNumber, sequentialParts } from '../format/ids.js'
import { linkDot } from '../format/ids.js'
import { mergeRecord } from '../format/merge.js'
import type { NodeRecord } from '../format/record.js'
import { materialise, type Entry } from '../format/tree.js'
import { dataWinner, placeWinner } from '../format/winner.js'
import type { Author } from './author.js'
import type { Change } from './changes.js'
import { changesOf } from './delta-changes.js'
import type { Index } from './index-store.js'
import { MergeTables, SHARED_KEY } from './merge-tables.js'
import { TYPE_BITS, newRow } from './node-rows.js'

/** Rows that are written in one transaction. */
const BATCH = 10_000
/** Records merged at once, where there are several generations'. */
const MERGED_AT_ONCE = 5000

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
  /** The records are of several generations, or others may have merged them. Default: false. */
  readonly isShared?: boolean
  /** Called now and then with the number of nodes done. */
  readonly onProgress?: (done: number) => void
}

interface MutableCounts {
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
  for await (const { id, record: bytes } of options.records) {
    const record = decodeRecord(Buffer.from(bytes))
    const known = records.get(id)
    records.set(id, known ? mergeRecord(known, record) : record)
  }
  raiseCounters(author, records)
  index.apply(author.slotFor(author.generation))
  if (options.isShared === true) return mergeAll(options, records)
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

/** Fills the index by the incremental merge, which remembers what it needs to go on. */
async function mergeAll(
  { index, author, deviceName, onProgress }: RebuildOptions,
  records: ReadonlyMap<NodeId, NodeRecord>
): Promise<number> {
  const shared: Change = { kind: 'meta', key: SHARED_KEY, value: Buffer.of(1) }
  index.apply([shared, ...author.introduce(idsOf(records))])
  const tables = new MergeTables(index, author)
  const all = [...records]
  for (let done = 0; done < all.length; done += MERGED_AT_ONCE) {
    const nodes = all.slice(done, done + MERGED_AT_ONCE).map(([node, after]) => {
      return { node, before: null, after }
    })
    const delta = computeDelta(tables, nodes, { deviceName })
    const { changes } = changesOf(tables, { nodes, delta }, { isOwn: false, dataSeq: 0 })
    index.apply(changes)
    tables.note(changes)
    await write(index)
    onProgress?.(Math.min(all.length, done + MERGED_AT_ONCE))
  }
  index.apply(author.reserve(0))
  await write(index)
  return all.length
}

/** All ids that the records name. */
function* idsOf(records: ReadonlyMap<NodeId, NodeRecord>): Generator<NodeId> {
  for (const [id, { places }] of records) {
    yield id
    for (const versions of places.values()) {
      for (const { parent, prev } of versions) {
        yield parent
        if (prev) yield prev.parent
      }
    }
  }
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
): Map<NodeId, MutableCounts> {
  const counts = new Map<NodeId, MutableCounts>()
  const of = (node: NodeId): MutableCounts => {
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

function rowOf(ino: number, record: NodeRecord, counts: MutableCounts | undefined): Change {
  const known = counts ?? { links: 1, entries: 0, subdirs: 0, childAtNs: 0n }
  const row = newRow(ino, record, { counts: known, data: dataWinner(record) })
  return { kind: 'node', ino, row }
}
