/**
 * What other devices wrote, taken in: merged with what is known, and shown.
 *
 * A file that has bytes here which are not committed keeps showing them. What would replace its
 * content, or take its last name, is held (durably, `held:INO`) until its commit, which is hurried:
 * the local bytes are then a version of their own, which covers no more than what they were written
 * on, and both are kept.
 *
 * A record that cannot be used is passed over (`refused.ts`): it never stops those that come after.
 */
import type { Alarms } from '../base/alarms.js'
import { FsError } from '../base/errors.js'
import { decodeRecord, encodeRecord } from '../format/record-codec.js'
import { NODE_ID_BYTES, nodeIdFromBytes, nodeIdToBytes } from '../format/ids.js'
import type { GenerationNumber, NodeId } from '../format/ids.js'
import type { NodeChange } from '../format/merge-state.js'
import type { NodeRecord } from '../format/record.js'
import { flawOf, versionsOf } from '../format/record-check.js'
import type { SeenEntry } from '../generation/types.js'
import { mergeRecord } from '../format/merge.js'
import { FOREIGN_START, type ForeignCursor } from '../generation/foreign.js'
import type { Change } from '../union/changes.js'
import { SHARED_KEY } from '../union/merge-tables.js'
import type { ContentStore } from './content-store.js'
import type { Horizon } from './horizon.js'
import type { Merger, Plan } from './merger.js'
import { Refused, type RefusedRecord } from './refused.js'

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

const VERSION_BYTES = 6

/** What became of a call. */
export interface TakenIn {
  /** Nodes that changed. */
  readonly changed: number
  /** Nodes whose news waits for a commit here. */
  readonly held: number
  /** Greatest ms by which a stamp was ahead of this clock beyond the bound; 0: none was. */
  readonly aheadMs: number
  /** Records that were passed over. */
  readonly refused: number
}

/** A node that cannot be merged. */
interface FailedNode {
  readonly node: NodeChange
  readonly error: Error
}

/** Records that can be used, merged with what is known. */
interface Merged {
  readonly nodes: readonly NodeChange[]
  readonly aheadMs: number
}

/** The parts it works with. */
export interface RemoteParts {
  readonly merger: Merger
  readonly horizon: Pick<Horizon, 'heard'>
  /** Hears all events that the data plane has reported by now. */
  readonly hearEvents: () => void
  /** Has a commit of all that is dirty not wait. */
  readonly hurry: () => void
  /** Records as this device's generation has them. */
  readonly stored: ContentStore['records']
  readonly alarms: Alarms
  /** Whether it is known whose generation that is, so that conflict copies can be named. */
  readonly isKnown: (generation: GenerationNumber) => boolean
}

/** See the file's head. */
export class Remote {
  #held = 0
  #timer: NodeJS.Timeout | null = null
  #closed = false

  readonly #refused: Refused

  constructor(private readonly parts: RemoteParts) {
    const { merger, alarms } = parts
    const { index } = merger.volume.parts
    this.#refused = new Refused({ index, alarms, deviceName: merger.options.deviceName })
  }

  /** Looks for what is held or was refused, after recovery; before the first commit. */
  async load(): Promise<void> {
    this.#held = this.#index.metaRange(HELD).length
    await this.#hearOwn()
    for (const [generation, records] of this.#refused.load()) {
      this.#takeIn(generation, records, null, [])
    }
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
      this.#apply(this.#merge(this.#decoded(known).records).nodes, [])
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
   * @param cursor up to where that is all of it, kept with them at last; null: there is more
   * @param seen what the generation says that it has merged of others, as far as that is news
   * @throws {FsError} EAGAIN for a record that speaks of a generation which nobody has introduced
   *   yet: nothing was taken in
   */
  takeIn(
    generation: GenerationNumber,
    records: readonly HeardRecord[],
    cursor: ForeignCursor | null,
    seen: readonly SeenEntry[] = []
  ): TakenIn {
    this.share()
    const { horizon } = this.parts
    const hasRecords = records.length > 0
    const isWhole = cursor !== null && cursor.scanned === null
    const page = isWhole ? { generation, version: cursor.version, hasRecords, seen } : null
    return this.#takeIn(generation, records, cursor, page ? horizon.heard(page) : [])
  }

  #takeIn(
    generation: GenerationNumber,
    heard: readonly HeardRecord[],
    cursor: ForeignCursor | null,
    also: readonly Change[]
  ): TakenIn {
    const { records, refused } = this.#decoded(heard)
    for (const record of records.values()) this.#checkKnown(record)
    const { nodes, aheadMs } = this.#merge(records)
    const passedOver = this.#refused.note(generation, refused, records.keys())
    const moved = cursor ? [cursorChange(generation, cursor)] : []
    const beside = [...passedOver, ...moved, ...also]
    let failedCount = 0
    const held = this.#apply(nodes, beside, (failed) => {
      failedCount = failed.length
      const unmerged = failed.flatMap(({ node: { node }, error }) => {
        const bytes = heard.findLast(({ id }) => id === node)?.record
        return bytes ? [{ id: node, record: bytes, why: error.message }] : []
      })
      return this.#refused.note(generation, unmerged, [])
    })
    const changed = nodes.length - held.length - failedCount
    return { changed, held: held.length, aheadMs, refused: refused.length + failedCount }
  }

  /** Nodes whose news waits for a commit, or for a removed file to be closed. */
  get heldCount(): number {
    return this.#held
  }

  /** Whether something was heard that is not merged: it is held, or was refused. */
  get isLacking(): boolean {
    return this.#held > 0 || !this.#refused.isEmpty
  }

  /** Tries again what is held. To be called when something was committed. */
  retry(): void {
    if (this.#held === 0 || this.#closed) return
    const { author } = this.parts.merger.volume.parts
    const records = this.#index.metaRange(HELD).map(({ key, value }) => {
      return { id: author.idOf(Number(key.slice(HELD.length))), record: value }
    })
    const { nodes } = this.#merge(this.#decoded(records).records)
    const changing = new Set(nodes.map(({ node }) => node))
    // Others have brought the rest meanwhile.
    const known = records.filter(({ id }) => !changing.has(id))
    this.#apply(
      nodes,
      known.map(({ id }) => ({ kind: 'meta', key: HELD + author.inoOf(id), value: null }))
    )
    if (known.length > 0) this.#held = this.#index.metaRange(HELD).length
  }

  close(): void {
    this.#closed = true
    if (this.#timer) clearTimeout(this.#timer)
  }

  get #index(): Merger['volume']['parts']['index'] {
    return this.parts.merger.volume.parts.index
  }

  /** The records that can be used, by node, and the others. */
  #decoded(heard: readonly HeardRecord[]): {
    readonly records: ReadonlyMap<NodeId, NodeRecord>
    readonly refused: readonly RefusedRecord[]
  } {
    const { author } = this.parts.merger.volume.parts
    const records = new Map<NodeId, NodeRecord>()
    const refused: RefusedRecord[] = []
    for (const { id, record: bytes } of heard) {
      try {
        const record = decodeRecord(Buffer.from(bytes))
        const flaw = flawOf(id, record) ?? author.flawOf(id, record)
        if (flaw !== null) throw new FsError('EIO', flaw)
        const known = records.get(id)
        records.set(id, known ? mergeRecord(known, record) : record)
      } catch (error) {
        if (!(error instanceof FsError)) throw error
        refused.push({ id, record: bytes, why: error.message })
      }
    }
    return { records, refused }
  }

  #checkKnown(record: NodeRecord): void {
    for (const { dot } of versionsOf(record)) {
      if (this.parts.isKnown(dot.generation)) continue
      throw new FsError('EAGAIN', `generation ${dot.generation} has not been introduced yet`)
    }
  }

  /** What the records change. */
  #merge(records: ReadonlyMap<NodeId, NodeRecord>): Merged {
    const { tables, author } = this.parts.merger.volume.parts
    let aheadMs = 0
    const nodes: NodeChange[] = []
    for (const [node, heard] of records) {
      // What is held of the node is forgotten with what is merged or held now.
      const held = this.#heldOf(node)
      const record = held === null ? heard : mergeRecord(held, heard)
      for (const { stamp } of versionsOf(record)) {
        aheadMs = Math.max(aheadMs, author.receive(stamp) ?? 0)
      }
      const before = tables.record(node)
      const after = before ? mergeRecord(before, record) : record
      if (before && encodeRecord(before).equals(encodeRecord(after))) continue
      nodes.push({ node, before, after })
    }
    return { nodes, aheadMs }
  }

  /**
   * @param onFailed hears which nodes cannot be merged; its changes are applied with the rest
   * @returns the nodes that are held
   */
  #apply(
    nodes: readonly NodeChange[],
    beside: readonly Change[],
    onFailed: (failed: readonly FailedNode[]) => readonly Change[] = throwFirst
  ): readonly NodeChange[] {
    const { merger, hearEvents } = this.parts
    hearEvents()
    const plan = this.#planOf(nodes, beside)
    if (!(plan instanceof Error) && merger.release(plan)) {
      this.#finish(plan)
      return []
    }
    const held: NodeChange[] = []
    const failed: FailedNode[] = []
    // One of them replaces what is not committed: each by itself, in an order that shows parents
    // before what is in them as long as the batch has it.
    for (const node of nodes) {
      const single = this.#planOf([node], [])
      if (single instanceof Error) failed.push({ node, error: single })
      else if (merger.release(single)) this.#finish(single)
      else held.push(node)
    }
    this.#hold(held, failed.length === 0 ? beside : [...onFailed(failed), ...beside])
    return held
  }

  /**
   * What nodes will do, or why they cannot be merged. Nothing has been changed then, so that it is
   * safe to go on without one that no check foresaw.
   */
  #planOf(nodes: readonly NodeChange[], beside: readonly Change[]): Plan | Error {
    const { merger } = this.parts
    try {
      merger.introduce(nodes)
      const released = this.#released(nodes)
      return merger.plan(nodes, { isOwn: false, beside: [...released, ...beside] })
    } catch (error) {
      return error instanceof Error ? error : new Error(String(error))
    }
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

  /** What other devices wrote of a node that waits for a commit. */
  #heldOf(node: NodeId): NodeRecord | null {
    const ino = this.#held === 0 ? null : this.parts.merger.volume.parts.author.knownInoOf(node)
    const bytes = ino === null ? null : this.#index.meta(HELD + ino)
    return bytes ? decodeRecord(Buffer.from(bytes)) : null
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
    if (nodes.length === 0) return
    this.parts.hurry()
    this.#timer ??= setTimeout(() => {
      this.#timer = null
      this.retry()
    }, RETRY_MS)
  }
}

function cursorChange(generation: GenerationNumber, { version, scanned }: ForeignCursor): Change {
  const value = Buffer.alloc(VERSION_BYTES + (scanned === null ? 0 : NODE_ID_BYTES))
  value.writeUIntLE(version, 0, VERSION_BYTES)
  if (scanned !== null) value.set(nodeIdToBytes(scanned), VERSION_BYTES)
  return { kind: 'meta', key: CURSOR_PREFIX + generation, value }
}

function throwFirst(failed: readonly FailedNode[]): never {
  throw failed[0]?.error ?? new Error('a merge failed')
}
