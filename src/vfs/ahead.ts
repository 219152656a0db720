/**
 * Directories before their turn. While the first scan of another device's records is under way, the
 * tree has only a part of what it wrote; what a program asks for is brought in first: the records
 * of one directory, or of one name, are read at their source and merged like all others, so that
 * the scan, which will bring them again, changes nothing.
 *
 * Whoever asks waits a bounded time: with nobody there the tree answers as far as it has come.
 */
import { withDeadline } from '../base/deadline.js'
import type { Logger } from '../base/log.js'
import type { GenerationNumber, NodeId } from '../format/ids.js'
import type { NodeEntry } from '../generation/types.js'
import type { At } from './namespace.js'
import { nameBytes } from './namespace.js'
import type { HeardRecord, Remote } from './remote.js'
import type { Volume } from './volume.js'

/** Longest time that a listing or a look-up waits. */
const DEADLINE_MS = 10_000
/** After a failure the source is not asked again for so long. */
const PAUSE_MS = 3000
/** Directories that are remembered as brought in; of more the oldest are asked for again. */
const DIRECTORY_LIMIT = 100_000
/** Records that are merged in one go; the kernel is served in between. */
const SLICE = 128

/** Records of one generation for a directory; `name` null: for all its names. */
export type AheadSource = (parent: NodeId, name: Buffer | null) => Promise<readonly NodeEntry[]>

interface Source {
  readonly generation: GenerationNumber
  readonly ask: AheadSource
  /** Directories that have been brought in as a whole, or are being. */
  readonly done: Map<number, Promise<void>>
  pausedUntilMs: number
}

/** The parts it works with. */
export interface AheadParts {
  readonly volume: Volume
  readonly remote: Pick<Remote, 'takeIn'>
  /** Lets the kernel ask anew for directories that were listed before. */
  readonly unloadDirectories: () => void
  readonly log: Logger
}

/** See the file's head. */
export class Ahead {
  readonly #sources = new Map<GenerationNumber, Source>()

  constructor(private readonly parts: AheadParts) {}

  /** A generation's first scan begins: until `end` it is asked for what is wanted sooner. */
  begin(generation: GenerationNumber, ask: AheadSource): void {
    if (this.#sources.has(generation)) return
    this.#sources.set(generation, { generation, ask, done: new Map(), pausedUntilMs: 0 })
    this.parts.unloadDirectories()
  }

  /** All that a generation has is in the tree. */
  end(generation: GenerationNumber): void {
    this.#sources.delete(generation)
  }

  /** Whether anything may be missing. */
  get isNeeded(): boolean {
    return this.#sources.size > 0
  }

  /** Brings in all that claims a name in a directory. Never rejects. */
  async directory(ino: number): Promise<void> {
    await this.#ofAll((source) => {
      const known = source.done.get(ino)
      if (known) return known
      const [oldest] = source.done.size >= DIRECTORY_LIMIT ? source.done.keys() : []
      if (oldest !== undefined) source.done.delete(oldest)
      const done = this.#bring(source, ino, null).then(
        // It may have asked before anything was heard of its device.
        (count) => void (count > 0 || source.done.delete(ino)),
        (error: unknown) => {
          source.done.delete(ino)
          throw error
        }
      )
      source.done.set(ino, done)
      return done
    })
  }

  /** Brings in what claims a name. Never rejects. */
  async name(at: At): Promise<void> {
    await this.#ofAll(async (source) => {
      const known = source.done.get(at.parent)
      if (known) await known
      else await this.#bring(source, at.parent, nameBytes(at.name))
    })
  }

  async #ofAll(bring: (source: Source) => Promise<void>): Promise<void> {
    const { clock } = this.parts.volume.parts
    const sources = [...this.#sources.values()]
    await Promise.all(
      sources.map(async (source) => {
        if (clock.monotonicMs() < source.pausedUntilMs) return
        const what = 'a directory of another device'
        await withDeadline({ ms: DEADLINE_MS, what }, () => bring(source)).catch((err: unknown) => {
          this.parts.log.info({ err }, 'a listing shows what is here so far')
          source.pausedUntilMs = clock.monotonicMs() + PAUSE_MS
        })
      })
    )
  }

  /** @returns how many records there were */
  async #bring({ generation, ask }: Source, ino: number, name: Buffer | null): Promise<number> {
    const { author } = this.parts.volume.parts
    const records = (await ask(author.idOf(ino), name)).filter(isRecord)
    for (let at = 0; at < records.length; at += SLICE) {
      if (at > 0) await new Promise((resolve) => setImmediate(resolve))
      this.parts.remote.takeIn(generation, records.slice(at, at + SLICE), null)
    }
    return records.length
  }
}

function isRecord(entry: NodeEntry): entry is HeardRecord {
  return entry.record !== null
}
