/**
 * Several devices that write to one drive, in memory: each has its own clock and merged records,
 * works on the tree that it sees, and hears of the others' batches in any order, as bytes.
 *
 * The ledger beside it knows what must come out at the end: every content that nobody knowingly
 * replaced or deleted, and nothing that everybody who touched it had deleted.
 */
import assert from 'node:assert'
import { createHash } from 'node:crypto'
import type { Entry, MergeOptions, Tree } from '../../src/format/tree.js'
import { type NodeId, ROOT_ID, derivedId, sequentialId } from '../../src/format/ids.js'
import { EMPTY_MAP, replaceBlocks } from '../../src/format/content-map.js'
import type { Content, DataVersion, NodeKind, NodeRecord, Place } from '../../src/format/record.js'
import { type GenerationNumber, sameDot, toGenerationNumber } from '../../src/format/ids.js'
import { type Write, newRecord, withAttr, withData } from '../../src/format/edit.js'
import { dataLosers, dataWinner, isLive } from '../../src/format/winner.js'
import { decodeRecord, encodeRecord } from '../../src/format/record-codec.js'
import { receive, tick } from '../../src/format/hlc.js'
import { withPlace, withoutPlace } from '../../src/format/edit.js'
import { encodeMap } from '../../src/format/map-codec.js'
import { MemoryState } from './memory-state.js'
import { Settlement, type ShownTree, standingOf } from '../../src/format/settle.js'
import { shownState } from '../../src/format/shown-state.js'
import { shownTree } from './shown-tree.js'
import { materialise } from '../../src/format/tree.js'
import { mergeRecord } from '../../src/format/merge.js'

/**
 * What one operation wrote: records as bytes, and which operations on each node its writer knew.
 */
export interface Batch {
  readonly records: readonly (readonly [NodeId, Buffer])[]
  readonly known: ReadonlyMap<NodeId, readonly number[]>
}

/** An entry with the directory that it is shown in. */
export interface Seen {
  readonly dir: NodeId
  readonly entry: Entry
  readonly path: string
}

const CORE = Buffer.alloc(32, 1)

const contents = new Map<number, Content>()

/** The content with a number; equal numbers are equal contents. 0 is the empty file. */
export function contentOf(id: number): Content {
  const known = contents.get(id)
  if (known !== undefined) return known
  const content = newContentOf(id)
  contents.set(id, content)
  return content
}

function newContentOf(id: number): Content {
  const map =
    id === 0
      ? EMPTY_MAP
      : replaceBlocks(EMPTY_MAP, [{ fileBlock: 0, count: 1, core: CORE, coreBlock: id }])
  const hash = createHash('sha256').update(String(id)).digest()
  return { type: 'file', size: id === 0 ? 0 : 1000, maps: [encodeMap(map)], hash }
}

/** The number of a file's content; null for others. */
export function contentId(entry: {
  readonly data: { readonly content: Content } | null
}): number | null {
  const content = entry.data?.content
  if (content?.type !== 'file') return null
  return content.size === 0 ? 0 : Number(contentNumbers.get(content.hash?.toString('hex') ?? ''))
}

const contentNumbers = new Map<string, number>()

const decodedOf = new WeakMap<Buffer, NodeRecord>()

/** A record from its bytes, once for all who hear it: that is most of a long run's time. */
function decoded(bytes: Buffer): NodeRecord {
  const known = decodedOf.get(bytes)
  if (known !== undefined) return known
  const record = decodeRecord(bytes)
  decodedOf.set(bytes, record)
  return record
}

/** The names of devices, whatever generation they are at. */
export const deviceOptions: MergeOptions = {
  deviceName: (generation) => `d${generation % 10}`
}

/** What must be true at the end. */
export class Ledger {
  readonly written = new Set<number>()
  readonly overwritten = new Set<number>()
  readonly deleted = new Set<number>()
  /**
   * Contents that got several nodes (copies, one name for two), so that one may outlive another.
   */
  readonly spread = new Set<number>()
  /** Deleted nodes, with the operations on them that the deleter knew. */
  readonly deletions: { readonly node: NodeId; readonly known: ReadonlySet<number> }[] = []
  readonly touching = new Map<NodeId, Set<number>>()
  nextOp = 1
  nextContent = 1

  newContent(): Content {
    const id = this.nextContent++
    const content = contentOf(id)
    if (content.type === 'file') contentNumbers.set(content.hash?.toString('hex') ?? '', id)
    this.written.add(id)
    return content
  }
}

/** One device. */
export class Device {
  readonly batches: Batch[] = []
  readonly records = new Map<NodeId, NodeRecord>()
  readonly known = new Map<NodeId, Set<number>>()
  #generation: GenerationNumber
  #counter = 0
  #hlc = 0n
  #tree: Tree | null = null
  #listed: { readonly tree: Tree; readonly seen: readonly Seen[] } | null = null
  /** What every second device has its tree from; the others compute the whole tree. */
  readonly #state: MemoryState | null
  readonly #changed = new Set<NodeId>()

  constructor(
    readonly index: number,
    readonly skewMs: number,
    readonly ledger: Ledger
  ) {
    this.#generation = toGenerationNumber(index + 1)
    this.#state = index % 2 === 1 ? new MemoryState() : null
  }

  /** A new generation, as after a rotation of keys. */
  rotate(): void {
    this.#generation = toGenerationNumber(this.#generation + 10)
    this.#counter = 0
  }

  tree(): Tree {
    this.#tree ??= this.#newTree()
    return this.#tree
  }

  #newTree(): Tree {
    if (this.#state === null) return materialise(this.records, deviceOptions)
    const changed = [...this.#changed].map(
      (node) => [node, this.records.get(node) ?? null] as const
    )
    this.#state.replace(new Map(changed), deviceOptions)
    this.#changed.clear()
    return this.#state.tree()
  }

  /** The tree as settling reads it. */
  shown(): ShownTree {
    const tree = this.tree()
    return this.#state === null ? shownTree(tree, this.records) : shownState(this.#state)
  }

  #put(node: NodeId, record: NodeRecord): void {
    this.records.set(node, record)
    this.#changed.add(node)
    this.#tree = null
  }

  /** Everything in the tree, parents first. */
  list(): readonly Seen[] {
    const tree = this.tree()
    if (this.#listed?.tree === tree) return this.#listed.seen
    const found: Seen[] = []
    const walk = (dir: NodeId, path: string): void => {
      for (const entry of tree.dirs.get(dir) ?? []) {
        const entryPath = `${path}/${entry.name.toString('latin1')}`
        found.push({ dir, entry, path: entryPath })
        if (entry.kind === 'dir') walk(entry.node, entryPath)
      }
    }
    walk(ROOT_ID, '')
    this.#listed = { tree, seen: found }
    return found
  }

  receive(batch: Batch, nowMs: number): void {
    for (const [node, bytes] of batch.records) {
      const heard = decoded(bytes)
      const mine = this.records.get(node)
      this.#put(node, mine === undefined ? heard : mergeRecord(mine, heard))
      const known = this.#knownOf(node)
      for (const op of batch.known.get(node) ?? []) known.add(op)
      for (const version of [...heard.data, ...heard.attr]) {
        this.#hlc = receive(this.#hlc, version.stamp, nowMs + this.skewMs).last
      }
    }
  }

  /** Starts one operation. */
  begin(nowMs: number): Operation {
    const now = nowMs + this.skewMs
    this.#hlc = tick(this.#hlc, now)
    const write: Write = {
      generation: this.#generation,
      counter: ++this.#counter,
      hlc: this.#hlc,
      atNs: BigInt(now) * 1_000_000n
    }
    return new Operation(this, write, this.ledger.nextOp++)
  }

  /** Makes an operation's records visible here and a batch for the others. */
  commit(changed: ReadonlyMap<NodeId, NodeRecord>, op: number): void {
    const known = new Map<NodeId, readonly number[]>()
    const records: [NodeId, Buffer][] = []
    for (const [node, record] of changed) {
      const ops = this.#knownOf(node).add(op)
      const touching = this.ledger.touching.get(node) ?? new Set()
      this.ledger.touching.set(node, touching.add(op))
      known.set(node, [...ops])
      this.#put(node, record)
      records.push([node, encodeRecord(record)])
    }
    this.batches.push({ records, known })
  }

  #knownOf(node: NodeId): Set<number> {
    const known = this.known.get(node) ?? new Set<number>()
    this.known.set(node, known)
    return known
  }
}

/** One operation of a device on the tree that it sees: what vfs will do. */
export class Operation {
  readonly #changed = new Map<NodeId, NodeRecord>()
  readonly #settlement: Settlement

  constructor(
    readonly device: Device,
    readonly write: Write,
    readonly id: number
  ) {
    this.#settlement = new Settlement(
      shownTree(device.tree(), device.records),
      write,
      this.#changed
    )
  }

  /** The new node's id. */
  create(place: Place, kind: NodeKind, content?: Content): NodeId {
    this.#settle(place)
    const node = sequentialId(this.write.generation, this.write.counter)
    const owner = { type: 'self' } as const
    const start = { kind, place, mode: 0o644, owner }
    const record = newRecord(content === undefined ? start : { ...start, content }, this.write)
    this.#changed.set(node, record)
    return node
  }

  /** Replaces the content of all that stands for a name. */
  overwrite(seen: Seen, content: Content): void {
    const { ledger } = this.device
    const old = contentId(seen.entry)
    const nodes = this.#nodes(seen)
    if (nodes.size > 1) ledger.spread.add(contentId({ data: { content } }) ?? 0)
    for (const node of nodes) {
      const { record, write, base } = this.#settled(node, seen)
      this.#changed.set(node, withData(record, { base, content, mtimeNs: write.atNs }, write))
    }
    if (old !== null) ledger.overwritten.add(old)
  }

  touch(seen: Seen): void {
    for (const node of this.#nodes(seen)) {
      const { record, write, base } = this.#settled(node, seen)
      this.#changed.set(node, withData(record, { base, mtimeNs: 5n }, write))
    }
  }

  chmod(seen: Seen, mode: number): void {
    for (const node of this.#nodes(seen)) {
      this.#changed.set(node, withAttr(this.#record(node), { mode }, this.write))
    }
  }

  link(seen: Seen, place: Place): void {
    this.#settle(place)
    const [node] = this.#nodes(seen)
    if (node) this.#changed.set(node, withPlace(this.#record(node), null, place, this.write))
  }

  /** Moves all that stands for a name. */
  rename(seen: Seen, place: Place): void {
    this.#nodes(seen)
    this.#settle(place)
    for (const { node, link } of standingOf(seen.entry)) {
      this.#changed.set(node, withPlace(this.#record(node), link, place, this.write))
    }
  }

  /** Unlinks or removes all that stands for a name. */
  remove(seen: Seen): void {
    const { ledger, known } = this.device
    this.#nodes(seen)
    for (const { node, link } of standingOf(seen.entry)) {
      const { record, write } = this.#settled(node, seen)
      const after = withoutPlace(record, link, write)
      this.#changed.set(node, after)
      if (record.kind === 'dir' || isLive(after)) continue
      const old = contentId(seen.entry)
      if (old !== null) ledger.deleted.add(old)
      ledger.deletions.push({ node, known: new Set(known.get(node)).add(this.id) })
    }
  }

  commit(): void {
    if (this.#changed.size > 0) this.device.commit(this.#changed, this.id)
  }

  #record(node: NodeId): NodeRecord {
    const record = this.#changed.get(node) ?? this.device.records.get(node)
    assert(record, 'a shown node has a record')
    return record
  }

  /** Writes down what is shown around a name, before it changes. */
  #settle(place: Place): void {
    const before = new Map(this.#changed)
    this.#settlement.around(place)
    const { records, ledger } = this.device
    for (const [node, record] of this.#changed) {
      // A copy got a node of its own. Or a content was chosen among several: that is a version by
      // itself, which comes back although somebody who did not hear of it replaced the content,
      // when that one then chose another and removed the file.
      const known = before.get(node) ?? records.get(node)
      const isKnown = known !== undefined && known.data[0] === record.data[0]
      const content = isKnown ? null : contentId({ data: record.data[0] ?? null })
      if (content !== null) ledger.spread.add(content)
    }
  }

  /** The nodes that stand for an entry, its conflict settled. */
  #nodes({ entry, dir }: Seen): Set<NodeId> {
    this.#settle({ parent: dir, name: entry.name })
    const nodes = new Set(standingOf(entry).map(({ node }) => node))
    for (const other of this.device.list()) {
      if (other.entry.kind === 'dir') continue
      if (!other.entry.standing.some(({ node }) => nodes.has(node))) continue
      this.#settle({ parent: other.dir, name: other.entry.name })
    }
    return nodes
  }

  /** A record whose losers can be covered, because each has a node of its own or gets it now. */
  #settled(node: NodeId, { entry }: Seen): Settled {
    const record = this.#record(node)
    const shown = record.data.find((version) => sameVersion(version, entry))
    const base = shown ?? dataWinner(record)
    assert(base)
    const losers = dataLosers(record, base)
    for (const loser of losers) {
      const copy = derivedId(node, loser.dot)
      if (this.device.records.has(copy) || this.#changed.has(copy)) continue
      // It is shown at another link of the node.
      const elsewhere = this.device.list().find((each) => each.entry.node === copy)
      assert(elsewhere, 'a loser is shown')
      this.#settle({ parent: elsewhere.dir, name: elsewhere.entry.name })
      return this.#settled(node, { dir: elsewhere.dir, entry, path: '' })
    }
    const write = { ...this.write, materialised: losers.map((loser) => loser.dot) }
    return { record, base, write }
  }
}

interface Settled {
  readonly record: NodeRecord
  readonly base: DataVersion
  readonly write: Write
}

function sameVersion(version: DataVersion, { data }: Entry): boolean {
  return data !== null && sameDot(version.dot, data.dot)
}
