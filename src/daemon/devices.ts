/**
 * The other devices, in the main thread: who they are, who is connected, and their work as it is
 * taken into the tree.
 */
import type { Alarms } from '../base/alarms.js'
import type { Logger } from '../base/log.js'
import type { StatusReport } from '../control/operations.js'
import type { GenerationNumber } from '../format/ids.js'
import type { ForeignPage } from '../generation/foreign.js'
import type { Filesystem as Vfs } from '../vfs/filesystem.js'
import { raiseBearerAlarm } from './device-operations.js'
import type { Belonging } from '../vfs/horizon.js'
import { Following } from './following.js'
import { takeInSlices } from './intake.js'
import type { LastSeen } from './last-seen.js'
import type { StoreClient } from './store-client.js'
import type { GroupWarning, KnownGeneration, StoreEvent } from './store-events.js'

/** How long the introduction of a generation is waited for that another one's records name, ms. */
const INTRODUCTION_MS = 60_000

/** A clock of another device so far ahead is reported until nothing of it came for so long, ms. */
const CLOCK_ALARM = 'CLOCK_AHEAD'

/** What it works with. */
export interface DevicesOptions {
  readonly store: Pick<StoreClient, 'call' | 'listen'>
  /** Everybody who belongs, as the store's thread knew it when it opened. */
  readonly known: readonly KnownGeneration[]
  readonly alarms: Alarms
  readonly log: Logger
  readonly monotonicMs: () => number
  /** Called when a device connects. */
  readonly onPeer: () => void
  readonly lastSeen: LastSeen
}

/** See the file's head. */
export class Devices {
  readonly #options: DevicesOptions
  #known: readonly KnownGeneration[] = []
  readonly #byGeneration = new Map<GenerationNumber, KnownGeneration>()
  readonly #unknownSince = new Map<GenerationNumber, number>()
  /** Since when there is something of a generation that has not been taken in. */
  readonly #behindSince = new Map<GenerationNumber, number>()
  #warnings: readonly GroupWarning[] = []
  #vfs: Vfs | null = null
  #following: Following | null = null

  /** @param options nothing is taken in before `start` */
  constructor(options: DevicesOptions) {
    this.#options = options
    this.#learn(options.known)
  }

  /** Everybody who belongs or belonged, this device included. */
  get known(): readonly KnownGeneration[] {
    return this.#known
  }

  /** The device of a generation, as conflict copies name it: the same on all devices. */
  nameOf(generation: GenerationNumber): string {
    return this.#byGeneration.get(generation)?.name ?? generation.toString(16)
  }

  /** Whether a generation has been introduced; one that is not in a minute counts as if it were. */
  isKnown(generation: GenerationNumber): boolean {
    const known = this.#byGeneration.get(generation)
    if (known !== undefined && known.name !== null) return true
    const nowMs = this.#options.monotonicMs()
    const since = this.#unknownSince.get(generation) ?? nowMs
    this.#unknownSince.set(generation, since)
    return nowMs - since > INTRODUCTION_MS
  }

  /** Whose reports of what they have seen count, and whose records are complete. */
  belonging(): Belonging {
    const current: GenerationNumber[] = []
    const sealed: { generation: GenerationNumber; length: number }[] = []
    for (const { generation, state, cut } of this.#known) {
      if (generation === null) continue
      // Who is suspended may come back.
      if (state === 'active' || state === 'suspended' || cut === null) current.push(generation)
      else sealed.push({ generation, length: cut })
    }
    return { current, sealed }
  }

  /** Begins to take in what the others write. */
  start(vfs: Vfs): void {
    const { store, log } = this.#options
    this.#vfs = vfs
    this.#following = new Following({
      read: (generation, cursor) => store.call('readForeign', generation, cursor),
      cursorOf: (generation) => vfs.remote.cursor(generation),
      takeIn: (generation, page) => this.#takeIn(vfs, generation, page),
      onUpToDate: (generation) => this.#behindSince.delete(generation),
      log
    })
    if (this.#hasOthers) vfs.remote.share()
    store.listen((event) => this.#hear(event))
    for (const { generation, isOwn } of this.#known) {
      if (generation !== null && !isOwn) this.#note(generation)
    }
  }

  /** Takes in nothing more; resolves when what is under way is done. */
  async close(): Promise<void> {
    await this.#following?.close()
  }

  /** Parts of `status`. */
  async status(): Promise<Pick<StatusReport, 'peers' | 'generations'>> {
    const { store, monotonicMs } = this.#options
    const peers = await store.call('peers')
    const followed = await store.call('followed')
    const nowMs = monotonicMs()
    const lagOf = (device: string): number => {
      const lags = followed
        .filter((one) => one.device === device)
        .map(({ generation }) => nowMs - (this.#behindSince.get(generation) ?? nowMs))
      return Math.round(Math.max(0, ...lags))
    }
    return {
      peers: peers.map(({ device, path }) => ({ device, path, lagMs: lagOf(device) })),
      generations: followed.map(({ device, generation, db, blobs }) => ({
        device,
        generation: generation.toString(16),
        length: db.length,
        held: db.heldBlocks,
        byteLength: db.byteLength + blobs.byteLength
      }))
    }
  }

  get #hasOthers(): boolean {
    return this.#known.some(({ isOwn }) => !isOwn)
  }

  #learn(known: readonly KnownGeneration[]): void {
    this.#known = known
    for (const one of known) {
      if (one.generation !== null) this.#byGeneration.set(one.generation, one)
    }
  }

  #hear(event: StoreEvent): void {
    const { alarms, log } = this.#options
    switch (event.type) {
      case 'grown':
        this.#note(event.generation)
        break
      case 'members':
        this.#onMembers(event)
        break
      case 'peers':
        this.#vfs?.ingester.setPatience(event.count > 0)
        this.#options.lastSeen.note(event.ids)
        if (event.count > 0) this.#options.onPeer()
        break
      case 'bearer':
        raiseBearerAlarm(alarms, event.joiner.name, false)
        break
      case 'conflict': {
        const message = `core ${event.core} has two signed heads: its device was copied or restored`
        alarms.raise('CORE_FORKED', message, event.core)
        break
      }
      case 'log':
        log[event.level](event.fields, event.message)
    }
  }

  #onMembers({ known, warnings }: Extract<StoreEvent, { type: 'members' }>): void {
    const { alarms } = this.#options
    this.#learn(known)
    for (const { code, subject } of this.#warnings) alarms.clear(code, subject)
    for (const { code, subject, message } of warnings) alarms.raise(code, message, subject)
    this.#warnings = warnings
    if (this.#hasOthers) this.#vfs?.remote.share()
    // What waited for an introduction may go on.
    for (const generation of this.#behindSince.keys()) this.#following?.note(generation)
  }

  /** Until its first scan is over, what a program asks of a generation is brought in first. */
  #watchScan(vfs: Vfs, generation: GenerationNumber): void {
    const { version, scanned } = vfs.remote.cursor(generation)
    const isScanning = version === 0 || scanned !== null
    if (!isScanning) return vfs.ahead.end(generation)
    vfs.ahead.begin(generation, (parent, name) => {
      return this.#options.store.call('listForeign', generation, parent, name)
    })
  }

  #note(generation: GenerationNumber): void {
    if (!this.#behindSince.has(generation)) {
      this.#behindSince.set(generation, this.#options.monotonicMs())
    }
    if (this.#vfs) this.#watchScan(this.#vfs, generation)
    this.#following?.note(generation)
  }

  async #takeIn(vfs: Vfs, generation: GenerationNumber, page: ForeignPage): Promise<void> {
    const aheadMs = await takeInSlices(vfs.remote, generation, page)
    this.#watchScan(vfs, generation)
    const { alarms } = this.#options
    if (aheadMs === 0) return
    const name = this.nameOf(generation)
    const what = `the clock of ${name} is ${Math.round(aheadMs / 1000)} s ahead of this one`
    alarms.raise(CLOCK_ALARM, `${what}: set one of them right`, name)
  }
}
