/**
 * The filesystem of one mount: opens the parts in order, hands what the data plane reports to the
 * part that it concerns, keeps the index flushed and the journal short.
 */
import type { Alarms } from '../base/alarms.js'
import type { Clock } from '../base/clock.js'
import type { FaultPoint } from '../base/fault.js'
import type { Logger } from '../base/log.js'
import { newRecord } from '../format/edit.js'
import { ROOT_INO, type GenerationNumber } from '../format/ids.js'
import { Author } from '../union/author.js'
import type { Index } from '../union/index-store.js'
import { MergeTables } from '../union/merge-tables.js'
import { Row } from '../union/row.js'
import { Attributes } from './attributes.js'
import { Ahead } from './ahead.js'
import type { BackgroundParts } from './background-readers.js'
import { Content } from './content.js'
import type { ContentStore } from './content-store.js'
import { Directories } from './directory.js'
import type { HistoryLimits } from './history.js'
import type { Belonging } from './horizon.js'
import { Ingester } from './ingester.js'
import { Journal, type Crc32c } from './journal.js'
import { LocalFiles } from './local-files.js'
import { Merger } from './merger.js'
import { Namespace } from './namespace.js'
import { sweepOrphanBlocks } from './orphan-blocks.js'
import { PLAIN, type DataPlane } from './plane.js'
import { Projector } from './projector.js'
import { DONE_KEY, SEQ_KEY, recover, seqChange, type RecoveryReport } from './recovery.js'
import { Remote } from './remote.js'
import { writeSlots } from './slot-file.js'
import { Retention } from './retention.js'
import { RESERVE_BYTES, Space } from './space.js'
import { Tracker } from './tracker.js'
import { Volume, type Ownership } from './volume.js'

/** The index is flushed at least this often while changes are pending, and at so many changes. */
const CHECKPOINT_MS = 2000
const CHECKPOINT_CHANGES = 20_000

/** What a filesystem is opened from. */
export interface FilesystemOptions {
  readonly journalDirectory: string
  readonly spoolDirectory: string
  readonly index: Index
  readonly plane: DataPlane
  readonly store: ContentStore
  readonly generation: GenerationNumber
  readonly ownership: Ownership
  readonly clock: Clock
  readonly crc32c: Crc32c
  /** Names the time since this machine started: another one means that power may have been lost. */
  readonly bootId: string
  /** Seeds the journal's checksums; the home's constant. */
  readonly salt: bigint
  readonly history: HistoryLimits
  readonly cacheBudgetBytes: number
  readonly background: Pick<BackgroundParts, 'limits' | 'nameOf'>
  readonly alarms: Alarms
  readonly log: Logger
  readonly fault: FaultPoint
  /** Names a generation's device in conflict copies, the same on all devices. Default: a number. */
  readonly deviceName?: (generation: GenerationNumber) => string
  /** Whether it is known whose a generation is. Default: it is. */
  readonly isKnown?: (generation: GenerationNumber) => boolean
  /** Who belongs. Default: not known, and nothing old goes where there are several generations. */
  readonly belonging?: () => Belonging
  /** Told when conflict copies have appeared. */ readonly onConflict?: () => void
}

interface Waiter {
  readonly seq: number
  readonly resolve: () => void
}

/** See the file's head. */
export class Filesystem {
  readonly volume: Volume
  readonly names: Namespace
  readonly attributes: Attributes
  readonly directories: Directories
  readonly content: Content
  readonly ingester: Ingester
  /** What is kept of the past. */
  readonly retention: Retention
  readonly projector: Projector
  readonly space: Space
  /** What other devices write. */
  readonly remote: Remote
  /** And what of it is wanted before its turn. */
  readonly ahead: Ahead
  /** Takes the data plane's events, which call `on…` here; set by who attaches it. */
  hearEvents: () => void = () => undefined
  #waiters: Waiter[] = []
  /** No commit may come before what the generation has was compared with the journal. */
  #mayCommit = false
  #checkpointing: Promise<void> | null = null
  /** The journal entries that the index's cut covers. */
  #cutSeq = 0
  /** And up to where the generation has them. */
  #doneSeq = 0
  #savedSlots = 0
  #timer: NodeJS.Timeout | null = null

  /** @param options the data plane need not be served yet; nothing is read before `open` */
  constructor(private readonly options: FilesystemOptions) {
    const { index, plane, store, clock, log, fault } = options
    const journal = new Journal(options.journalDirectory, plane)
    const author = new Author(index, options.generation, clock)
    this.volume = new Volume({
      index,
      plane,
      journal,
      files: new LocalFiles(options.spoolDirectory, plane),
      tracker: new Tracker(),
      author,
      tables: new MergeTables(index, author),
      clock,
      ownership: options.ownership,
      wake: () => this.#wake(),
      watch: (changes) => this.retention.note(changes)
    })
    const deviceName = options.deviceName ?? ((generation) => generation.toString(16))
    const merger = new Merger(this.volume, { deviceName }, options.onConflict)
    const parts = { remote: () => this.remote, ingester: () => this.ingester }
    this.retention = new Retention({ ...options, ...parts, merger, deviceName })
    const { history, horizon } = this.retention
    this.remote = new Remote({
      merger,
      horizon,
      hearEvents: () => this.hearEvents(),
      hurry: () => this.#mayCommit && this.ingester.hurry(),
      stored: (ids) => store.records(ids),
      alarms: options.alarms,
      isKnown: options.isKnown ?? (() => true)
    })
    this.projector = new Projector({ volume: this.volume, store, log })
    this.space = new Space(this.volume, options.cacheBudgetBytes)
    this.names = new Namespace(this.volume, this.space, merger)
    this.attributes = new Attributes(this.volume, merger)
    this.directories = new Directories(this.volume)
    this.ahead = this.#makeAhead()
    this.ingester = new Ingester({
      volume: this.volume,
      merger,
      store,
      history,
      horizon,
      spareBytes: () => this.space.spareBytes,
      durable: (seq) => this.durable(seq),
      hearEvents: () => this.hearEvents(),
      onCommitted: (places, rows) => {
        this.projector.note(places, rows)
        this.#committed()
        this.remote.retry()
      },
      alarms: options.alarms,
      log,
      fault
    })
    this.content = new Content({
      volume: this.volume,
      attributes: this.attributes,
      store,
      room: this.space,
      background: { ...options.background, alarms: options.alarms },
      onTruncate: (ino, size) => this.ingester.noteCut(ino, size)
    })
  }

  /**
   * Recovers and opens. Requests are to be served when it has resolved; events (`on…`) before.
   * @throws {Error} EIO, ENOSPC
   */
  async open(): Promise<RecoveryReport> {
    const { crc32c, bootId, salt, store, alarms, log, fault } = this.options
    await this.retention.open()
    const report = await recover({
      volume: this.volume,
      crc32c,
      bootId,
      fault,
      salt,
      durable: (seq) => this.durable(seq),
      alarms,
      log
    })
    this.retention.load()
    this.projector.start()
    if (!this.volume.parts.index.node(ROOT_INO)) this.#makeRoot()
    this.directories.loadNode(ROOT_INO)
    this.#timer = setInterval(() => this.#tick(), CHECKPOINT_MS)
    await this.remote.load()
    this.#mayCommit = true
    const { volume, ingester, retention } = this
    const { history } = retention
    sweepOrphanBlocks({ volume, history, ingester, store, alarms }).catch((error: unknown) => {
      log.warn({ err: error }, 'blocks of an interrupted commit stay until the next start')
    })
    this.ingester.wake()
    return report
  }

  #wake(): void {
    if (this.#mayCommit) this.ingester.wake()
  }

  /** Resolves when everything up to a journal entry survives power loss. */
  durable(seq: number): Promise<void> {
    if (this.volume.parts.plane.durableSeq() >= seq) return Promise.resolve()
    return new Promise((resolve) => {
      this.#waiters.push({ seq, resolve })
      this.volume.parts.plane.sync()
    })
  }

  /** The data plane reports that the journal is durable up to here. */
  onMarked(seq: number): void {
    this.volume.parts.files.reap(seq)
    const waiting = this.#waiters
    this.#waiters = []
    for (const waiter of waiting) {
      if (waiter.seq <= seq) waiter.resolve()
      else this.#waiters.push(waiter)
    }
    if (this.#waiters.length > 0) this.volume.parts.plane.sync()
  }

  /** The data plane reports the first dirty byte of a file since its last freeze. */
  onDirtied(ino: number): void {
    if (this.volume.orphans.has(ino)) return
    this.volume.parts.tracker.noteFile(ino, this.volume.parts.clock.monotonicMs())
    this.ingester.wake()
  }

  /** The data plane has taken the spare journal segment into use. */
  onJournalLow(): void {
    this.volume.parts.journal.onSwitched()
    this.#ensureSpare()
  }

  /** The data plane reports that nothing can reach an unlinked file any more. */
  onOrphanGone(ino: number): void {
    const { tracker, files, plane } = this.volume.parts
    if (this.volume.parts.index.node(ino)) return
    this.volume.orphans.delete(ino)
    this.content.forget(ino)
    tracker.forgetFile(ino)
    plane.dropInode(ino)
    files.release(ino)
  }

  /** `struct fuse_kstatfs`. */
  statfs(): Buffer {
    return this.attributes.statfs(RESERVE_BYTES)
  }

  /** Bytes that are written and not in the generation yet. */
  backlogBytes(): number {
    return this.space.backlogBytes() + this.ingester.inFlightBytes
  }

  /** Resolves when everything written so far is in the generation, durably. */
  async flush(): Promise<void> {
    await this.ingester.flush()
    await this.checkpoint()
  }

  /**
   * Writes what the index holds in memory, then gives up the journal's segments that nobody needs.
   * @throws {Error} ENOSPC, EIO
   */
  checkpoint(): Promise<void> {
    this.#checkpointing ??= this.#checkpoint().finally(() => {
      this.#checkpointing = null
    })
    return this.#checkpointing
  }

  /** Commits everything, flushes the index, stops. The data plane must serve nothing any more. */
  async close(): Promise<void> {
    if (this.#timer) clearInterval(this.#timer)
    this.remote.close()
    await this.ingester.flush().catch((error: unknown) => {
      this.options.log.error({ err: error }, 'the last commit failed; the journal keeps the work')
    })
    await this.ingester.close()
    this.volume.parts.files.close()
    this.content.close()
    const tidied = Promise.all([this.projector.close(), this.retention.history.close()])
    await this.options.store.stopTidying()
    await tidied
    await this.#checkpointing
    await this.checkpoint()
  }

  /**
   * Stops without writing anything: on the disk is then what a crash would leave. For a home that
   * is given up, and for tests.
   */
  async abandon(): Promise<void> {
    if (this.#timer) clearInterval(this.#timer)
    this.remote.close()
    await this.ingester.close()
    this.volume.parts.files.close()
    await this.projector.close()
    await this.retention.history.tend()
    await this.#checkpointing?.catch(() => undefined)
  }

  async #checkpoint(): Promise<void> {
    const { index, plane, journal, tracker } = this.volume.parts
    const seq = plane.lastSeq()
    this.hearEvents()
    // What was done once is done, also when the tracker knows no better than its last cut.
    const doneSeq = Math.max(this.#doneSeq, Math.min(seq, tracker.settledSeq(seq)))
    index.apply([seqChange(SEQ_KEY, seq), seqChange(DONE_KEY, doneSeq)])
    // A cut that could not be flushed the last time is flushed first, and stands for less.
    if (index.cut()) {
      this.#cutSeq = seq
      this.#doneSeq = doneSeq
    }
    await this.durable(this.#cutSeq)
    this.options.fault('checkpoint.durable')
    await index.flush()
    this.options.fault('checkpoint.flushed')
    this.#saveSlots()
    journal.release(this.#doneSeq)
  }

  /** Before the journal entries go that gave generations their slots. */
  #saveSlots(): void {
    const { slots } = this.volume.parts.author
    if (slots.length === this.#savedSlots) return
    writeSlots(this.options.journalDirectory, slots)
    this.#savedSlots = slots.length
  }

  /** On a full disk the next tick tries again; until then what needs a segment gets ENOSPC. */
  #ensureSpare(): void {
    try {
      this.volume.parts.journal.ensureSpare()
    } catch (error) {
      this.options.log.warn({ err: error }, 'the journal has no room to grow')
    }
  }

  #tick(): void {
    this.#ensureSpare()
    if (this.volume.parts.index.pendingCount > 0) this.#checkpointSoon()
    this.space.tend()
    if (this.#mayCommit) this.retention.tick()
  }

  #committed(): void {
    this.space.tend()
    this.retention.tend()
    if (this.volume.parts.index.pendingCount > CHECKPOINT_CHANGES) this.#checkpointSoon()
  }

  #checkpointSoon(): void {
    this.checkpoint().catch((error: unknown) => {
      this.options.log.error({ err: error }, 'the index could not be written; tried again soon')
    })
  }

  #makeAhead(): Ahead {
    const { volume, remote, directories } = this
    const unloadDirectories = (): void => directories.unload()
    return new Ahead({ volume, remote, unloadDirectories, log: this.options.log })
  }

  #makeRoot(): void {
    const { author, ownership } = this.volume.parts
    const reserved = author.reserve(0)
    const write = author.write()
    const owner = this.volume.ownerOf(ownership.uid, ownership.gid)
    const record = newRecord({ kind: 'dir', place: null, mode: 0o755, owner }, write)
    const fields = {
      ino: ROOT_INO,
      size: 4096,
      flags: PLAIN,
      mode: 0o040755,
      nlink: 2,
      uid: ownership.uid,
      gid: ownership.gid,
      atimeNs: write.atNs,
      mtimeNs: write.atNs,
      ctimeNs: write.atNs,
      btimeNs: write.atNs,
      ownedBySelf: owner.type === 'self' ? 1 : 0
    }
    const row = Row.create(fields, record)
    this.volume.apply([...reserved, { kind: 'node', ino: ROOT_INO, row }])
  }
}
