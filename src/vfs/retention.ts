/**
 * What is kept of the past, and for how long: the parts that decide it and let it go, in one place.
 * It looks at what is old after each commit and once a minute, and has what was merged of other
 * devices reported when there is nothing else to commit.
 */
import type { Alarms } from '../base/alarms.js'
import type { Logger } from '../base/log.js'
import type { GenerationNumber } from '../format/ids.js'
import type { Change } from '../union/changes.js'
import type { ContentStore } from './content-store.js'
import { Graves } from './graves.js'
import { History, type HistoryLimits } from './history.js'
import { type Belonging, Horizon } from './horizon.js'
import type { Ingester } from './ingester.js'
import type { Merger } from './merger.js'
import type { Remote } from './remote.js'
import { RunTime } from './run-time.js'

/** What is old is looked at at least this often. */
const TEND_MS = 60_000

/** The parts it works with. */
export interface RetentionParts {
  readonly merger: Merger
  readonly store: ContentStore
  readonly history: HistoryLimits
  /** @see HorizonParts */
  readonly belonging?: () => Belonging
  /** Names a generation's device. */
  readonly deviceName: (generation: GenerationNumber) => string
  readonly remote: () => Pick<Remote, 'isLacking'>
  readonly ingester: () => Pick<Ingester, 'hurry' | 'acknowledge'>
  readonly alarms: Alarms
  readonly log: Logger
}

/** See the file's head. */
export class Retention {
  /** What all devices have seen. */
  readonly horizon: Horizon
  /** Records of removed nodes. */
  readonly graves: Graves
  /** Old blocks. */
  readonly history: History
  readonly #run: RunTime
  #tendedMs = 0

  constructor(private readonly parts: RetentionParts) {
    const { merger, store, log, alarms, deviceName, belonging } = parts
    const { volume } = merger
    const { index, clock, tables, author } = volume.parts
    const apply = (changes: readonly Change[]): void => volume.apply(changes)
    const isShared = (): boolean => tables.isShared
    const run = new RunTime(index, clock)
    this.#run = run
    this.horizon = new Horizon({
      index,
      run,
      generation: author.generation,
      belonging: belonging ?? null,
      isShared,
      isHolding: () => parts.remote().isLacking,
      deviceName,
      alarms,
      apply
    })
    this.graves = new Graves({ merger, horizon: this.horizon, run })
    this.history = new History({
      index,
      store,
      run,
      horizon: this.horizon,
      graves: this.graves,
      log,
      limits: parts.history,
      isOpen: (ino) => volume.orphans.has(ino),
      isShared,
      apply
    })
  }

  /** Learns the own cores, before recovery. @throws {FsError} */
  async open(): Promise<void> {
    const { blobsKey } = await this.parts.store.info()
    this.parts.merger.core = Buffer.from(blobsKey)
  }

  /** Reads everything again, after recovery has changed the index. */
  load(): void {
    this.#run.load()
    this.horizon.load()
    this.graves.load()
    this.history.load()
  }

  /** Takes note of changes that were applied to the index. */
  note(changes: readonly Change[]): void {
    this.horizon.note(changes)
    this.graves.note(changes)
  }

  /** To be called now and then. */
  tick(): void {
    if (this.horizon.isDue) this.parts.ingester().hurry()
    const { clock } = this.parts.merger.volume.parts
    if (clock.monotonicMs() - this.#tendedMs >= TEND_MS) this.tend()
  }

  /** Looks for what may go, in the background. */
  tend(): void {
    this.#tendedMs = this.parts.merger.volume.parts.clock.monotonicMs()
    void this.history.tend()
  }

  /**
   * Tells the other devices now, not within a minute, what of theirs has been merged here, and lets
   * go what may go.
   * @throws what the commit failed with
   */
  async acknowledge(): Promise<void> {
    await this.parts.ingester().acknowledge()
    await this.history.tend()
  }
}
