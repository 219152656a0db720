/**
 * What every device of the drive has seen, so that what only the past needs may go.
 *
 * Each generation says in `pcfs-seen` up to where it has merged the others. A **cut** is a point of
 * this device's own past, as the lengths of all bees that were merged by then, its own included. It
 * has passed when every current generation has said that it has merged all of them: from then on
 * nobody can write anything that does not know what was known at the cut, and all that anybody
 * wrote before it knew is known here. Whatever is to be thrown away waits for the cut that comes
 * next, and is looked at again when that has passed.
 *
 * Invariants: a report is committed with, or after, all that this device had written when it
 * counted; nothing is reported, and no cut passes, while news is held (`remote.ts`).
 *
 * In the index's book-keeping, all numbers u48:
 *
 * ```
 *   heard:G   up to where the bee of G is merged, and where the last of its records came
 *   seen:G    what G says: pairs of generation and length
 *   told      what this device said last: running time, then pairs
 *   wrote     length of the own bee after the last records
 *   cut:N     running time, then pairs
 * ```
 */
import type { Alarms } from '../base/alarms.js'
import { toGenerationNumber, type GenerationNumber } from '../format/ids.js'
import type { SeenEntry } from '../generation/types.js'
import type { Change } from '../union/changes.js'
import type { Index } from '../union/index-store.js'
import { U48, decodeNumbers, decodePairs, encodeNumbers, encodePairs } from './lengths.js'
import type { RunTime } from './run-time.js'

const HEARD = 'heard:'
const SEEN = 'seen:'
const TOLD = 'told'
const WROTE = 'wrote'
const CUT = 'cut:'
const DIGITS = 12
/** Between two cuts, and before news is reported by a commit of its own. */
const LAZY_MS = 60_000
/**
 * Between two reports that say only how far the reports of others were read. News is answered
 * within a minute; if these were too, devices would answer one another for ever.
 */
const IDLE_MS = 86_400_000
/** Cuts that are kept; of more, every second one goes and what waits for it waits for the next. */
const CUTS_LIMIT = 256
/** Running time after which who has not seen something is named. */
const SILENT_MS = 7 * 86_400_000
const SILENT_ALARM = 'SEEN_BEHIND'

/** Whose word counts. */
export interface Belonging {
  /** Generations that are written to, or read, by devices that belong; the own one included. */
  readonly current: readonly GenerationNumber[]
  /**
   * Generations that are merged and that nobody writes to any more: of revoked devices, or from
   * before a rotation, with the lengths at which their bees end. Those never change, so what they
   * hold is never forgotten, until they are retired and no longer here.
   */
  readonly sealed: readonly SeenEntry[]
}

/** What a rebuilt index has to know of the own bee: all of it is to be seen before a cut passes. */
export function wroteChange(length: number): Change {
  return { kind: 'meta', key: WROTE, value: encodeNumbers([length]) }
}

/** The parts it works with. */
export interface HorizonParts {
  readonly index: Index
  readonly generation: GenerationNumber
  readonly run: RunTime
  /**
   * Who belongs; asked each time. null: not known, and then nothing goes where there is, or will
   * be, more than one generation.
   */
  readonly belonging: (() => Belonging) | null
  /** Whether there is, or will be, more than one generation. */
  readonly isShared: () => boolean
  /** Whether news was heard that is not merged yet. */
  readonly isHolding: () => boolean
  /** Names a generation's device. */
  readonly deviceName: (generation: GenerationNumber) => string
  readonly alarms: Alarms
  /** Journals and applies changes. */
  readonly apply: (changes: readonly Change[]) => void
}

/** A page of another generation's records, as far as it matters here. */
export interface HeardPage {
  readonly generation: GenerationNumber
  /** Its bee's version up to which everything is merged with this page. */
  readonly version: number
  readonly hasRecords: boolean
  readonly seen: readonly SeenEntry[]
}

/** What a commit has to say, fixed when its snapshot is taken. */
export interface Claim {
  readonly seen: readonly SeenEntry[]
  /** Of the cut that the commit makes; null: none is made. */
  readonly cut: { readonly number: number; readonly heard: readonly SeenEntry[] } | null
}

interface Cut {
  readonly number: number
  readonly atRunMs: number
  readonly lengths: readonly SeenEntry[]
}

interface Heard {
  readonly merged: number
  readonly news: number
}

/** See the file's head. */
export class Horizon {
  #heard = new Map<GenerationNumber, Heard>()
  #seen = new Map<GenerationNumber, ReadonlyMap<GenerationNumber, number>>()
  #told: ReadonlyMap<GenerationNumber, number> = new Map()
  #toldMs = 0
  #wrote = 0
  #cuts: Cut[] = []
  #next = 1
  #newsSinceMs: number | null = null
  #wantedSinceMs: number | null = null
  #cutMs = -Infinity
  #isHurried = false

  constructor(private readonly parts: HorizonParts) {
    this.load()
  }

  /** Reads everything again, after recovery has changed the index. */
  load(): void {
    const { index } = this.parts
    this.#heard = new Map()
    this.#seen = new Map()
    this.#cuts = []
    for (const prefix of [HEARD, SEEN, CUT]) {
      for (const { key, value } of index.metaRange(prefix)) this.#note(key, value)
    }
    for (const key of [TOLD, WROTE]) this.#note(key, index.meta(key))
    this.#next = (this.#cuts.at(-1)?.number ?? 0) + 1
    if (this.#hasNews()) this.#newsSinceMs = this.parts.run.nowMs()
  }

  /** Takes note of changes that were applied to the index. */
  note(changes: readonly Change[]): void {
    for (const change of changes) if (change.kind === 'meta') this.#note(change.key, change.value)
  }

  /** What goes with a page of records into the index. */
  heard({ generation, version, hasRecords, seen }: HeardPage): Change[] {
    const changes: Change[] = []
    const known = this.#heard.get(generation)
    if (version > (known?.merged ?? 0)) {
      const news = hasRecords || !known ? version : known.news
      const value = encodeNumbers([version, news])
      changes.push({ kind: 'meta', key: HEARD + generation, value })
    }
    if (seen.length > 0) {
      const all = new Map(this.#seen.get(generation))
      for (const entry of seen) all.set(entry.generation, entry.length)
      changes.push({ kind: 'meta', key: SEEN + generation, value: encodePairs(all) })
    }
    return changes
  }

  /** The number of the cut to wait for with what is known only now. Has one made. */
  waitNumber(): number {
    this.#wantedSinceMs ??= this.parts.run.nowMs()
    return this.#next
  }

  /** The number of the cut that comes next, without having it made. */
  get nextNumber(): number {
    return this.#next
  }

  /** Whether it is time to report, or to make a cut. */
  get isDue(): boolean {
    if (!this.parts.isShared() || this.parts.isHolding()) return false
    const nowMs = this.parts.run.nowMs()
    const since = [this.#newsSinceMs, this.#wantedSinceMs]
    if (since.some((ms) => ms !== null && nowMs - ms >= LAZY_MS)) return true
    return nowMs - this.#toldMs >= IDLE_MS && this.#untold().length > 0
  }

  /** Whether a commit is to be made although it has nothing else to write. */
  get wantsCommit(): boolean {
    return this.#isHurried || this.isDue
  }

  /** The next commit reports, and cuts, whatever was done lately. */
  hurry(): void {
    this.#isHurried = true
  }

  /**
   * What a commit says. To be called in the turn that takes its snapshot, so that all that was
   * merged or written by then is in it, or was in an earlier one.
   * @param isNews whether it has records too
   */
  claim(isNews: boolean): Claim {
    if (!this.parts.isShared() || this.parts.isHolding()) return { seen: [], cut: null }
    const nowMs = this.parts.run.nowMs()
    const isTelling = isNews || this.#hasNews() || nowMs - this.#toldMs >= IDLE_MS
    const seen = isTelling ? this.#untold() : []
    const isCutDue = this.#isHurried || nowMs - this.#cutMs >= LAZY_MS
    this.#isHurried = false
    if (this.#wantedSinceMs === null || !isCutDue) return { seen, cut: null }
    this.#cutMs = nowMs
    this.#wantedSinceMs = null
    const heard = [...this.#heard].map(([generation, { news }]) => ({ generation, length: news }))
    return { seen, cut: { number: this.#next++, heard } }
  }

  /**
   * What goes into the index when a commit is done.
   * @param version of the own bee behind the last batch that had records; null: none had
   */
  committed({ seen, cut }: Claim, version: number | null): Change[] {
    const changes: Change[] = []
    if (seen.length > 0) {
      const told = new Map(this.#told)
      for (const { generation, length } of seen) told.set(generation, length)
      const value = encodeNumbers([this.parts.run.nowMs(), ...[...told].flat()])
      changes.push({ kind: 'meta', key: TOLD, value })
    }
    const wrote = version ?? this.#wrote
    if (version !== null) changes.push(wroteChange(version))
    if (cut === null) return changes
    const { run, generation } = this.parts
    const lengths = [...cut.heard, { generation, length: wrote }]
    const pairs = lengths.flatMap((entry) => [entry.generation, entry.length])
    const key = CUT + String(cut.number).padStart(DIGITS, '0')
    changes.push({ kind: 'meta', key, value: encodeNumbers([run.nowMs(), ...pairs]) }, run.note())
    return changes
  }

  /** A commit failed: what it claimed was not said. */
  failed({ cut }: Claim): void {
    if (cut !== null) this.#wantedSinceMs ??= this.parts.run.nowMs()
  }

  /**
   * The number up to which cuts have passed: what waits for it, or for an earlier one, may go.
   * Infinity on a device alone.
   */
  passed(): number {
    const { isShared, isHolding, belonging } = this.parts
    if (!isShared()) return Infinity
    if (isHolding() || belonging === null) return 0
    const belong = belonging()
    let passed = 0
    for (const cut of this.#cuts) {
      if (this.#behind(cut, belong).length > 0) break
      passed = cut.number
    }
    return passed
  }

  /**
   * The version of the own bee whose tree, and whose history from there on, some device may still
   * need.
   * @param length of the own bee
   */
  keepFrom(length: number): number {
    const { isShared, belonging, generation } = this.parts
    if (!isShared()) return length
    if (belonging === null) return 0
    let keepFrom = length
    for (const reader of belonging().current) {
      if (reader === generation) continue
      keepFrom = Math.min(keepFrom, this.#seen.get(reader)?.get(generation) ?? 0)
    }
    return keepFrom
  }

  /** Generations that are merged, that nobody writes to, and that are not retired. */
  sealed(): ReadonlySet<GenerationNumber> {
    return new Set(this.parts.belonging?.().sealed.map(({ generation }) => generation))
  }

  /** Generations that are written to by devices that belong. */
  current(): ReadonlySet<GenerationNumber> {
    return new Set(this.parts.belonging?.().current ?? [this.parts.generation])
  }

  /** Drops cuts that are of no more use, and names who holds back the others for too long. */
  tend(): void {
    const passed = this.passed()
    if (passed === Infinity) return
    const gone = this.#cuts.filter(({ number }) => number < passed)
    // The last one stays: numbers go on from it.
    if (this.#cuts.length - gone.length > CUTS_LIMIT) {
      gone.push(...this.#cuts.filter((cut, i) => cut.number > passed && i % 2 === 0).slice(0, -1))
    }
    if (gone.length > 0) this.parts.apply(gone.map((cut) => this.#forget(cut)))
    this.#nameSilent(passed)
  }

  #nameSilent(passed: number): void {
    const { alarms, belonging, run, deviceName } = this.parts
    const waiting = this.#cuts.find(({ number }) => number > passed)
    if (!waiting || belonging === null || run.nowMs() - waiting.atRunMs < SILENT_MS) {
      alarms.clear(SILENT_ALARM)
      return
    }
    const silent = this.#behind(waiting, belonging())
    if (silent.length === 0) return
    const names = [...new Set(silent.map(deviceName))].sort().join(', ')
    alarms.raise(
      SILENT_ALARM,
      `not heard of for more than a week of running: ${names}; until it has seen what is new, ` +
        'old versions and removed files keep their room; revoke it if it is gone for ever'
    )
  }

  #forget({ number }: Cut): Change {
    return { kind: 'meta', key: CUT + String(number).padStart(DIGITS, '0'), value: null }
  }

  /** Generations that hold back a cut: those that have not seen it, or are not merged here. */
  #behind(cut: Cut, { current, sealed }: Belonging): GenerationNumber[] {
    const counted = new Set([...current, ...sealed.map(({ generation }) => generation)])
    const behind = current.filter((reader) => {
      if (reader === this.parts.generation) return false
      const seen = this.#seen.get(reader)
      // Who has never said anything may have seen nothing, whatever the cut has.
      if (!seen) return true
      return cut.lengths.some(({ generation, length }) => {
        const isCounted = generation !== reader && counted.has(generation)
        return isCounted && (seen.get(generation) ?? 0) < length
      })
    })
    for (const { generation, length } of sealed) {
      if ((this.#heard.get(generation)?.merged ?? 0) < length) behind.push(generation)
    }
    return behind
  }

  /** What is merged and was not said yet. */
  #untold(): SeenEntry[] {
    const untold: SeenEntry[] = []
    for (const [generation, { merged }] of this.#heard) {
      const told = this.#told.get(generation) ?? 0
      if (merged > told) untold.push({ generation, length: merged })
    }
    return untold
  }

  /** Whether some of it is more than reports of others. */
  #hasNews(): boolean {
    return [...this.#heard].some(
      ([generation, { news }]) => news > (this.#told.get(generation) ?? 0)
    )
  }

  #note(key: string, value: Buffer | null): void {
    if (key === WROTE) this.#wrote = value === null ? 0 : (decodeNumbers(value)[0] ?? 0)
    else if (key === TOLD) this.#noteTold(value)
    else if (key.startsWith(HEARD)) this.#noteHeard(generationIn(key, HEARD), value)
    else if (key.startsWith(SEEN)) {
      this.#seen.set(generationIn(key, SEEN), decodePairs(value ?? Buffer.alloc(0)))
    } else if (key.startsWith(CUT)) this.#noteCut(Number(key.slice(CUT.length)), value)
  }

  #noteTold(value: Buffer | null): void {
    if (value === null) return
    this.#toldMs = decodeNumbers(value.subarray(0, U48))[0] ?? 0
    this.#told = decodePairs(value.subarray(U48))
    if (!this.#hasNews()) this.#newsSinceMs = null
  }

  #noteHeard(generation: GenerationNumber, value: Buffer | null): void {
    const [merged = 0, news = 0] = value === null ? [] : decodeNumbers(value)
    this.#heard.set(generation, { merged, news })
    if (news > (this.#told.get(generation) ?? 0)) this.#newsSinceMs ??= this.parts.run.nowMs()
  }

  #noteCut(number: number, value: Buffer | null): void {
    this.#cuts = this.#cuts.filter((cut) => cut.number !== number)
    if (value === null) return
    const [atRunMs = 0] = decodeNumbers(value.subarray(0, U48))
    const pairs = decodePairs(value.subarray(U48))
    const lengths = [...pairs].map(([generation, length]) => ({ generation, length }))
    this.#cuts.push({ number, atRunMs, lengths })
  }
}

function generationIn(key: string, prefix: string): GenerationNumber {
  return toGenerationNumber(Number(key.slice(prefix.length)))
}
