/**
 * Records of removed nodes, which are kept so that a removal is not undone by who has not heard of
 * it, and forgotten when all have.
 *
 * A record may be forgotten when a cut that was made after it came to rest has passed: every
 * current device has merged the removal then, has committed the tombstone wherever its own head
 * had the node (`aftermath.ts`), and whatever it wrote without knowing of the removal is known here
 * and did not bring the node back. From then on each device forgets by itself, in any order, and no
 * head that is left makes the node come back. What is kept for longer:
 *
 * - a node that a sealed generation may hold: its head can not follow the removal;
 * - a conflict copy whose origin still has the conflict: it would be shown again;
 * - a directory that another one goes back to when a cycle makes its move void.
 *
 * A record that was kept for such a reason is looked at again when another cut passes, at the
 * latest after a day, and waits for one more when the reason is gone.
 */
import { setImmediate as turn } from 'node:timers/promises'
import { decodeRecord } from '../format/record-codec.js'
import type { GenerationNumber, NodeId } from '../format/ids.js'
import type { NodeChange } from '../format/merge-state.js'
import type { NodeRecord } from '../format/record.js'
import { isLive } from '../format/winner.js'
import type { Change } from '../union/changes.js'
import { TABLE } from '../union/merge-tables.js'
import { isWrittenBy } from './aftermath.js'
import type { Horizon } from './horizon.js'
import type { Merger } from './merger.js'
import type { RunTime } from './run-time.js'

/** Graves looked at in one turn. */
const BATCH = 500
/** Rows looked at in one turn. */
const ROWS_AT_ONCE = 2000
/** Running time between two walks over all directories. */
const WALK_MS = 86_400_000
/** Running time after which a cut is made for what was kept, if there was none. */
const AGAIN_MS = 86_400_000
const S_IFMT = 0o170000
const S_IFDIR = 0o040000

/** The parts it works with. */
export interface GravesParts {
  readonly merger: Merger
  readonly horizon: Horizon
  readonly run: RunTime
}

interface Grave {
  /** The cut that it waits for. */
  cut: number
  /** Whether something beyond that kept it the last time. */
  isKept: boolean
}

/** See the file's head. */
export class Graves {
  #graves = new Map<number, Grave>()
  /** Cuts that had passed when all graves were looked at last. */
  #lookedAt = 0
  #walkedMs = -Infinity
  #cutMs = -Infinity

  constructor(private readonly parts: GravesParts) {}

  /** Looks for graves, after recovery: all of them wait for the next cut. */
  load(): void {
    this.#graves = new Map()
    this.#lookedAt = 0
    for (const { key } of this.#index.metaRange(TABLE.grave)) this.#dig(key)
  }

  /** Takes note of changes that were applied to the index. */
  note(changes: readonly Change[]): void {
    for (const change of changes) {
      if (change.kind !== 'meta' || !change.key.startsWith(TABLE.grave)) continue
      if (change.value === null) this.#graves.delete(inoIn(change.key))
      else this.#dig(change.key)
    }
  }

  /** How many records wait. */
  get count(): number {
    return this.#graves.size
  }

  /** Forgets what may be forgotten. */
  async tend(): Promise<void> {
    const { horizon, run } = this.parts
    const passed = horizon.passed()
    if (passed === Infinity || passed <= this.#lookedAt) {
      if (this.#graves.size > 0 && run.nowMs() - this.#cutMs >= AGAIN_MS) horizon.waitNumber()
      return
    }
    this.#cutMs = run.nowMs()
    const due = [...this.#graves].filter(([, { cut }]) => cut <= passed).map(([ino]) => ino)
    const directories: number[] = []
    for (let at = 0; at < due.length; at += BATCH) {
      if (at > 0) await turn()
      const batch = due.slice(at, at + BATCH).filter((ino) => this.#mayGo(ino, passed))
      directories.push(...batch.filter((ino) => this.#record(ino)?.kind === 'dir'))
      this.#forget(batch.filter((ino) => this.#record(ino)?.kind !== 'dir'))
    }
    if (await this.#forgetDirectories(directories, passed)) this.#lookedAt = passed
  }

  get #index(): Merger['volume']['parts']['index'] {
    return this.parts.merger.volume.parts.index
  }

  #dig(key: string): void {
    this.#graves.set(inoIn(key), { cut: this.parts.horizon.waitNumber(), isKept: false })
  }

  #record(ino: number): NodeRecord | null {
    const bytes = this.#index.meta(TABLE.grave + ino)
    return bytes && decodeRecord(bytes)
  }

  /** Whether a grave whose cut has passed may go as far as its own record says. */
  #mayGo(ino: number, passed: number): boolean {
    const grave = this.#graves.get(ino)
    // It may have changed while others were looked at.
    if (!grave || grave.cut > passed) return false
    const isKept = this.#isKept(ino)
    if (!isKept && !grave.isKept) return true
    this.#keep(grave, isKept)
    return false
  }

  #keep(grave: Grave, isKept: boolean): void {
    const { horizon } = this.parts
    grave.cut = isKept ? horizon.nextNumber : horizon.waitNumber()
    grave.isKept = isKept
  }

  #isKept(ino: number): boolean {
    const { volume } = this.parts.merger
    const { tables, author, index } = volume.parts
    const record = this.#record(ino)
    if (!record || index.node(ino) || volume.orphans.has(ino) || isLive(record)) return true
    const node = author.idOf(ino)
    const sealed = this.parts.horizon.sealed()
    if (isWrittenBy(record, isIn(sealed))) return true
    if (tables.originOf(node) !== null || tables.conflict(node) !== null) return true
    if (record.kind !== 'dir') return false
    return tables.claimCount(node) > 0 || tables.dir(node) !== null || tables.displaced().has(node)
  }

  /** @returns whether all were looked at */
  async #forgetDirectories(inos: readonly number[], passed: number): Promise<boolean> {
    if (inos.length === 0) return true
    const nowMs = this.parts.run.nowMs()
    if (nowMs - this.#walkedMs < WALK_MS) return false
    this.#walkedMs = nowMs
    const { author } = this.parts.merger.volume.parts
    const former = await this.#formerParents()
    const free: number[] = []
    for (const ino of inos) {
      const grave = this.#graves.get(ino)
      if (!grave || grave.cut > passed) continue
      if (former.has(author.idOf(ino))) this.#keep(grave, true)
      else if (this.#mayGo(ino, passed)) free.push(ino)
    }
    this.#forget(free)
    return true
  }

  /** Every directory that some directory would go back to. */
  async #formerParents(): Promise<ReadonlySet<NodeId>> {
    const former = new Set<NodeId>()
    const look = (record: NodeRecord): void => {
      for (const versions of record.places.values()) {
        for (const { prev } of versions) if (prev) former.add(prev.parent)
      }
    }
    for (const rows of this.#index.rowPages(ROWS_AT_ONCE)) {
      for (const row of rows) if ((row.mode & S_IFMT) === S_IFDIR) look(row.record)
      await turn()
    }
    for (const { value } of this.#index.metaRange(TABLE.grave)) {
      const record = decodeRecord(value)
      if (record.kind === 'dir') look(record)
    }
    return former
  }

  /** Takes nodes out of the index, and out of the own head where that may have them. */
  #forget(inos: readonly number[]): void {
    const { author } = this.parts.merger.volume.parts
    const isOwn = (one: number): boolean => one === author.generation
    const own: NodeChange[] = []
    const others: NodeChange[] = []
    for (const ino of inos) {
      const before = this.#record(ino)
      if (!before) continue
      const list = isWrittenBy(before, isOwn) ? own : others
      list.push({ node: author.idOf(ino), before, after: null })
    }
    this.#merge(own, true)
    this.#merge(others, false)
  }

  #merge(nodes: readonly NodeChange[], isOwn: boolean): void {
    const { merger } = this.parts
    if (nodes.length > 0) merger.apply(merger.plan(nodes, { isOwn }))
  }
}

function inoIn(key: string): number {
  return Number(key.slice(TABLE.grave.length))
}

function isIn(set: ReadonlySet<GenerationNumber>): (generation: number) => boolean {
  const numbers: ReadonlySet<number> = set
  return (generation) => numbers.has(generation)
}
