/**
 * Takes what has changed into the generation: freeze, make durable, blocks, records, WAL barrier,
 * then the new content maps into the journal. Every step may be repeated after a crash, none is
 * skipped: until the last step is journaled, the journal still holds the bytes.
 *
 * One commit at a time. A commit's records and directory entries are those of the freeze, so that
 * what other devices see of it is one state of the tree; only a file whose bytes are held back
 * (because it is rewritten all the time) comes later.
 */
import type { Alarms } from '../base/alarms.js'
import type { FaultPoint } from '../base/fault.js'
import type { Logger } from '../base/log.js'
import type { NodeId } from '../format/ids.js'
import { contentMapOf } from '../format/winner.js'
import type { Change } from '../union/changes.js'
import { TABLE } from '../union/merge-tables.js'
import { readSafe, STAT_BYTES, type Row } from '../union/row.js'
import { asBase, type Frozen, type Ingested, byteLengthOf } from './committed-row.js'
import { buried, withCommitted, withContent } from './committed-row.js'
import { writeRecords } from './commit-batches.js'
import { ConflictCommit, countOthers } from './conflict-commit.js'
import { deadKey } from './aftermath.js'
import type { ContentStore, FrozenFile } from './content-store.js'
import { storedEntry, type StoredEntry } from './stored-claims.js'
import { blobsLengthChange, type History } from './history.js'
import type { Claim, Horizon } from './horizon.js'
import type { Merger } from './merger.js'
import { OutOfReach } from './out-of-reach.js'
import { RANGES } from './plane.js'
import { heldUntilMs } from './streams.js'
import type { Batch, DirentPlace } from './tracker.js'
import type { Volume } from './volume.js'

/** Most files of one commit: a freeze is short however many are dirty. */
const FILES_PER_COMMIT = 4096
/**
 * A commit waits for so much quiet: what is being made and thrown away need never be stored; but
 * not longer than `busyMs`. While other devices are connected somebody may be waiting for it.
 */
const ALONE = { quietMs: 200, busyMs: 2500 }
const IN_COMPANY = { quietMs: 20, busyMs: 200 }
/** After a failure, before the next try. */
const RETRY_MS = 2000

/** The parts it works with. */
export interface IngesterParts {
  readonly volume: Volume
  readonly merger: Merger
  readonly store: ContentStore
  /** Resolves when the journal is durable up to a sequence number. */
  readonly durable: (seq: number) => Promise<void>
  /** Hears all events that the data plane has reported by now. */
  readonly hearEvents: () => void
  /** Notes blocks that the new state of a file does not use. */
  readonly history: Pick<History, 'supersede'>
  /** How many bytes may be written until the disk is full. */
  readonly spareBytes: () => number
  /** Says what was merged of other devices, and notes that the commit says it. */
  readonly horizon: Pick<Horizon, 'claim' | 'committed' | 'failed' | 'hurry' | 'wantsCommit'>
  /** Called after every commit with what it wrote. */
  readonly onCommitted: (places: Iterable<DirentPlace>, rows: Iterable<Row | null>) => void
  readonly alarms: Alarms
  readonly log: Logger
  readonly fault: FaultPoint
}

/** The state that a commit writes. */
interface Snapshot {
  readonly batch: Batch
  readonly seq: number
  readonly rows: ReadonlyMap<number, Row | null>
  /** Records of nodes that no name shows. */
  readonly graves: ReadonlyMap<number, Buffer>
  readonly dirents: readonly StoredEntry[]
  readonly frozen: readonly Frozen[]
  readonly claim: Claim
}

/** What a commit has written. */
interface Committed {
  readonly files: readonly Ingested[]
  readonly rows: ReadonlyMap<number, Row | null>
  readonly blobsLength: number
  /** Of the bee, behind the last batch with records; null: there were none. */
  readonly version: number | null
  /** Nodes that stand for the same names as a file. */
  readonly others: ReadonlyMap<number, readonly NodeId[]>
}

/** Alarm: commits fail. */
const COMMIT_ALARM = 'COMMIT_FAILING'

/** See the file's head. */
export class Ingester {
  /** Bytes that the commit under way takes into the generation. */
  inFlightBytes = 0
  #timer: NodeJS.Timeout | null = null
  #running: Promise<void> | null = null
  #closed = false
  #changedMs = 0
  #waitingSinceMs = 0
  #patience = ALONE
  /** Smallest size that a file which is being ingested was cut to meanwhile. */
  readonly #cutTo = new Map<number, number>()

  /** What the last commit had frozen. */
  #frozen: readonly FrozenFile[] = []
  readonly #outOfReach: OutOfReach

  constructor(private readonly parts: IngesterParts) {
    const { tracker, clock } = parts.volume.parts
    const { store, alarms } = parts
    const monotonicMs = (): number => clock.monotonicMs()
    this.#outOfReach = new OutOfReach({ store, tracker, alarms, monotonicMs })
  }

  /** Something is dirty: a commit follows soon. Cheap; called after every change. */
  wake(): void {
    const { tracker, clock } = this.parts.volume.parts
    this.#changedMs = clock.monotonicMs()
    if (this.#timer || this.#running || this.#closed) return
    const dueMs = tracker.dueMs()
    if (dueMs === null) return
    this.#waitingSinceMs = this.#changedMs
    this.#wait(Math.max(this.#patience.quietMs, dueMs - this.#changedMs))
  }

  /** Whether other devices are connected. */
  setPatience(hasCompany: boolean): void {
    this.#patience = hasCompany ? IN_COMPANY : ALONE
  }

  /** A file was cut; its base must not show again what was cut off. */
  noteCut(ino: number, size: number): void {
    const cut = this.#cutTo.get(ino)
    if (cut !== undefined) this.#cutTo.set(ino, Math.min(cut, size))
  }

  /**
   * Commits everything that is dirty when it is called, held-back files too.
   * @throws what the last commit failed with
   */
  async flush(): Promise<void> {
    const { tracker } = this.parts.volume.parts
    const failure: { error: unknown } = { error: null }
    for (let round = 0; round < 1000; round++) {
      await this.#running
      // What was written just now may be news still.
      this.parts.hearEvents()
      if (!tracker.isDirty) return
      await this.#run(true, failure)
      if (failure.error) throw failure.error
    }
  }

  /** Commits what is dirty now, held-back files too, without waiting for quiet. */
  hurry(): void {
    if (!this.#closed && !this.#running) void this.#run(true)
  }

  /**
   * Says by a commit what was merged of other devices, also when there is nothing else to commit.
   * @throws what the last commit failed with
   */
  async acknowledge(): Promise<void> {
    await this.flush()
    this.parts.horizon.hurry()
    const failure: { error: unknown } = { error: null }
    await this.#running
    await this.#run(true, failure)
    if (failure.error) throw failure.error
  }

  /** Starts no further commit and waits for the one under way. */
  async close(): Promise<void> {
    this.#closed = true
    if (this.#timer) clearTimeout(this.#timer)
    this.#timer = null
    await this.#running
  }

  #wait(ms: number): void {
    this.#timer = setTimeout(() => {
      this.#timer = null
      const nowMs = this.parts.volume.parts.clock.monotonicMs()
      const quietMs = nowMs - this.#changedMs
      const patience = this.#patience
      const isPatient = nowMs - this.#waitingSinceMs < patience.busyMs
      const leftMs = patience.quietMs - quietMs
      if (isPatient && leftMs > 0 && !this.#closed) this.#wait(leftMs)
      else void this.#run(false)
    }, ms)
  }

  async #run(force: boolean, failure?: { error: unknown }): Promise<void> {
    if (this.#running) {
      await this.#running
      return
    }
    let waitMs = 0
    this.#running = this.#commit(force).catch(async (error: unknown) => {
      if ((await this.#outOfReach.holdBack(this.#frozen, error)) && !failure) return
      this.parts.log.error({ err: error }, 'a commit failed and will be tried again')
      this.parts.alarms.raise(
        COMMIT_ALARM,
        `what was written last is not in the store yet (${messageOf(error)}); it is kept in ` +
          'the journal and tried again'
      )
      if (failure) failure.error = error
      waitMs = RETRY_MS
    })
    await this.#running
    this.inFlightBytes = 0
    this.#running = null
    if (waitMs > 0 && !this.#closed) {
      this.#timer ??= setTimeout(() => {
        this.#timer = null
        this.wake()
      }, waitMs)
    } else this.wake()
  }

  async #commit(force: boolean): Promise<void> {
    const { volume, store, durable, fault } = this.parts
    const { tracker, clock, plane, author } = volume.parts
    const others = new ConflictCommit(this.parts.merger).settle(tracker.dirtyFiles())
    const batch = tracker.take(clock.monotonicMs(), force, FILES_PER_COMMIT, (ino, waitedMs) =>
      heldUntilMs(volume.parts, ino, { waitedMs, spareBytes: this.parts.spareBytes() })
    )
    const isEmpty = batch.nodes.size + batch.dirents.length + batch.files.length === 0
    if (isEmpty && !this.parts.horizon.wantsCommit) return
    let thawed = false
    let claim: Claim | null = null
    const frozenInos: number[] = []
    try {
      // Before the freeze, so that the reservation is durable with it: a dot that is in the
      // generation must never be issued again. Three each: a file may change until it is stored.
      volume.apply(author.reserve(0, 3 * batch.files.length + countOthers(others)))
      const snapshot = this.#snapshot(batch, frozenInos)
      claim = snapshot.claim
      this.#frozen = snapshot.frozen.map(({ file }) => file)
      fault('commit.frozen')
      await durable(snapshot.seq)
      fault('commit.durable')
      const files = await this.#ingest(snapshot.frozen)
      const rows = this.#committedRows(snapshot, files)
      const version = await writeRecords({ store, author }, { ...snapshot, rows })
      await store.barrier()
      const { blobsLength } = await store.info()
      fault('commit.stored')
      this.#finish(snapshot, { files, rows, blobsLength, version, others })
      thawed = true
      tracker.done()
      this.parts.onCommitted(snapshot.batch.dirents, snapshot.rows.values())
      this.parts.alarms.clear(COMMIT_ALARM)
      this.#outOfReach.review()
      fault('commit.journaled')
    } finally {
      if (!thawed) {
        for (const ino of frozenInos) plane.thaw(ino, false)
        tracker.failed(batch)
        if (claim) this.parts.horizon.failed(claim)
      }
      this.#cutTo.clear()
    }
  }

  /**
   * Freezes the cut and notes the state to be written; nothing can change in between.
   * @param frozenInos gets the files that are frozen, also when it throws
   */
  #snapshot(batch: Batch, frozenInos: number[]): Snapshot {
    const { volume } = this.parts
    const { plane, index, tracker, tables, author } = volume.parts
    const files = batch.files.filter((ino) => index.node(ino) !== null)
    const seq = plane.freeze(Float64Array.from(files))
    frozenInos.push(...files)
    tracker.cut(batch, seq, this.parts.hearEvents)
    const rows = new Map<number, Row | null>()
    const graves = new Map<number, Buffer>()
    for (const ino of batch.nodes) {
      const row = index.node(ino)
      rows.set(ino, row)
      const grave = row ? null : index.meta(TABLE.grave + ino)
      if (grave) graves.set(ino, grave)
    }
    const frozen: Frozen[] = []
    for (const ino of files) {
      const row = index.node(ino)
      const stat = Buffer.alloc(STAT_BYTES)
      if (!row || !plane.getFrozen(ino, stat)) continue
      rows.set(ino, row)
      this.#cutTo.set(ino, Infinity)
      const file = {
        ino,
        // Also of a file that was cut to nothing: so its blocks are found superseded.
        base: contentMapOf(tables.contentOf(row)),
        baseEnd: Math.min(readSafe(stat, 72), row.baseEnd),
        size: readSafe(stat, 8),
        ranges: plane.ranges(ino, RANGES.frozen)
      }
      frozen.push({ file, stat, rowMtimeNs: row.mtimeNs, write: author.write() })
      this.inFlightBytes += byteLengthOf(file.ranges)
    }
    const dirents = batch.dirents.map((place) => storedEntry(tables, place))
    const claim = this.parts.horizon.claim(rows.size > 0)
    return { batch, seq, rows, graves, dirents, frozen, claim }
  }

  async #ingest(frozen: readonly Frozen[]): Promise<Ingested[]> {
    if (frozen.length === 0) return []
    const results = await this.parts.store.ingest(frozen.map(({ file }) => file))
    return frozen.flatMap((each, i) => {
      const result = results[i]
      return result ? [{ ...each, result }] : []
    })
  }

  /** The rows as they are committed: those of the cut, the frozen files with their new content. */
  #committedRows(snapshot: Snapshot, files: readonly Ingested[]): Map<number, Row | null> {
    const { tables } = this.parts.volume.parts
    const rows = new Map(snapshot.rows)
    for (const ingested of files) {
      const row = rows.get(ingested.file.ino)
      if (row) rows.set(row.ino, withContent(row, ingested, tables.contentOf(row)))
    }
    return rows
  }

  /** The files' new maps into the journal and the index; the frozen bytes are let go. */
  #finish(snapshot: Snapshot, { files, rows, blobsLength, version, others }: Committed): void {
    const { volume, history, merger } = this.parts
    const { plane, tracker, clock, tables, index } = volume.parts
    const changes: Change[] = []
    const bases: Row[] = []
    const conflicts = new ConflictCommit(merger)
    for (const ingested of files) {
      const { ino } = ingested.file
      const { result } = ingested
      changes.push(...history.supersede(result.superseded, [ino]))
      if (result.superseded.length > 0) tracker.noteRewritten(ino, clock.monotonicMs())
      const old = index.node(ino) ?? volume.orphans.get(ino)
      const linked = old && old.nlink > 0
      const committed = rows.get(ino)
      if (!committed) continue
      if (!linked) {
        changes.push({ kind: 'meta', key: deadKey(ino), value: Buffer.from(result.map) })
        this.#bury(ingested, committed, conflicts)
      }
      if (!old) continue
      const isAsCut = snapshot.rows.get(ino)?.bytes.equals(old.bytes)
      const content = isAsCut ? committed : this.#withCommitted(old, ingested, committed)
      const row = asBase(content, snapshot.seq, this.#cutTo.get(ino) ?? Infinity)
      bases.push(row)
      if (linked && tables.isTangled(old)) conflicts.add(old, row, others.get(ino) ?? [])
      else if (linked) changes.push({ kind: 'node', ino, row, local: true })
      else volume.orphans.set(ino, row)
    }
    changes.push(...this.parts.horizon.committed(snapshot.claim, version))
    if (files.length > 0) changes.push(blobsLengthChange(blobsLength))
    if (conflicts.isEmpty) volume.applyAll(changes)
    else conflicts.commit(changes)
    for (const base of bases) {
      const row = index.node(base.ino) ?? base
      plane.setBase(row.ino, row.baseEnd, row.baseEpoch)
    }
    for (const { file } of snapshot.frozen) plane.thaw(file.ino, true)
    conflicts.dropReplaced()
  }

  /** A row that changed since the freeze. What changed is dirty and in the next commit. */
  #withCommitted(old: Row, ingested: Ingested, committed: Row): Row {
    const { author, tables } = this.parts.volume.parts
    const next = { base: tables.contentOf(old), write: author.write() }
    return withCommitted(old, ingested, committed.record, next)
  }

  /** A file that was removed since the freeze. Its removal is in the next commit. */
  #bury(ingested: Ingested, committed: Row, conflicts: ConflictCommit): void {
    const { author, tables } = this.parts.volume.parts
    const node = author.idOf(committed.ino)
    const before = tables.record(node)
    // Where nobody else can have merged the node, nothing of it has stayed.
    if (before === null) return
    const after = buried(before, ingested, committed.record, author.write())
    conflicts.bury({ node, before, after })
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
