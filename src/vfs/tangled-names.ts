/** Operations on names where there are conflicts; what `namespace.ts` checks has been checked. */
import { FsError } from '../base/errors.js'
import { ROOT_ID } from '../format/ids.js'
import type { Place } from '../format/record.js'
import type { Name } from '../union/changes.js'
import type { Row } from '../union/row.js'
import type { Merger } from './merger.js'
import { type NewNode, newNodeRow } from './new-node.js'
import { Operation, type Shown } from './operation.js'
import { ATTR } from './plane.js'
import type { Caller, Volume } from './volume.js'

interface At {
  readonly parent: number
  readonly name: Name
}

/** See the file's head. */
export class TangledNames {
  readonly #volume: Volume

  constructor(private readonly merger: Merger) {
    this.#volume = merger.volume
  }

  /** As `Namespace.make`, in this directory. */
  make(
    at: At,
    node: NewNode,
    { dir, caller }: { readonly dir: Row; readonly caller: Caller }
  ): number {
    const operation = new Operation(this.merger, 1)
    const place = this.#placeOf(at)
    operation.settle(place)
    const row = newNodeRow(this.#volume, { node, dir, caller, place }, operation.write)
    operation.create(this.#volume.parts.author.idOf(row.ino), row.record)
    operation.commit()
    const made = this.#volume.row(row.ino)
    this.#volume.show(made)
    return row.ino
  }

  /** As `unlink` and `rmdir`. */
  remove(at: At): void {
    const { plane, author } = this.#volume.parts
    const operation = new Operation(this.merger)
    const shown = this.#shown(operation, at)
    operation.settleAll(shown)
    operation.remove(shown)
    const ino = author.inoOf(shown.entry.node)
    operation.commit()
    const row = this.#volume.orphans.get(ino)
    if (row) this.#volume.showAttr(row, ATTR.nlink | ATTR.ctime)
    else if (shown.entry.kind === 'dir') plane.dropDir(ino)
  }

  /** As `link`. */
  link(old: Row, at: At): void {
    const operation = new Operation(this.merger)
    const place = this.#placeOf(at)
    const [node] = operation.nodesOf(this.#volume.parts.author.idOf(old.ino))
    if (node === undefined) throw new FsError('ENOENT')
    operation.settle(place)
    operation.link(node, place)
    operation.commit()
  }

  /** As `rename`, or with both names exchanged. */
  rename(from: At, to: At, isExchange: boolean): void {
    const operation = new Operation(this.merger)
    const moved = this.#shown(operation, from)
    const place = this.#placeOf(to)
    const target = operation.shownAt(place)
    operation.settleAll(moved)
    if (target) operation.settleAll(target)
    else operation.settle(place)
    if (target && isExchange) operation.move(target, this.#placeOf(from))
    else if (target) operation.remove(target)
    operation.move(moved, place)
    operation.commit()
  }

  #shown(operation: Operation, at: At): Shown {
    const shown = operation.shownAt(this.#placeOf(at))
    if (!shown || shown.entry.node === ROOT_ID) throw new FsError('ENOENT')
    return shown
  }

  #placeOf({ parent, name }: At): Place {
    const id = this.#volume.parts.author.idOf(parent)
    return { parent: id, name: Buffer.from(name, 'latin1') }
  }
}
