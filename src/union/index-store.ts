/**
 * The index: the union as it is known here, in LMDB, with synchronous reads.
 *
 * A change is seen at once and lies in memory until the journal that holds it is durable; only then
 * is it written to LMDB. So the index on the disk is never ahead of the journal on the disk, and
 * recovery is: apply the journal's changes again. Invariant: `current` over `flushing` over LMDB is
 * the truth.
 */
import { open, type Database, type RootDatabase } from 'lmdb'
import { FsError } from '../base/errors.js'
import { decodeDirent, direntKey, encodeDirent, inoOfKey, nodeKey } from './changes.js'
import type { Change, Dirent, Name } from './changes.js'
import { Row } from './row.js'

/** Changes that are not yet in LMDB. */
class Overlay {
  readonly nodes = new Map<number, Row | null>()
  readonly dirents = new Map<number, Map<Name, Dirent | null>>()
  readonly meta = new Map<string, Buffer | null>()
  size = 0

  apply(change: Change): void {
    this.size++
    if (change.kind === 'node') this.nodes.set(change.ino, change.row)
    else if (change.kind === 'meta') this.meta.set(change.key, change.value)
    else {
      let names = this.dirents.get(change.parent)
      if (!names) this.dirents.set(change.parent, (names = new Map()))
      names.set(change.name, change.dirent)
    }
  }
}

/** A directory entry with its name. */
export interface Child extends Dirent {
  readonly name: Name
}

/** The local materialisation of the union. One instance a home. */
export class Index {
  readonly #root: RootDatabase<Buffer, Buffer>
  readonly #nodes: Database<Buffer, Buffer>
  readonly #dirents: Database<Buffer, Buffer>
  readonly #meta: Database<Buffer, string>
  #current = new Overlay()
  #flushing: Overlay | null = null

  private constructor(root: RootDatabase<Buffer, Buffer>) {
    this.#root = root
    const binary = { encoding: 'binary', keyEncoding: 'binary' } as const
    this.#nodes = root.openDB({ name: 'nodes', ...binary })
    this.#dirents = root.openDB({ name: 'dirents', ...binary })
    this.#meta = root.openDB({ name: 'meta', encoding: 'binary' })
  }

  /**
   * Opens the index, or makes an empty one.
   * @param directory exists, and is this index's own
   * @throws {FsError} EUCLEAN when LMDB refuses the file
   */
  static open(directory: string): Index {
    try {
      return new Index(
        open({
          path: directory,
          encoding: 'binary',
          keyEncoding: 'binary',
          maxDbs: 8,
          // Its batch of a turn fails by a promise that nobody holds, which would end the process.
          eventTurnBatching: false
        })
      )
    } catch (cause) {
      throw new FsError('EIO', 'the index is damaged: run `pcfs doctor --rebuild-index`', { cause })
    }
  }

  /** The row of a node, or null when there is none. */
  node(ino: number): Row | null {
    const current = this.#current.nodes.get(ino)
    if (current !== undefined) return current
    const flushing = this.#flushing?.nodes.get(ino)
    if (flushing !== undefined) return flushing
    const bytes = this.#nodes.get(nodeKey(ino))
    return bytes ? new Row(bytes) : null
  }

  /** What a name in a directory points at, or null. */
  dirent(parent: number, name: Name): Dirent | null {
    const current = this.#current.dirents.get(parent)?.get(name)
    if (current !== undefined) return current
    const flushing = this.#flushing?.dirents.get(parent)?.get(name)
    if (flushing !== undefined) return flushing
    const bytes = this.#dirents.get(direntKey(parent, name))
    return bytes ? decodeDirent(bytes) : null
  }

  /** All entries of a directory, in no particular order. */
  children(parent: number): Child[] {
    const found = new Map<Name, Child>()
    const range = { start: nodeKey(parent), end: nodeKey(parent + 1) }
    for (const { key, value } of this.#dirents.getRange(range)) {
      const name = key.toString('latin1', 8)
      found.set(name, { name, ...decodeDirent(value) })
    }
    for (const overlay of [this.#flushing, this.#current]) {
      for (const [name, dirent] of overlay?.dirents.get(parent) ?? []) {
        if (dirent) found.set(name, { name, ...dirent })
        else found.delete(name)
      }
    }
    return [...found.values()]
  }

  /** A value of this device's own book-keeping, or null. */
  meta(key: string): Buffer | null {
    const current = this.#current.meta.get(key)
    if (current !== undefined) return current
    const flushing = this.#flushing?.meta.get(key)
    if (flushing !== undefined) return flushing
    return this.#meta.get(key) ?? null
  }

  /** All values of this device's book-keeping whose keys begin alike, ascending by key. */
  metaRange(prefix: string): { readonly key: string; readonly value: Buffer }[] {
    const found = new Map<string, Buffer>()
    for (const { key, value } of this.#meta.getRange({ start: prefix, end: `${prefix}\uffff` })) {
      found.set(key, value)
    }
    for (const overlay of [this.#flushing, this.#current]) {
      for (const [key, value] of overlay?.meta ?? []) {
        if (!key.startsWith(prefix)) continue
        if (value) found.set(key, value)
        else found.delete(key)
      }
    }
    return [...found]
      .map(([key, value]) => ({ key, value }))
      .sort((a, b) => (a.key < b.key ? -1 : 1))
  }

  /** Every row, in ino order; a consistent view only while nothing is pending. */
  *rows(): Generator<Row> {
    const pending = new Map([...(this.#flushing?.nodes ?? []), ...this.#current.nodes])
    for (const { key, value } of this.#nodes.getRange({})) {
      const ino = key.readUInt32BE(0) * 0x1_0000_0000 + key.readUInt32BE(4)
      if (!pending.has(ino)) yield new Row(value)
    }
    for (const row of pending.values()) if (row) yield row
  }

  /**
   * Every row, some at a time, for who looks at all without stopping the thread: the index may
   * change in between. A row that is there all the time is seen, as it is or was meanwhile.
   */
  *rowPages(limit: number): Generator<readonly Row[]> {
    const pending = [...(this.#flushing?.nodes ?? []), ...this.#current.nodes]
    yield pending.flatMap(([, row]) => row ?? [])
    let start = nodeKey(0)
    for (;;) {
      const page = [...this.#nodes.getRange({ start, limit })]
      yield page.map(({ value }) => new Row(value))
      const last = page.at(-1)
      if (!last || page.length < limit) return
      start = nodeKey(inoOfKey(last.key) + 1)
    }
  }

  /** Whether there is not a single row on the disk. */
  get isEmpty(): boolean {
    for (const _ of this.#nodes.getKeys({ limit: 1 })) return false
    return true
  }

  /** How many changes are held in memory. */
  get pendingCount(): number {
    return this.#current.size + (this.#flushing?.size ?? 0)
  }

  /** Applies changes; they are seen at once. The caller has journaled them. */
  apply(changes: readonly Change[]): void {
    for (const change of changes) this.#current.apply(change)
  }

  /**
   * Takes all changes so far aside, to be written by `flush`.
   * @returns false when an earlier cut has not been flushed yet, or nothing is pending
   */
  cut(): boolean {
    if (this.#flushing || this.#current.size === 0) return false
    this.#flushing = this.#current
    this.#current = new Overlay()
    return true
  }

  /**
   * Writes what `cut` took aside, as one transaction; durable when it resolves. To be called when
   * the journal up to the cut is durable. After a failure the cut is kept and may be flushed again.
   * @throws {FsError} ENOSPC, EIO
   */
  async flush(): Promise<void> {
    const cut = this.#flushing
    if (!cut) return
    try {
      await this.#root.batch(() => this.#write(cut))
      await this.#root.flushed
    } catch (error) {
      const cause = await reasonOf(error)
      const full = String(cause).includes('MDB_MAP_FULL') || String(cause).includes('No space')
      throw new FsError(full ? 'ENOSPC' : 'EIO', 'the index can not be written', { cause })
    }
    this.#flushing = null
  }

  #write(cut: Overlay): void {
    for (const [ino, row] of cut.nodes) {
      hush(row ? this.#nodes.put(nodeKey(ino), row.bytes) : this.#nodes.remove(nodeKey(ino)))
    }
    for (const [parent, names] of cut.dirents) {
      for (const [name, dirent] of names) {
        const key = direntKey(parent, name)
        hush(dirent ? this.#dirents.put(key, encodeDirent(dirent)) : this.#dirents.remove(key))
      }
    }
    for (const [key, value] of cut.meta) {
      hush(value ? this.#meta.put(key, value) : this.#meta.remove(key))
    }
  }

  /** Empties the index, for a rebuild. */
  async clear(): Promise<void> {
    await Promise.all([
      this.#nodes.clearAsync(),
      this.#dirents.clearAsync(),
      this.#meta.clearAsync()
    ])
    this.#current = new Overlay()
    this.#flushing = null
  }

  /** Closes LMDB; pending changes stay in the journal. */
  async close(): Promise<void> {
    await this.#root.close()
  }
}

/** A single write that fails makes its batch fail; that one is waited for, this one is not. */
function hush(write: Promise<boolean>): void {
  write.catch(() => undefined)
}

/** LMDB says only in a second promise, rejected in the same turn, why a commit failed. */
async function reasonOf(failure: unknown): Promise<unknown> {
  if (!(failure instanceof Error && 'commitError' in failure)) return failure
  const { commitError } = failure
  if (!(commitError instanceof Promise)) return failure
  const later = new Promise((resolve) => setImmediate(resolve, failure))
  try {
    return await Promise.race([commitError, later])
  } catch (reason) {
    return reason
  }
}
