/**
 * What other devices wrote, taken in: merged with what is known, and shown.
 *
 * A file that has bytes here which are not committed keeps showing them. What would replace its
 * content, or take its last name, is held (durably, `held:INO`) until its commit, which is hurried:
 * the local bytes are then a version of their own, which covers no more than what they were written
 * on, and both are kept.
 */
import { FsError } from '../base/errors.js'
import { decodeRecord, encodeRecord } from '../format/record-codec.js'
import { NODE_ID_BYTES, nodeIdFromBytes, nodeIdToBytes } from '../format/ids.js'
import type { GenerationNumber, NodeId } from '../format/ids.js'
import type { NodeChange } from '../format/merge-state.js'
import type { NodeRecord, VersionHead } from '../format/record.js'
import { mergeRecord } from '../format/merge.js'
import { FOREIGN_START, type ForeignCursor } from '../generation/foreign.js'
import type { Change } from '../union/changes.js'
import { SHARED_KEY } from '../union/merge-tables.js'
import type { ContentStore } from './content-store.js'
import type { Merger, Plan } from './merger.js'

const HELD = 'held:'
/** Keys of how far each generation has been taken in. */
export const CURSOR_PREFIX = 'cursor:'
/** Records of this device's own generation that are asked for at once. */
const OWN_PAGE = 1000
/** After reads of a file were under way, before the next try. */
const RETRY_MS = 50

/** A record as another generation stores it. */
export interface HeardRecord {
  readonly id: NodeId
  readonly record: Uint8Array
}

/** Up to where a generation's bee has been taken in. */
export interface Cursor extends ForeignCursor {
  readonly generation: GenerationNumber
}

const VERSION_BYTES = 6

/** What became of a call. */
export interface TakenIn {
  /** Nodes that changed. */
  readonly changed: number
  /** Nodes whose news waits for a commit here. */
  readonly held: number
  /** Greatest ms by which a stamp was ahead of this clock beyond the bound; 0: none was. */
  readonly aheadMs: number
}

/** The parts it works with. */
export interface RemoteParts {
  readonly merger: Merger
  /** Hears all events that the data plane has reported by now. */
  readonly hearEvents: () => void
  /** Has a commit of all that is dirty not wait. */
  readonly hurry: () => void
  /** Records as this device's generation has them. */
  readonly stored: ContentStore['records']
  /** Whether it is known whose generation that is, so that conflict copies can be named. */
  readonly isKnown: (generation: GenerationNumber) => boolean
}

/** See the file's head. */
export class Remote {
  #held = 0
  #timer: NodeJS.Timeout | null = null
  #closed = false

  constructor(private readonly parts: RemoteParts) {}

  /** Looks for what is held, after recovery; to be called before the first commit. */
  async load(): Promise<void> {
    this.#held = this.#index.metaRange(HELD).length
    await this.#hearOwn()
    this.retry()
  }

  /**
   * Of a node that was removed while its last content was committed the generation may have more
   * than the journal, which a crash cut: others may know that content, so it must not be unknown.
   */
  async #hearOwn(): Promise<void> {
    const { tables, author, tracker, index } = this.parts.merger.volume.parts
    if (!tables.isShared) return
    const gone = [...tracker.pendingNodes()].filter((ino) => index.node(ino) === null)
    const ids = gone.map((ino) => author.idOf(ino)).filter((id) => tables.record(id) !== null)
    for (let at = 0; at < ids.length; at += OWN_PAGE) {
      const entries = await this.parts.stored(ids.slice(at, at + OWN_PAGE))
      const known = entries.flatMap(({ id, record }) => (record === null ? [] : [{ id, record }]))
      this.#apply(this.#merge(known, () => true).merged, [])
    }
  }

  /**
   * Says that there is, or will be, more than one generation: from now on what is removed leaves a
   * tombstone. To be called before any other device can have merged a record of this one.
   */
  share(): void {
    const { volume } = this.parts.merger
    if (volume.parts.tables.isShared) return
    const changes: Change[] = [{ kind: 'meta', key: SHARED_KEY, value: Buffer.of(1) }]
    volume.apply(changes)
    volume.parts.tables.note(changes)
  }

  /** Up to where a generation's bee has been taken in. */
  cursor(generation: GenerationNumber): ForeignCursor {
    const value = this.#index.meta(CURSOR_PREFIX + generation)
    if (!value) return FOREIGN_START
    const scanned = value.length > VERSION_BYTES ? value.subarray(VERSION_BYTES) : null
    return {
      version: value.readUIntLE(0, VERSION_BYTES),
      scanned: scanned && nodeIdFromBytes(scanned)
    }
  }

  /**
   * Merges records of another generation. One state for those who look on: journaled, applied and
   * shown when it returns; after a crash all of it is there, or it is to be repeated.
   * @param records each as it is in the generation's bee; ids may be there several times
   * @param cursor kept with them, at last
   * @throws {FsError} EIO for a record that is malformed, EAGAIN for one that speaks of a
   *   generation which nobody has introduced yet: nothing was taken in
   */
  takeIn(records: readonly HeardRecord[], cursor: Cursor | null): TakenIn {
    this.share()
    const { merged, aheadMs } = this.#merge(records)
    const beside = cursor ? [cursorChange(cursor)] : []
    const held = this.#apply(merged, beside)
    return { changed: merged.length - held.length, held: held.length, aheadMs }
  }

  /** Nodes whose news waits for a commit, or for a removed file to be closed. */
  get heldCount(): number {
    return this.#held
  }

  /** Tries again what is held. To be called when something was committed. */
  retry(): void {
    if (this.#held === 0 || this.#closed) return
    const { author } = this.parts.merger.volume.parts
    const records = this.#index.metaRange(HELD).map(({ key, value }) => {
      return { id: author.idOf(Number(key.slice(HELD.length))), record: value }
    })
    this.#apply(this.#merge(records, () => true).merged, [])
  }

  close(): void {
    this.#closed = true
    if (this.#timer) clearTimeout(this.#timer)
  }

  get #index(): Merger['volume']['parts']['index'] {
    return this.parts.merger.volume.parts.index
  }

  /** What the records change. */
  #merge(
    records: readonly HeardRecord[],
    isKnown = this.parts.isKnown
  ): { merged: NodeChange[]; aheadMs: number } {
    const { tables, author } = this.parts.merger.volume.parts
    const heard = new Map<NodeId, NodeRecord>()
    for (const { id, record: bytes } of records) {
      const record = decodeRecord(Buffer.from(bytes))
      const known = heard.get(id)
      heard.set(id, known ? mergeRecord(known, record) : record)
    }
    let aheadMs = 0
    const merged: NodeChange[] = []
    for (const [node, record] of heard) {
      for (const { stamp, dot } of versionsOf(record)) {
        if (!isKnown(dot.generation)) {
          throw new FsError('EAGAIN', `generation ${dot.generation} has not been introduced yet`)
        }
        aheadMs = Math.max(aheadMs, author.receive(stamp) ?? 0)
      }
      const before = tables.record(node)
      const after = before ? mergeRecord(before, record) : record
      if (before && encodeRecord(before).equals(encodeRecord(after))) continue
      merged.push({ node, before, after })
    }
    return { merged, aheadMs }
  }

  /** @returns the nodes that are held */
  #apply(nodes: readonly NodeChange[], beside: readonly Change[]): readonly NodeChange[] {
    const { merger, hearEvents } = this.parts
    hearEvents()
    merger.introduce(nodes)
    const plan = merger.plan(nodes, { isOwn: false, beside: [...this.#released(nodes), ...beside] })
    if (merger.release(plan)) {
      this.#finish(plan)
      return []
    }
    const held: NodeChange[] = []
    // One of them replaces what is not committed: each by itself, in an order that shows parents
    // before what is in them as long as the batch has it.
    for (const node of nodes) {
      const single = merger.plan([node], { isOwn: false, beside: this.#released([node]) })
      if (merger.release(single)) this.#finish(single)
      else held.push(node)
    }
    this.#hold(held, beside)
    return held
  }

  #finish(plan: Plan): void {
    this.parts.merger.apply(plan)
    if (this.#held > 0) this.#held = this.#index.metaRange(HELD).length
  }

  /** What is not held any more when these nodes are merged. */
  #released(nodes: readonly NodeChange[]): Change[] {
    if (this.#held === 0) return []
    const { author } = this.parts.merger.volume.parts
    return nodes.flatMap(({ node }): Change[] => {
      const key = HELD + author.inoOf(node)
      return this.#index.meta(key) ? [{ kind: 'meta', key, value: null }] : []
    })
  }

  #hold(nodes: readonly NodeChange[], beside: readonly Change[]): void {
    const { volume } = this.parts.merger
    const { author } = volume.parts
    const changes: Change[] = []
    for (const { node, after } of nodes) {
      if (after === null) continue
      const ino = author.inoOf(node)
      const key = HELD + ino
      if (!this.#index.meta(key)) this.#held++
      changes.push({ kind: 'meta', key, value: encodeRecord(after) })
    }
    volume.applyAtOnce([...changes, ...beside])
    this.parts.hurry()
    this.#timer ??= setTimeout(() => {
      this.#timer = null
      this.retry()
    }, RETRY_MS)
  }
}

function cursorChange({ generation, version, scanned }: Cursor): Change {
  const value = Buffer.alloc(VERSION_BYTES + (scanned === null ? 0 : NODE_ID_BYTES))
  value.writeUIntLE(version, 0, VERSION_BYTES)
  if (scanned !== null) value.set(nodeIdToBytes(scanned), VERSION_BYTES)
  return { kind: 'meta', key: CURSOR_PREFIX + generation, value }
}

function* versionsOf(record: NodeRecord): Generator<VersionHead> {
  yield* record.data
  yield* record.attr
  for (const versions of record.places.values()) yield* versions
}
