/**
 * The commit of contents where there are conflicts: settled before the freeze, so that the next
 * version covers only what has a node of its own; merged afterwards, with the same content for all
 * nodes that stand for the same names.
 */
import type { NodeId } from '../format/ids.js'
import type { NodeChange } from '../format/merge-state.js'
import { withData } from '../format/edit.js'
import type { Change } from '../union/changes.js'
import type { BaseRow } from '../union/delta-changes.js'
import type { Row } from '../union/row.js'
import { dataWinner } from '../format/winner.js'
import type { Merger } from './merger.js'
import { Operation } from './operation.js'

/** See the file's head. */
export class ConflictCommit {
  readonly #nodes: NodeChange[] = []
  readonly #rows = new Map<number, BaseRow>()
  #hasOthers = false

  constructor(private readonly merger: Merger) {}

  /**
   * Settles what is around the names of files that are to be committed.
   * @returns the other nodes that stand for the names of each
   */
  settle(inos: Iterable<number>): ReadonlyMap<number, readonly NodeId[]> {
    const others = new Map<number, readonly NodeId[]>()
    const { tables, index, author } = this.merger.volume.parts
    if (!tables.isShared) return others
    for (const ino of inos) {
      const row = index.node(ino)
      if (!row || !tables.isTangled(row)) continue
      const node = author.idOf(ino)
      const operation = new Operation(this.merger)
      const nodes = operation.nodesOf(node)
      if (!operation.isEmpty) operation.commit()
      others.set(
        ino,
        nodes.filter((each) => each !== node)
      )
    }
    return others
  }

  /**
   * Takes a file's new row, which is not in the index yet.
   * @param others nodes that get the same content
   */
  add(old: Row, row: Row, others: readonly NodeId[]): void {
    const { author, tables } = this.merger.volume.parts
    const node = author.idOf(row.ino)
    const shown = ownVersion(row, author.generation)
    this.#nodes.push({ node, before: old.record, after: row.record })
    this.#rows.set(row.ino, { row, shown })
    if (!shown) return
    for (const other of others) {
      const before = tables.record(other)
      if (!before) continue
      this.#hasOthers = true
      const { content, mtimeNs } = shown
      const after = withData(before, { content, mtimeNs }, author.write())
      this.#nodes.push({ node: other, before, after })
    }
  }

  /** Takes the new record of a node that was removed meanwhile. */
  bury(change: NodeChange): void {
    this.#nodes.push(change)
  }

  get isEmpty(): boolean {
    return this.#nodes.length === 0
  }

  /** Merges them, as one state with these changes. */
  commit(beside: readonly Change[]): void {
    const { merger } = this
    merger.introduce(this.#nodes)
    const request = { isOwn: this.#hasOthers, beside, rows: this.#rows }
    merger.apply(merger.plan(this.#nodes, request))
  }

  /**
   * Another device's version may be shown after all: its clock is far ahead. Then the local bytes,
   * which have a version of their own by now, are not what is shown.
   */
  dropReplaced(): void {
    const { index, files } = this.merger.volume.parts
    for (const [ino, { row }] of this.#rows) {
      const after = index.node(ino)
      if (after && after.baseEpoch === row.baseEpoch) continue
      files.release(ino)
      if (after) this.merger.volume.show(after)
    }
  }
}

/** The version that was just committed. */
function ownVersion({ record }: Row, generation: number): BaseRow['shown'] {
  const own = record.data.find(({ dot }) => dot.generation === generation)
  return own ?? dataWinner(record)
}

/** How many nodes are committed beside the files. */
export function countOthers(others: ReadonlyMap<number, readonly NodeId[]>): number {
  return [...others.values()].reduce((sum, nodes) => sum + nodes.length, 0)
}
