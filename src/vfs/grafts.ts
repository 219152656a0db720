/**
 * Names that are shown in the tree though no record knows them: where foreign drives are attached.
 *
 * A graft is at a path. It is shown while all directories of the path are there, and nothing of the
 * tree has its name: what the person has (another device may make it at any time) is never hidden.
 * The directories on the way to a graft are busy: they are neither renamed nor removed here.
 */
import { FsError } from '../base/errors.js'
import { ROOT_INO } from '../format/ids.js'
import type { Name } from '../union/changes.js'
import type { Volume } from './volume.js'

const DT_DIR = 4

/** Where something is to be shown. */
export interface Graft {
  /** From the top; the last one is the graft's own. */
  readonly names: readonly Name[]
  /** What is shown there: an inode of no record's. */
  readonly ino: number
}

interface Shown {
  readonly parent: number
  readonly name: Name
  readonly ino: number
}

/** See the file's head. */
export class Grafts {
  #grafts: readonly Graft[] = []
  readonly #shown = new Map<string, Shown>()
  /** Directories on the way to a graft that is shown. */
  readonly #busy = new Set<number>()
  /** All names of all paths. */
  #names: ReadonlySet<Name> = new Set()

  constructor(private readonly volume: Pick<Volume, 'parts'>) {}

  /** Whether there is none. */
  get isEmpty(): boolean {
    return this.#grafts.length === 0
  }

  /** Says what is to be shown where, instead of what was. */
  set(grafts: readonly Graft[]): void {
    this.#grafts = grafts
    this.#names = new Set(grafts.flatMap(({ names }) => names))
    this.#resolve()
  }

  /** The graft that is shown under a name, or null. */
  at(parent: number, name: Name): number | null {
    return this.#shown.get(keyOf(parent, name))?.ino ?? null
  }

  /** Where a graft is shown, or null. */
  placeOf(ino: number): { readonly parent: number; readonly name: Name } | null {
    for (const shown of this.#shown.values()) if (shown.ino === ino) return shown
    return null
  }

  /** @throws {FsError} EBUSY: a name is a graft's, or leads to one */
  checkIdle(parent: number, name: Name): void {
    if (this.isEmpty) return
    const ino = this.volume.parts.index.dirent(parent, name)?.ino
    const isOnTheWay = ino !== undefined && this.#busy.has(ino)
    if (!isOnTheWay && this.at(parent, name) === null) return
    throw new FsError('EBUSY', 'a drive is attached here: see pcfs attach --list')
  }

  /** A directory's names were given to the data plane: adds the grafts. */
  showIn(parent: number): void {
    for (const shown of this.#shown.values()) if (shown.parent === parent) this.#add(shown)
  }

  /** What the tree has at a name may have changed, and the data plane was told. */
  noteName(parent: number, name: Name): void {
    if (!this.#names.has(name)) return
    this.#resolve()
    this.showIn(parent)
  }

  #resolve(): void {
    const before = new Map(this.#shown)
    this.#shown.clear()
    this.#busy.clear()
    for (const graft of this.#grafts) this.#place(graft)
    for (const [key, shown] of before) {
      if (this.#shown.get(key)?.ino !== shown.ino) this.#remove(shown)
    }
    for (const [key, shown] of this.#shown) {
      if (before.get(key)?.ino === shown.ino) continue
      this.#add(shown)
      this.#forgetEntry(shown)
    }
  }

  #place({ names, ino }: Graft): void {
    const { index } = this.volume.parts
    const way: number[] = []
    let parent = ROOT_INO
    for (const name of names.slice(0, -1)) {
      const dirent = index.dirent(parent, name)
      if (dirent?.dtype !== DT_DIR) return
      parent = dirent.ino
      way.push(parent)
    }
    const name = names.at(-1) ?? ''
    if (index.dirent(parent, name)) return
    this.#shown.set(keyOf(parent, name), { parent, name, ino })
    for (const each of way) this.#busy.add(each)
  }

  #add({ parent, name, ino }: Shown): void {
    this.volume.parts.plane.addDirent(parent, Buffer.from(name, 'latin1'), ino, DT_DIR)
  }

  #remove(shown: Shown): void {
    const { parent, name } = shown
    const { plane, index } = this.volume.parts
    if (!index.dirent(parent, name)) plane.removeDirent(parent, Buffer.from(name, 'latin1'))
    this.#forgetEntry(shown)
  }

  #forgetEntry({ parent, name }: Shown): void {
    this.volume.parts.plane.invalidateEntry(parent, Buffer.from(name, 'latin1'))
  }
}

function keyOf(parent: number, name: Name): string {
  return `${parent}/${name}`
}
