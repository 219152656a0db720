/**
 * One operation where there are conflicts: the slow way, that is right everywhere. What is shown
 * around each name that it touches is written down first (format/settle.ts), and it changes every
 * node that stands for a name. All of it is one batch of records.
 */
import { assert } from '../base/assert.js'
import { type NodeId, ROOT_ID, derivedId, sameDot } from '../format/ids.js'
import { type AttrChange, type Write, withAttr, withData, withPlace } from '../format/edit.js'
import { withoutPlace } from '../format/edit.js'
import type { NodeChange } from '../format/merge-state.js'
import type { DataVersion, NodeRecord, Place } from '../format/record.js'
import { Settlement, placeAll, standingOf, type ChangedRecords } from '../format/settle.js'
import { shownState } from '../format/shown-state.js'
import type { Entry } from '../format/tree.js'
import { dataLosers, dataWinner, liveLinks } from '../format/winner.js'
import type { MergeTables } from '../union/merge-tables.js'
import type { Merger } from './merger.js'

/** A name with what it shows. */
export interface Shown {
  /** The directory's shown node. */
  readonly dir: NodeId
  readonly entry: Entry
}

/** See the file's head. Nothing is changed before `commit`. */
export class Operation {
  readonly write: Write
  readonly #changed: ChangedRecords = new Map()
  readonly #settlement: Settlement
  readonly #tables: MergeTables

  /** @param nodes how many nodes the operation makes */
  constructor(
    private readonly merger: Merger,
    nodes = 0
  ) {
    const { author, tables } = merger.volume.parts
    merger.volume.apply(author.reserve(nodes))
    this.#tables = tables
    this.write = author.write()
    this.#settlement = new Settlement(shownState(tables), this.write, this.#changed)
  }

  /** Settles what is around a name, shown or new. */
  settle(place: Place): void {
    this.#settlement.around(place)
  }

  /** What a name shows; null: nothing. */
  shownAt({ parent, name }: Place): Shown | null {
    const entry = this.#tables.entry(parent, name.toString('latin1'))
    return entry && { dir: parent, entry }
  }

  /** A new node's record. */
  create(node: NodeId, record: NodeRecord): void {
    this.#changed.set(node, record)
  }

  /** Gives a node another link. */
  link(node: NodeId, place: Place): void {
    this.settle(place)
    this.#changed.set(node, withPlace(this.#record(node), null, place, this.write))
  }

  /** Moves all that stands for a name. `settleAll` of both names comes first. */
  move(shown: Shown, place: Place): void {
    placeAll(standingOf(shown.entry), place, {
      write: this.write,
      recordOf: (node) => this.#record(node),
      changed: this.#changed
    })
  }

  /** Unlinks all that stands for a name. `settleAll` comes first. */
  remove(shown: Shown): void {
    for (const { node, link } of standingOf(shown.entry)) {
      const { record, write } = this.#settled(node, shown.entry.data)
      this.#changed.set(node, withoutPlace(record, link, write))
    }
  }

  /** Settles around every name of all nodes that stand for a name. @returns those nodes */
  settleAll({ dir, entry }: Shown): readonly NodeId[] {
    this.settle({ parent: dir, name: entry.name })
    const nodes = new Set(standingOf(entry).map(({ node }) => node))
    for (const node of nodes) {
      for (const other of this.namesOf(node)) {
        this.settle({ parent: other.dir, name: other.entry.name })
      }
    }
    return [...nodes]
  }

  /**
   * All nodes that stand for the names of a node, their conflicts settled; the root and a node
   * without names stand for themselves.
   */
  nodesOf(node: NodeId): readonly NodeId[] {
    const nodes = new Set<NodeId>()
    for (const shown of this.namesOf(node)) {
      for (const each of this.settleAll(shown)) nodes.add(each)
    }
    return nodes.size === 0 ? [node] : [...nodes]
  }

  /** Changes attributes of nodes. */
  setAttr(nodes: readonly NodeId[], change: AttrChange): void {
    for (const node of nodes) {
      this.#changed.set(node, withAttr(this.#record(node), change, this.write))
    }
  }

  /** Changes the times of nodes' contents. */
  setMtime(nodes: readonly NodeId[], mtimeNs: bigint): void {
    for (const node of nodes) {
      const { record, write, base } = this.#settled(node, null)
      if (base) this.#changed.set(node, withData(record, { base, mtimeNs }, write))
    }
  }

  /** The next version of nodes' contents. @param version what it is to be, by its content */
  setContent(nodes: readonly NodeId[], version: Pick<DataVersion, 'content' | 'mtimeNs'>): void {
    const { content, mtimeNs } = version
    for (const node of nodes) {
      const { record, write, base } = this.#settled(node, null)
      if (base) this.#changed.set(node, withData(record, { base, content, mtimeNs }, write))
    }
  }

  /** Whether anything was changed so far. */
  get isEmpty(): boolean {
    return this.#changed.size === 0
  }

  /** Journals and shows all of it. */
  commit(): void {
    const nodes: NodeChange[] = []
    for (const [node, after] of this.#changed) {
      nodes.push({ node, before: this.#tables.record(node), after })
    }
    this.merger.write(nodes)
  }

  /** Every name that a node stands for. */
  namesOf(node: NodeId): Shown[] {
    if (node === ROOT_ID) return []
    const record = this.#tables.record(node)
    if (record === null) return this.#namesOfCopy(node)
    if (record.kind === 'dir') {
      const place = shownState(this.#tables).placeOf(node)
      return place ? [{ dir: place.parent, entry: place.entry }] : []
    }
    const found: Shown[] = []
    for (const { place } of liveLinks(record)) {
      const dir = this.#tables.hostOf(place.parent)
      const stored = this.#tables.entry(dir, place.name.toString('latin1'))
      for (const entry of [stored, ...this.#derived(dir)]) {
        if (entry?.standing.some((each) => each.node === node)) found.push({ dir, entry })
      }
    }
    return found
  }

  #namesOfCopy(copy: NodeId): Shown[] {
    const origin = this.#tables.originOf(copy)
    const record = origin && this.#tables.record(origin)
    const found: Shown[] = []
    for (const { place } of record ? liveLinks(record) : []) {
      const dir = this.#tables.hostOf(place.parent)
      for (const entry of this.#derived(dir)) if (entry.node === copy) found.push({ dir, entry })
    }
    return found
  }

  #derived(dir: NodeId): readonly Entry[] {
    return shownState(this.#tables).derived(dir)
  }

  #record(node: NodeId): NodeRecord {
    const record = this.#changed.get(node) ?? this.#tables.record(node)
    assert(record !== null, 'a shown node has a record')
    return record
  }

  /** A record whose losers can be covered, because each has a node of its own or gets it now. */
  #settled(
    node: NodeId,
    shown: DataVersion | null
  ): { record: NodeRecord; base: DataVersion | null; write: Write } {
    const record = this.#record(node)
    const asShown = shown && record.data.find(({ dot }) => sameDot(dot, shown.dot))
    const base = asShown ?? this.#shownOf(node, record)
    if (base === null) return { record, base, write: this.write }
    const losers = dataLosers(record, base)
    for (const loser of losers) {
      const copy = derivedId(node, loser.dot)
      if (this.#changed.has(copy) || this.#tables.record(copy) !== null) continue
      const [elsewhere] = this.#namesOfCopy(copy)
      assert(elsewhere !== undefined, 'a loser is shown')
      this.settle({ parent: elsewhere.dir, name: elsewhere.entry.name })
      return this.#settled(node, shown)
    }
    const materialised = losers.map((loser) => loser.dot)
    return { record, base, write: { ...this.write, materialised } }
  }

  #shownOf(node: NodeId, record: NodeRecord): DataVersion | null {
    if (this.#changed.has(node)) return dataWinner(record)
    return this.#tables.shownData(node, record)
  }
}
