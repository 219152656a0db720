/**
 * Inode numbers of attached drives. The content of a number never changes: a file that is written
 * again gets another one, so what the kernel has cached of it is right for ever.
 *
 * The number of nodes that are remembered is bounded. One that was forgotten and is asked for is
 * ESTALE, upon which the kernel looks its path up again.
 */
import type { ForeignEntry } from '../attach/types.js'
import { FsError } from '../base/errors.js'
import { ROOT_INO } from '../format/ids.js'

/** Slot 0 of the inode numbers has the root of the tree only. */
const FIRST_INO = ROOT_INO + 1
const END_INO = 2 ** 41
const NODES_MAX = 250_000

/** A node of an attached drive. */
export interface ForeignNode {
  readonly ino: number
  /** Number of the drive. */
  readonly drive: number
  /** '' or `/a/b`. */
  readonly path: string
  /** Inode of the directory; its own for the top. */
  readonly parent: number
  readonly entry: ForeignEntry
}

/** Whether an inode number is of an attached drive. */
export function isForeign(ino: number): boolean {
  return ino >= FIRST_INO && ino < END_INO
}

/** See the file's head. */
export class ForeignNodes {
  readonly #nodes = new Map<number, ForeignNode>()
  readonly #inos = new Map<string, number>()
  #next = FIRST_INO

  constructor(private readonly limit = NODES_MAX) {}

  /** The node of a number. @throws {FsError} ESTALE */
  of(ino: number): ForeignNode {
    const node = this.#nodes.get(ino)
    if (!node) throw new FsError('ESTALE', `inode ${ino} is of a drive that was detached`)
    return node
  }

  /** The top of a drive. */
  top(drive: number): ForeignNode {
    const none = { blob: null, target: null, isExecutable: false }
    return this.#intern(drive, '', null, { name: '', kind: 'dir', seq: 0, size: 4096, ...none })
  }

  /** The node of an entry in a directory. */
  child(dir: ForeignNode, entry: ForeignEntry): ForeignNode {
    return this.#intern(dir.drive, `${dir.path}/${entry.name}`, dir.ino, entry)
  }

  /** The directory at a path, when it is known. */
  directory(drive: number, path: string): ForeignNode | null {
    const ino = this.#inos.get(keyOf(drive, path, 0))
    return (ino !== undefined && this.#nodes.get(ino)) || null
  }

  /** All that is known of a drive. */
  *ofDrive(drive: number): Generator<ForeignNode> {
    for (const node of this.#nodes.values()) if (node.drive === drive) yield node
  }

  forget({ ino, drive, path, entry }: ForeignNode): void {
    this.#nodes.delete(ino)
    this.#inos.delete(keyOf(drive, path, entry.seq))
  }

  /** Nodes that are too many, the ones used longest ago first; the caller forgets them. */
  *surplus(): Generator<ForeignNode> {
    let count = this.#nodes.size - this.limit
    for (const node of this.#nodes.values()) {
      if (count <= 0) return
      if (node.path === '') continue
      count--
      yield node
    }
  }

  #intern(drive: number, path: string, parent: number | null, entry: ForeignEntry): ForeignNode {
    const key = keyOf(drive, path, entry.seq)
    const ino = this.#inos.get(key) ?? this.#next++
    const node = { ino, drive, path, parent: parent ?? ino, entry }
    // Behind all others: it was used last.
    this.#nodes.delete(ino)
    this.#nodes.set(ino, node)
    this.#inos.set(key, ino)
    return node
  }
}

/** The entry of a directory has no block, so `seq` is 0; a file's is not. */
function keyOf(drive: number, path: string, seq: number): string {
  return `${drive}:${seq}:${path}`
}
