/**
 * The plain files in the home's `spool/` that hold content outside the Corestore: what was written
 * and is not ingested yet, and afterwards the same bytes as a cache.
 *
 * Files up to 64 KiB, and up to 1 MiB, share sparse *slabs*: slots of that size, given out in order
 * and never twice, so that a slot is always empty when it is given out, 10,000 small files cost ten
 * creations on the disk's filesystem instead of 10,000, and a folder of photos does not take a
 * descriptor for each. Larger files have a file of their own. A local file goes when no node is
 * bound to it any more and the journal entry that made it so is durable: otherwise a power loss
 * could bring a file back whose bytes are gone.
 */
import { closeSync, fsyncSync, openSync, readdirSync, statSync } from 'node:fs'
import { unlink } from 'node:fs/promises'
import { join } from 'node:path'
import type { Binding, DataPlane } from './plane.js'

/** Largest file content, bytes: half of what ext4 lets one file have. */
export const FILE_LIMIT = 8 * 2 ** 40

/** A kind of local file: how it is named, and the slots it is divided into. */
interface Layout {
  readonly suffix: string
  readonly slotBytes: number
  readonly slots: number
}

const SMALL: Layout = { suffix: 'slab16', slotBytes: 2 ** 16, slots: 1024 }
const LAYOUTS: readonly Layout[] = [
  SMALL,
  { suffix: 'slab20', slotBytes: 2 ** 20, slots: 256 },
  { suffix: 'file', slotBytes: FILE_LIMIT, slots: 1 }
]

interface LocalFile {
  readonly id: number
  readonly path: string
  readonly layout: Layout
  /** Slots given out so far. */
  used: number
  /** The nodes whose bytes are here. */
  readonly inos: Set<number>
}

/** The nodes of one local file. */
export interface LocalGroup {
  readonly inos: readonly number[]
  readonly diskBytes: number
  /** Whether all of them were released, so that the file goes. */
  readonly isGone: () => boolean
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
  /** The file of each layout that slots are given out of. */
  readonly #open = new Map<Layout, LocalFile>()
  #nextId = 1
  #isClosed = false

  /**
   * @param directory the home's `spool/`; exists
   * @param plane reads and writes the files
   */
  constructor(
    readonly directory: string,
    private readonly plane: Pick<
      DataPlane,
      'addFile' | 'removeFile' | 'bind' | 'rebind' | 'unbind' | 'lastSeq'
    >
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
    this.#place(ino, this.#withRoom(end))
  }

  /** Gives a node without a place a small slot, if there is one at hand. */
  reserve(ino: number): void {
    const open = this.#open.get(SMALL)
    if (open && open.used < SMALL.slots && !this.#bindings.has(ino)) this.#place(ino, open)
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
      const layout = this.#layoutOnDisk(binding.fileId)
      if (!layout) throw new Error(`local file ${binding.fileId} is gone`)
      file = this.#register(binding.fileId, layout, 'r+')
      file.used = layout.slots
    }
    file.inos.add(ino)
    this.#bindings.set(ino, binding)
  }

  /** How far a node's place in a file of an earlier run goes; null when that file is gone. */
  limitOnDisk(fileId: number): number | null {
    return this.#layoutOnDisk(fileId)?.slotBytes ?? null
  }

  /**
   * Removes what an earlier run left and nobody adopted; new ids begin beyond the old ones.
   * @returns resolves when all is gone. Nobody need wait: freeing the extents of a slab takes a
   *   fifth of a second on a busy disk, and a crash leaves a cache full of them; what is left when
   *   it is interrupted goes at the next start
   */
  async sweep(): Promise<void> {
    const left: string[] = []
    for (const name of readdirSync(this.directory)) {
      const id = Number.parseInt(name, 10)
      if (!Number.isSafeInteger(id)) continue
      this.#nextId = Math.max(this.#nextId, id + 1)
      if (!this.#files.has(id)) left.push(name)
    }
    for (const name of left) {
      await unlink(join(this.directory, name)).catch(() => undefined)
      if (this.#isClosed) return
    }
  }

  /** Nothing is removed any more. */
  close(): void {
    this.#isClosed = true
  }

  /**
   * The nodes that share the local file that was made first, for eviction: oldest first.
   * @returns an iterator over groups; releasing while iterating is allowed
   */
  *oldestFirst(): Generator<LocalGroup> {
    for (const file of this.#files.values()) {
      if (file === this.#open.get(file.layout)) continue
      const isGone = (): boolean => file.inos.size === 0
      yield { inos: [...file.inos], diskBytes: bytesOnDisk(file), isGone }
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
      void unlink(doomed.file.path).catch(() => undefined)
    }
    this.#doomed = waiting
  }

  /** How many local files, and so descriptors, there are. */
  get fileCount(): number {
    return this.#files.size + this.#doomed.length
  }

  /** Bytes that all local files take on the disk. */
  diskBytes(): number {
    let bytes = 0
    for (const file of this.#files.values()) bytes += bytesOnDisk(file)
    return bytes
  }

  #place(ino: number, file: LocalFile): void {
    const bound = this.#bindings.get(ino)
    const { slotBytes } = file.layout
    const binding = { fileId: file.id, base: file.used * slotBytes, limit: slotBytes }
    if (bound) this.plane.rebind(ino, binding.fileId, binding.base, binding.limit)
    else this.plane.bind(ino, binding.fileId, binding.base, binding.limit)
    file.used++
    if (bound) this.#detach(ino, bound)
    this.#bindings.set(ino, binding)
    file.inos.add(ino)
  }

  #path(id: number, layout: Layout): string {
    return join(this.directory, `${id}.${layout.suffix}`)
  }

  #layoutOnDisk(id: number): Layout | null {
    const isThere = (layout: Layout): boolean =>
      statSync(this.#path(id, layout), { throwIfNoEntry: false }) !== undefined
    return LAYOUTS.find(isThere) ?? null
  }

  #register(id: number, layout: Layout, flags: 'r+' | 'wx+'): LocalFile {
    const path = this.#path(id, layout)
    this.plane.addFile(id, openSync(path, flags, 0o600))
    const file = { id, path, layout, used: 0, inos: new Set<number>() }
    this.#files.set(id, file)
    this.#nextId = Math.max(this.#nextId, id + 1)
    return file
  }

  /** A file with a free slot that holds file offsets up to `end`. */
  #withRoom(end: number): LocalFile {
    const layout = LAYOUTS.find(({ slotBytes }) => end <= slotBytes)
    if (!layout) throw new Error('a file beyond its limit')
    const open = this.#open.get(layout)
    if (open && open.used < layout.slots) return open
    const file = this.#register(this.#nextId, layout, 'wx+')
    if (layout.slots > 1) this.#open.set(layout, file)
    if (open) this.#dropIfEmpty(open)
    return file
  }

  #detach(ino: number, binding: Binding): void {
    const file = this.#files.get(binding.fileId)
    if (!file) return
    file.inos.delete(ino)
    this.#dropIfEmpty(file)
  }

  #dropIfEmpty(file: LocalFile): void {
    if (file.inos.size > 0 || file === this.#open.get(file.layout)) return
    this.#files.delete(file.id)
    this.#doomed.push({ file, seq: this.plane.lastSeq() })
  }
}

function bytesOnDisk({ path }: LocalFile): number {
  return statSync(path).blocks * 512
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
