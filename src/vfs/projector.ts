/**
 * Keeps the plain projection behind the tree: after commits, when nothing else is to be done, the
 * names and files that changed are written to it, some hundred at a time.
 *
 * What is to be done lies in memory only. Whether that was lost is known by a mark that is set
 * before the first change of a run and taken away when all is done; a start that finds it makes
 * the projection anew. Order does not matter: every task looks at the tree as it is when it runs.
 */
import type { Logger } from '../base/log.js'
import type { Place } from '../format/record.js'
import { shownState } from '../format/shown-state.js'
import { contentMapOf, dataWinner } from '../format/winner.js'
import type { ProjectedEntry, ProjectionChange } from '../generation/projection.js'
import { direntKey, type Name } from '../union/changes.js'
import type { Row } from '../union/row.js'
import type { ContentStore } from './content-store.js'
import { nameBytes } from './namespace.js'
import type { DirentPlace } from './tracker.js'
import type { Volume } from './volume.js'

/** Book-keeping key: there are, or may be, changes that the projection has not. */
const BEHIND_KEY = 'projection'
/** Paths of one update. */
const BATCH = 500
/** Nothing was committed for this long before the projection is worked on. */
const IDLE_MS = 3000
/** Names that wait, at most; beyond it everything is projected anew. */
const QUEUE_LIMIT = 100_000

/** The parts it works with. */
export interface ProjectorParts {
  readonly volume: Volume
  readonly store: Pick<ContentStore, 'project'>
  readonly log: Logger
}

/** See the file's head. */
export class Projector {
  #places = new Map<string, DirentPlace>()
  #isMarked = false
  /** What is in the projection may be of names that nothing is known of any more. */
  #isStale = false
  #timer: NodeJS.Timeout | null = null
  #running: Promise<void> | null = null
  #closed = false
  #notedMs = -Infinity

  constructor(private readonly parts: ProjectorParts) {}

  /** Looks whether the last run left something undone. After recovery. */
  start(): void {
    this.#isMarked = this.parts.volume.parts.index.meta(BEHIND_KEY) !== null
    if (this.#isMarked) this.#everything()
  }

  /** Takes note of what a commit wrote. */
  note(places: Iterable<DirentPlace>, rows: Iterable<Row | null>): void {
    this.#notedMs = this.#nowMs()
    for (const place of places) this.#add(place)
    for (const row of rows) if (row) for (const place of this.#placesOf(row)) this.#add(place)
    this.#later()
  }

  /** Brings the projection up to date now; for tests and for a person who asks. */
  async settle(): Promise<void> {
    await this.#running
    if (this.#timer) clearTimeout(this.#timer)
    this.#timer = null
    await this.#run(true)
  }

  /** Stops; what is left undone is done after the next start. */
  async close(): Promise<void> {
    this.#closed = true
    if (this.#timer) clearTimeout(this.#timer)
    await this.#running
  }

  #add(place: DirentPlace): void {
    if (this.#places.size >= QUEUE_LIMIT) {
      this.#everything()
      return
    }
    this.#queue(place)
  }

  #queue(place: DirentPlace): void {
    this.#places.set(direntKey(place.parent, place.name).toString('latin1'), place)
  }

  /** Everything is to be projected anew, after what is there was taken out. */
  #everything(): void {
    this.#places.clear()
    this.#isStale = true
    for (const { name } of this.parts.volume.parts.index.children(1)) {
      this.#queue({ parent: 1, name })
    }
    this.#later()
  }

  #later(): void {
    if (this.#closed || (this.#places.size === 0 && !this.#isStale)) return
    if (!this.#isMarked) {
      this.#isMarked = true
      this.parts.volume.apply([{ kind: 'meta', key: BEHIND_KEY, value: Buffer.of(1) }])
    }
    if (this.#timer) this.#timer.refresh()
    else {
      this.#timer = setTimeout(() => {
        this.#timer = null
        this.#running ??= this.#run().finally(() => {
          this.#running = null
        })
      }, IDLE_MS)
    }
  }

  #nowMs(): number {
    return this.parts.volume.parts.clock.monotonicMs()
  }

  async #run(isForced = false): Promise<void> {
    try {
      if (this.#isStale && !this.#closed) {
        this.#isStale = false
        await this.parts.store.project([], [])
      }
      while (this.#places.size > 0 && !this.#closed) {
        const [[key, place] = []] = this.#places
        if (key === undefined || place === undefined) return
        // Somebody is at work again: that goes before.
        if (this.#nowMs() - this.#notedMs < IDLE_MS && !isForced) {
          this.#later()
          return
        }
        this.#places.delete(key)
        await this.#project(place)
      }
      if (this.#isMarked && !this.#closed) {
        this.parts.volume.apply([{ kind: 'meta', key: BEHIND_KEY, value: null }])
        this.#isMarked = false
      }
    } catch (error) {
      this.parts.log.warn({ err: error }, 'the plain projection stays behind until the next start')
    }
  }

  /** One name and, where it is a directory, what is in it; its directories are done in turn. */
  async #project(place: DirentPlace): Promise<void> {
    const folder = this.#pathOf(place.parent)
    if (!folder) return
    const { index } = this.parts.volume.parts
    // Its directory may be shown as one with another.
    const dirent = index.dirent(this.#shownAs(place.parent), place.name)
    const path = [...folder, nameBytes(place.name)]
    const row = dirent && index.node(dirent.ino)
    // What lay below this name before is taken out first; then the tree as it is goes in.
    await this.parts.store.project([{ path, entry: row && entryOf(row) }], path)
    if (row?.record.kind !== 'dir') return
    let batch: ProjectionChange[] = []
    for (const { name, ino } of index.children(row.ino)) {
      const child = index.node(ino)
      if (child?.record.kind === 'dir') this.#queue({ parent: row.ino, name })
      const entry = child && entryOf(child)
      if (entry) batch.push({ path: [...path, nameBytes(name)], entry })
      if (batch.length < BATCH) continue
      await this.parts.store.project(batch, null)
      batch = []
    }
    if (batch.length > 0) await this.parts.store.project(batch, null)
  }

  #shownAs(dir: number): number {
    const { author, tables } = this.parts.volume.parts
    return tables.isShared ? author.inoOf(tables.hostOf(author.idOf(dir))) : dir
  }

  /** The names from the root to a directory; null when it is gone. */
  #pathOf(ino: number): Uint8Array[] | null {
    const names: Uint8Array[] = []
    const { index, author, tables } = this.parts.volume.parts
    for (let at = ino; at !== 1;) {
      const row = index.node(at)
      const shown = tables.isShared ? shownState(tables).placeOf(author.idOf(at)) : null
      const place = shown
        ? { parent: shown.parent, name: shown.entry.name }
        : row && livePlaceOf(row)
      if (!place || names.length > 4096) return null
      names.unshift(place.name)
      at = author.inoOf(place.parent)
    }
    return names
  }

  #placesOf(row: Row): DirentPlace[] {
    if (row.record.kind === 'dir') return []
    const places: DirentPlace[] = []
    for (const versions of row.record.places.values()) {
      const place = versions.find((version) => !version.deleted)
      if (!place) continue
      const name: Name = place.name.toString('latin1')
      places.push({ parent: this.parts.volume.parts.author.inoOf(place.parent), name })
    }
    return places
  }
}

function livePlaceOf(row: Row): Place | null {
  for (const versions of row.record.places.values()) {
    const place = versions.find((version) => !version.deleted)
    if (place) return place
  }
  return null
}

/** What a stock hyperdrive can show of a node; null for directories, devices and the like. */
function entryOf(row: Row): ProjectedEntry | null {
  const content = dataWinner(row.record)?.content
  if (content?.type === 'link') return { type: 'link', target: content.target.toString('utf8') }
  const map = contentMapOf(dataWinner(row.record))
  if (content?.type !== 'file' || !map) return null
  return { type: 'file', map, size: content.size, isExecutable: (row.mode & 0o100) !== 0 }
}
