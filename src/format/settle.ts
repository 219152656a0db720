/**
 * Settling a conflict: what a mount shows as copies and under derived names is written down as it
 * is shown. An operation on such a name, or on one beside it, does this first, in the same batch:
 * otherwise removing a file would give its name to the loser, and `rm -r` would never end.
 */
import { COMPANION_SUFFIXES, companionOf } from './companions.js'
import type { Entry } from './tree.js'
import { type NodeId, derivedId, linkIdOf } from './ids.js'
import { type Write, copyOf, withData, withPlace } from './edit.js'
import type { NodeRecord, Place } from './record.js'
import { dataLosers, isLive, placeWinner } from './winner.js'

/** Records that an operation changes, by node. */
export type ChangedRecords = Map<NodeId, NodeRecord>

/** Where a directory is shown, and as what. */
export interface ShownPlace {
  /** Shown node of the directory that it is in. */
  readonly parent: NodeId
  readonly entry: Entry
}

/** What settling reads: the shown tree and the records that it was made of. */
export interface ShownTree {
  /** null: nothing is known of the node. */
  record(node: NodeId): NodeRecord | null
  /**
   * What a name shows; null: nothing.
   * @param dir the directory's shown node
   * @param nameKey latin1 string of the name's bytes
   */
  entry(dir: NodeId, nameKey: string): Entry | null
  /** The entries of a directory that have a stem. Nearly always none. */
  derived(dir: NodeId): readonly Entry[]
  /** The directories that a cycle has displaced. Nearly always none. */
  displaced(): Iterable<NodeId>
  /** Where a directory is shown; null: nowhere. */
  placeOf(dir: NodeId): ShownPlace | null
}

/**
 * The settling that one operation does: around every name that it touches, before it changes what
 * is there. Each name is settled once, as it was shown when the operation began.
 */
export class Settlement {
  readonly #tree: ShownTree
  readonly #write: Write
  readonly #changed: ChangedRecords
  /** Directory and name of each entry that was seen to. */
  readonly #settled = new Set<string>()
  readonly #stored = new Set<NodeId>()

  /**
   * @param tree as the operation found it
   * @param write of the operation
   * @param changed takes the records that settle; the operation's own changes go there too
   */
  constructor(tree: ShownTree, write: Write, changed: ChangedRecords) {
    this.#tree = tree
    this.#write = write
    this.#changed = changed
  }

  /**
   * Settles the conflict around a name: its copies, the derived names of those that lost it, the
   * same of its companions, and its directory, if that lives only because of what is in it.
   * Usually nothing. Afterwards the tree shows the same names and contents, none of them derived.
   * Who writes to a node with several names settles the conflict around each.
   * @param place the directory's shown node and a shown or a new name in it
   */
  around(place: Place): void {
    for (const dir of this.#tree.displaced()) this.#storeDir(dir)
    const parent = this.#tree.record(place.parent)
    if (parent && !isLive(parent)) this.#storeDir(place.parent)
    const keyOf = ({ name }: Entry): string => `${place.parent}/${name.toString('latin1')}`
    const group = this.#groupOf(place).filter((entry) => !this.#settled.has(keyOf(entry)))
    for (const entry of group) this.#storeName(entry, place.parent)
    for (const entry of group) this.#chooseShown(entry)
    for (const entry of group) this.#settled.add(keyOf(entry))
  }

  /** What is shown around a name that has to do with it. */
  #groupOf({ parent, name }: Place): readonly Entry[] {
    const shown = this.#tree.entry(parent, name.toString('latin1'))
    const derived = this.#tree.derived(parent)
    if (derived.length === 0) return shown === null ? [] : [shown]
    const base = baseOf(shown?.stem ?? name)
    const group = derived.filter((entry) => baseOf(entry.stem ?? entry.name) === base)
    for (const suffix of ['', ...COMPANION_SUFFIXES]) {
      const entry = this.#tree.entry(parent, base + suffix)
      if (entry?.stem === null && baseOf(entry.name) === base) group.push(entry)
    }
    return group
  }

  /** Writes an entry's name down as it is shown, unless that is what its record says already. */
  #storeName(entry: Entry, parent: NodeId): void {
    const stored = { parent, name: entry.name }
    if (entry.copyOf !== null) {
      const origin = this.#record(entry.copyOf)
      if (origin === null || entry.data === null) return
      this.#changed.set(entry.node, copyOf(origin, entry.data, stored, this.#write))
      return
    }
    const isStored = entry.standing.every(({ node, link }) => {
      const record = this.#record(node)
      return record === null || placeWinner(record, link)?.deleted === false
    })
    if (entry.stem === null && isStored) return
    placeAll(entry.standing, stored, {
      write: this.#write,
      recordOf: (node) => this.#record(node),
      changed: this.#changed
    })
  }

  /**
   * A directory that only its entries bring back stays when the last of them goes; one whose move
   * is void stays where it is when the cycle ends.
   */
  #storeDir(node: NodeId): void {
    if (this.#stored.has(node)) return
    this.#stored.add(node)
    const place = this.#tree.placeOf(node)
    if (place === null) return
    const { parent, entry } = place
    for (const { node: other, link } of entry.standing) {
      // Under a derived name, the directories of one listing would part if only one had it stored.
      const record = other === node || entry.stem !== null ? this.#record(other) : null
      if (record === null || (other !== node && this.#stored.has(other))) continue
      this.#stored.add(other)
      const stored = { parent, name: entry.name }
      this.#changed.set(other, withPlace(record, link, stored, this.#write))
    }
  }

  /** Makes what is shown of a node the only version, when each of the others has a record. */
  #chooseShown({ node, data, copyOf: origin }: Entry): void {
    const record = this.#record(node)
    if (origin !== null || data === null || record === null || record.data.length <= 1) return
    const losers = dataLosers(record, data)
    const copies = losers.map((loser) => derivedId(node, loser.dot))
    if (copies.some((copy) => this.#record(copy) === null)) return
    const materialised = losers.map((loser) => loser.dot)
    const write = { ...this.#write, materialised }
    this.#changed.set(node, withData(record, { base: data }, write))
  }

  #record(node: NodeId): NodeRecord | null {
    return this.#changed.get(node) ?? this.#tree.record(node)
  }
}

/**
 * Gives one place to all that stands for an entry. The one that is shown stays the one: programs
 * have it open, and may have written to it what no record tells yet.
 * @param standing the one that is shown first
 * @param into takes the records; one that `recordOf` does not know is left out
 */
export function placeAll(
  standing: Entry['standing'],
  place: Place,
  into: {
    readonly write: Write
    readonly recordOf: (node: NodeId) => NodeRecord | null
    readonly changed: ChangedRecords
  }
): void {
  const { write, recordOf, changed } = into
  let { hlc } = write
  // The first one last, when it is known what its stamp has to be greater than.
  for (const [i, { node, link }] of [...standing.entries()].reverse()) {
    const record = recordOf(node)
    if (record === null) continue
    const placed = withPlace(record, link, place, i === 0 ? { ...write, hlc } : write)
    changed.set(node, placed)
    const stamp = placeWinner(placed, link)?.stamp ?? 0n
    if (stamp >= hlc) hlc = stamp + 1n
  }
}

/** The name that decides for itself and its companions. */
function baseOf(name: Buffer): string {
  const key = name.toString('latin1')
  return companionOf(key, COMPANION_SUFFIXES)?.base ?? key
}

/**
 * The links that stand for an entry once its conflict is settled: those that it has, or the first
 * link of a copy that had no record.
 */
export function standingOf(entry: Entry): Entry['standing'] {
  if (entry.copyOf === null || entry.data === null) return entry.standing
  return [{ node: entry.node, link: linkIdOf(entry.data.dot) }]
}
