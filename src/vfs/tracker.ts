/**
 * What has changed since it was last committed to the generation, and from which journal entry on
 * the journal is still needed for it.
 */
import { direntKey } from '../union/changes.js'
import type { Change, Name } from '../union/changes.js'

/** A directory entry by its place. */
export interface DirentPlace {
  readonly parent: number
  readonly name: Name
}

/** What one commit takes. */
export interface Batch {
  readonly nodes: ReadonlySet<number>
  readonly dirents: readonly DirentPlace[]
  readonly files: readonly number[]
}

interface DirtyFile {
  /** Journal entries behind this one may hold its bytes. */
  readonly sinceSeq: number
  /** When it was first heard of; monotonic ms. */
  readonly sinceMs: number
  /** Not to be committed before (monotonic ms), unless forced. */
  readonly notBeforeMs: number
}

/** How often a file that is rewritten again and again has been committed lately. */
interface Heat {
  commits: number
  lastMs: number
}

/**
 * So many commits of a file do not slow its next one: a person who saves again and again, and reads
 * it on another device, is not a database. What they cost the history's budget bounds.
 */
const FREE_COMMITS = 64
const BACK_OFF_MIN_MS = 250
const BACK_OFF_MAX_MS = 30_000
/** Unchanged for this long, a file is cold again. */
const COOL_MS = 60_000
/** Most heat entries that are kept. */
const HEAT_LIMIT = 10_000

/** See the file's head. */
export class Tracker {
  #nodes = new Set<number>()
  #dirents = new Map<string, DirentPlace>()
  readonly #files = new Map<number, DirtyFile>()
  readonly #heat = new Map<number, Heat>()
  /** Everything up to here was in an earlier commit's cut. */
  #cutSeq = 0
  /** The cut whose commit is under way; its entries are still needed. */
  #pendingSeq: number | null = null
  /** The files of that commit. */
  #pendingFiles = new Set<number>()

  /** Takes note of changes that were journaled. */
  note(changes: readonly Change[]): void {
    for (const change of changes) {
      if (change.kind === 'meta' || change.local) continue
      if (change.kind === 'node') this.#nodes.add(change.ino)
      else {
        const key = direntKey(change.parent, change.name).toString('latin1')
        this.#dirents.set(key, { parent: change.parent, name: change.name })
      }
    }
  }

  /** Takes note that a file has bytes, or a size, that are not committed. */
  noteFile(ino: number, nowMs: number): void {
    if (this.#files.has(ino)) return
    const known = this.#heat.get(ino)
    if (known && nowMs - known.lastMs > COOL_MS) this.#heat.delete(ino)
    const heat = (this.#heat.get(ino)?.commits ?? 0) - FREE_COMMITS
    const waitMs = heat <= 0 ? 0 : Math.min(BACK_OFF_MAX_MS, BACK_OFF_MIN_MS * 2 ** heat)
    this.#files.set(ino, {
      sinceSeq: this.#cutSeq,
      sinceMs: nowMs,
      notBeforeMs: nowMs + waitMs
    })
  }

  /** The file is gone: nothing of it needs committing. */
  forgetFile(ino: number): void {
    this.#files.delete(ino)
    this.#heat.delete(ino)
  }

  /** Takes note that a commit replaced blocks that an earlier commit had stored. */
  noteRewritten(ino: number, nowMs: number): void {
    const heat = this.#heat.get(ino)
    if (heat) {
      heat.commits++
      heat.lastMs = nowMs
      return
    }
    if (this.#heat.size >= HEAT_LIMIT) this.#heat.clear()
    this.#heat.set(ino, { commits: 1, lastMs: nowMs })
  }

  /** Whether there is anything to commit, held-back files included. */
  get isDirty(): boolean {
    return this.#nodes.size + this.#dirents.size + this.#files.size > 0
  }

  /** How many records wait, and how many files of them are held back. */
  get counts(): { readonly records: number; readonly files: number } {
    return { records: this.#nodes.size + this.#dirents.size, files: this.#files.size }
  }

  /** When the first thing becomes due: 0 = now, null = nothing waits. Monotonic ms. */
  dueMs(): number | null {
    if (this.#nodes.size + this.#dirents.size > 0) return 0
    let due: number | null = null
    for (const file of this.#files.values()) due = Math.min(due ?? Infinity, file.notBeforeMs)
    return due
  }

  /**
   * Takes what is due out of here; call `done` or `failed` afterwards.
   * @param nowMs monotonic
   * @param force also files that are held back
   * @param limit most files
   * @param heldUntilMs of a file that is due and had better wait, given for how long it has waited;
   *   null: it is taken
   */
  take(
    nowMs: number,
    force: boolean,
    limit: number,
    heldUntilMs: (ino: number, waitedMs: number) => number | null = () => null
  ): Batch {
    const files: number[] = []
    for (const [ino, file] of this.#files) {
      if (files.length >= limit) break
      if (!force && file.notBeforeMs > nowMs) continue
      const notBeforeMs = force ? null : heldUntilMs(ino, nowMs - file.sinceMs)
      if (notBeforeMs === null) files.push(ino)
      else this.#files.set(ino, { ...file, notBeforeMs })
    }
    const batch = { nodes: this.#nodes, dirents: [...this.#dirents.values()], files }
    this.#nodes = new Set()
    this.#dirents = new Map()
    return batch
  }

  /**
   * The batch's cut is at `seq`: what becomes dirty from now on is in later entries.
   * @param hearEvents calls `noteFile` for what was dirtied and not heard of yet: that may have
   *   been before the cut, so it needs the journal from the cut before
   */
  cut(batch: Batch, seq: number, hearEvents: () => void = () => undefined): void {
    this.#pendingSeq = Math.min(this.#cutSeq, ...batch.files.map((ino) => this.#since(ino)))
    for (const ino of batch.files) this.#files.delete(ino)
    this.#pendingFiles = new Set(batch.files)
    hearEvents()
    this.#cutSeq = seq
  }

  /** The batch is in the generation, durably. */
  done(): void {
    this.#pendingSeq = null
    this.#pendingFiles.clear()
  }

  /** The batch is to be taken again. */
  failed(batch: Batch): void {
    const since = this.#pendingSeq ?? this.#cutSeq
    this.#pendingSeq = null
    this.#pendingFiles.clear()
    this.#cutSeq = Math.min(this.#cutSeq, since)
    for (const ino of batch.nodes) this.#nodes.add(ino)
    for (const place of batch.dirents) {
      this.#dirents.set(direntKey(place.parent, place.name).toString('latin1'), place)
    }
    for (const ino of batch.files) {
      this.#files.set(ino, { sinceSeq: since, sinceMs: 0, notBeforeMs: 0 })
    }
  }

  /** A file that has uncommitted bytes is not to be committed before (monotonic ms). */
  holdBack(ino: number, notBeforeMs: number): void {
    const file = this.#files.get(ino)
    if (file) this.#files.set(ino, { ...file, notBeforeMs })
  }

  /** The nodes that wait. */
  pendingNodes(): Iterable<number> {
    return this.#nodes
  }

  /** The directory entries that wait. */
  pendingDirents(): Iterable<DirentPlace> {
    return this.#dirents.values()
  }

  /** The files that have uncommitted bytes. */
  dirtyFiles(): Iterable<number> {
    return this.#files.keys()
  }

  /** Whether a file has uncommitted bytes; they may be on their way. */
  hasFile(ino: number): boolean {
    return this.#files.has(ino) || this.#pendingFiles.has(ino)
  }

  /** Every journal entry up to this one has been committed. */
  committedSeq(): number {
    let seq = this.#pendingSeq ?? this.#cutSeq
    for (const file of this.#files.values()) seq = Math.min(seq, file.sinceSeq)
    return seq
  }

  /**
   * As `committedSeq`; when nothing waits, everything that there is.
   * @param lastSeq of the newest journal entry; what it dirtied has been heard of
   */
  settledSeq(lastSeq: number): number {
    return this.isDirty || this.#pendingSeq !== null ? this.committedSeq() : lastSeq
  }

  #since(ino: number): number {
    return this.#files.get(ino)?.sinceSeq ?? this.#cutSeq
  }
}
