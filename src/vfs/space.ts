/**
 * Room on the disk: how much may be written before it is ingested, and how much of what is ingested
 * already is kept as a cache.
 *
 * A byte that is written needs room twice for a while: in the spool, and then in the Corestore. So
 * only half of what is free is given out, and what waits to be ingested counts against it: a full
 * disk answers ENOSPC at write, never later.
 */
import { statfsSync } from 'node:fs'
import { FsError } from '../base/errors.js'
import type { Volume } from './volume.js'

/** Kept back for the index, the journal and commits. */
export const RESERVE_BYTES = 96 * 1024 * 1024
/** Least budget that is handed out, so that small writes are not asked for one by one. */
const MIN_BUDGET_BYTES = 1024 * 1024
/** Local files, each of which holds a descriptor. */
const FILES_LIMIT = 2048
/** Nodes with local bytes: each stays in the native table. */
const NODES_LIMIT = 100_000
/** A look at the disk stands for this long. */
const LOOK_MS = 250

/** See the file's head. */
export class Space {
  #lookedMs = -Infinity
  /** How long a look stands: one that took long, because much is dirty, stands longer. */
  #lookMs = LOOK_MS
  #backlogBytes = 0
  #budget = 0
  #freeBytes = 0

  /**
   * @param volume whose spool it watches
   * @param cacheBudgetBytes bytes of ingested content kept in plain files
   */
  constructor(
    private readonly volume: Volume,
    private readonly cacheBudgetBytes: number
  ) {}

  /**
   * Makes room for a write and tells the data plane how much it may take by itself.
   * @throws {FsError} ENOSPC
   */
  ensure(bytes: number): void {
    const { clock, plane } = this.volume.parts
    if (clock.monotonicMs() - this.#lookedMs > this.#lookMs || this.#budget < bytes) this.#look()
    if (this.#budget < bytes) {
      this.evict(Infinity)
      this.#look()
    }
    plane.setWriteBudget(Math.max(this.#budget, 0))
    if (this.#budget < bytes) throw new FsError('ENOSPC', 'the disk that holds the home is full')
    this.#budget -= bytes
  }

  /**
   * Refuses a new node when even what is kept back for commits is used up: names alone can fill a
   * disk, and without a rest of it no commit, hence no removal, could ever make room again.
   * @throws {FsError} ENOSPC
   */
  ensureNode(): void {
    this.#lookIfDue()
    if (this.#freeBytes < RESERVE_BYTES / 2) {
      throw new FsError('ENOSPC', 'the disk that holds the home is full')
    }
  }

  /** How many bytes may be written, by the last look at the disk. */
  get spareBytes(): number {
    return this.#budget
  }

  /** Bytes that are written and not ingested. */
  backlogBytes(): number {
    const { plane, tracker } = this.volume.parts
    return plane.dirtyBytes(Float64Array.from(tracker.dirtyFiles()))
  }

  /** Brings the cache within its budget, and the data plane's budget up to date. */
  tend(): void {
    const { files, plane, tracker } = this.volume.parts
    files.reap(plane.durableSeq())
    if (this.#lookIfDue()) plane.setWriteBudget(this.#budget)
    const excess = files.diskBytes() - this.#backlogBytes - this.cacheBudgetBytes
    if (excess > 0) this.evict(excess)
    // What is not committed can not be let go: a long backlog is no reason to look at it all.
    const dirtyCount = tracker.counts.files
    if (files.fileCount > FILES_LIMIT) this.evictFiles(FILES_LIMIT * 0.75)
    if (files.boundCount - dirtyCount > NODES_LIMIT) this.evictFiles(files.fileCount / 2)
  }

  /** Lets cached content go, oldest first, until so many local files are left. */
  evictFiles(count: number): void {
    for (const { inos } of this.volume.parts.files.oldestFirst()) {
      if (this.volume.parts.files.fileCount <= count) return
      this.#release(inos)
    }
  }

  /** Lets cached content go, oldest first, until about so many bytes are free. */
  evict(bytes: number): void {
    const { files, plane } = this.volume.parts
    let freed = 0
    for (const group of files.oldestFirst()) {
      this.#release(group.inos)
      if (group.isGone()) freed += group.diskBytes
      if (freed >= bytes) break
    }
    files.reap(plane.durableSeq())
  }

  #release(inos: readonly number[]): void {
    const { files, tracker } = this.volume.parts
    for (const ino of inos) {
      if (!tracker.hasFile(ino) && !this.volume.orphans.has(ino)) files.release(ino)
    }
  }

  /** @returns whether it has looked */
  #lookIfDue(): boolean {
    if (this.volume.parts.clock.monotonicMs() - this.#lookedMs <= this.#lookMs) return false
    this.#look()
    return true
  }

  #look(): void {
    const { clock, files } = this.volume.parts
    const beganMs = clock.monotonicMs()
    const disk = statfsSync(files.directory)
    this.#freeBytes = disk.bavail * disk.bsize
    this.#backlogBytes = this.backlogBytes()
    const free = this.#freeBytes - RESERVE_BYTES - this.#backlogBytes
    this.#budget = Math.floor(free / 2)
    if (this.#budget < MIN_BUDGET_BYTES) this.#budget = 0
    this.#lookedMs = clock.monotonicMs()
    this.#lookMs = Math.max(LOOK_MS, 20 * (this.#lookedMs - beganMs))
  }
}
