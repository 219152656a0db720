/**
 * The plain files in the home's `spool/` that hold content outside the Corestore: what was written
 * and is not ingested yet, and afterwards the same bytes as a cache.
 *
 * Small files (to 64 KiB) share sparse *slabs*: a slot of 64 KiB each, given out in order and never
 * twice, so that a slot is always empty when it is given out, and 10,000 small files cost ten
 * creations on the disk's filesystem instead of 10,000. Larger files have a file of their own.
 * A local file goes when no node is bound to it any more and the journal entry that made it so is
 * durable: otherwise a power loss could bring a file back whose bytes are gone.
 */
import { closeSync, fsyncSync, openSync, readdirSync, statSync, unlink, unlinkSync } from 'node:fs'
import { join } from 'node:path'
import type { Binding, DataPlane } from './plane.js'

/** Bytes of a slot: a file up to this size shares a slab. */
export const SLOT_BYTES = 64 * 1024
/** Slots of a slab: 64 MiB of sparse file. */
const SLAB_SLOTS = 1024
/** Largest file content, bytes: half of what ext4 lets one file have. */
export const FILE_LIMIT = 8 * 2 ** 40

interface LocalFile {
  readonly id: number
  readonly path: string
  readonly slab: boolean
  /** Slots given out so far. */
  used: number
  /** The nodes whose bytes are here. */
  readonly inos: Set<number>
}

interface Doomed {
  readonly file: LocalFile
  readonly seq: number
}

/** Gives out places for content; see the file's head. */
export class LocalFiles {
  readonly #files = new Map<number, LocalFile>()
  readonly #bindings = new Map<number, Binding>()
  /** Files that nobody is bound to, and the journal entry that must be durable before they go. */
  #doomed: Doomed[] = []
  #slab: LocalFile | null = null
  #nextId = 1

  /**
   * @param directory the home's `spool/`; exists
   * @param plane reads and writes the files
   * @param lastSeq sequence number of the newest journal entry of JavaScript's
   */
  constructor(
    readonly directory: string,
    private readonly plane: Pick<
      DataPlane,
      'addFile' | 'removeFile' | 'bind' | 'rebind' | 'unbind'
    >,
    private readonly lastSeq: () => number
  ) {}

  /** Where a node's local bytes are, or null. */
  bindingOf(ino: number): Binding | null {
    return this.#bindings.get(ino) ?? null
  }

  /** How many nodes have local bytes. */
  get boundCount(): number {
    return this.#bindings.size
  }

  /**
   * Makes room for a node's content up to a file offset: binds it, or moves it out of its slot.
   * @param end file offset that must fit
   * @throws {Error} with Node's code (ENOSPC, EMFILE) when the disk refuses
   */
  ensure(ino: number, end: number): void {
    const bound = this.#bindings.get(ino)
    if (bound && end <= bound.limit) return
    const file = end <= SLOT_BYTES ? this.#slabWithRoom() : this.#create(false)
    const binding = file.slab
      ? { fileId: file.id, base: file.used * SLOT_BYTES, limit: SLOT_BYTES }
      : { fileId: file.id, base: 0, limit: FILE_LIMIT }
    if (bound) this.plane.rebind(ino, binding.fileId, binding.base, binding.limit)
    else this.plane.bind(ino, binding.fileId, binding.base, binding.limit)
    if (file.slab) file.used++
    if (bound) this.#detach(ino, bound)
    this.#bindings.set(ino, binding)
    file.inos.add(ino)
  }

  /**
   * Lets a node's local bytes go.
   * @returns false while the data plane still needs them (not ingested, or being read)
   */
  release(ino: number): boolean {
    const bound = this.#bindings.get(ino)
    if (!bound) return true
    if (!this.plane.unbind(ino)) return false
    this.#bindings.delete(ino)
    this.#detach(ino, bound)
    return true
  }

  /** Takes over a file that an earlier run left, because the journal says it is still needed. */
  adopt(ino: number, binding: Binding): void {
    let file = this.#files.get(binding.fileId)
    if (!file) {
      const slab = binding.limit === SLOT_BYTES
      file = this.#register(binding.fileId, slab, openSync(this.#path(binding.fileId, slab), 'r+'))
      file.used = SLAB_SLOTS
    }
    file.inos.add(ino)
    this.#bindings.set(ino, binding)
  }

  /** Whether a file of an earlier run is a slab, by its name; null when it is gone. */
  kindOnDisk(fileId: number): 'slab' | 'file' | null {
    for (const slab of [true, false]) {
      if (statSync(this.#path(fileId, slab), { throwIfNoEntry: false })) {
        return slab ? 'slab' : 'file'
      }
    }
    return null
  }

  /** Removes what an earlier run left and nobody adopted; new ids begin beyond the old ones. */
  sweep(): void {
    for (const name of readdirSync(this.directory)) {
      const id = Number.parseInt(name, 10)
      if (!Number.isSafeInteger(id)) continue
      this.#nextId = Math.max(this.#nextId, id + 1)
      if (!this.#files.has(id)) unlinkSync(join(this.directory, name))
    }
  }

  /**
   * The nodes that share the local file that was made first, for eviction: oldest first.
   * @returns an iterator over groups of inos; releasing while iterating is allowed
   */
  *oldestFirst(): Generator<readonly number[]> {
    for (const file of this.#files.values()) {
      if (file !== this.#slab) yield [...file.inos]
    }
  }

  /** Deletes the files that nobody needs, now that the journal is durable up to `durableSeq`. */
  reap(durableSeq: number): void {
    const waiting: Doomed[] = []
    for (const doomed of this.#doomed) {
      if (doomed.seq > durableSeq) {
        waiting.push(doomed)
        continue
      }
      this.plane.removeFile(doomed.file.id)
      // Freeing a slab's thousand extents takes ms; if it fails, the next start sweeps it.
      unlink(doomed.file.path, () => undefined)
    }
    this.#doomed = waiting
  }

  /** Bytes that all local files take on the disk. */
  diskBytes(): number {
    let bytes = 0
    for (const file of this.#files.values()) bytes += statSync(file.path).blocks * 512
    return bytes
  }

  #path(id: number, slab: boolean): string {
    return join(this.directory, `${id}.${slab ? 'slab' : 'file'}`)
  }

  #register(id: number, slab: boolean, fd: number): LocalFile {
    const file = { id, path: this.#path(id, slab), slab, used: 0, inos: new Set<number>() }
    this.plane.addFile(id, fd)
    this.#files.set(id, file)
    this.#nextId = Math.max(this.#nextId, id + 1)
    return file
  }

  #create(slab: boolean): LocalFile {
    const id = this.#nextId++
    const file = this.#register(id, slab, openSync(this.#path(id, slab), 'wx+', 0o600))
    return file
  }

  #slabWithRoom(): LocalFile {
    if (!this.#slab || this.#slab.used >= SLAB_SLOTS) {
      const full = this.#slab
      this.#slab = this.#create(true)
      if (full) this.#dropIfEmpty(full)
    }
    return this.#slab
  }

  #detach(ino: number, binding: Binding): void {
    const file = this.#files.get(binding.fileId)
    if (!file) return
    file.inos.delete(ino)
    this.#dropIfEmpty(file)
  }

  #dropIfEmpty(file: LocalFile): void {
    if (file.inos.size > 0 || file === this.#slab) return
    this.#files.delete(file.id)
    this.#doomed.push({ file, seq: this.lastSeq() })
  }
}

/** Makes the names in a directory durable. */
export function syncDirectory(path: string): void {
  const fd = openSync(path, 'r')
  try {
    fsyncSync(fd)
  } finally {
    closeSync(fd)
  }
}
