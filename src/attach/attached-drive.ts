/**
 * One foreign drive: what is here is answered at once; for the rest its peers are asked, and every
 * wait has an end.
 */
import { withDeadline } from '../base/deadline.js'
import { FsError } from '../base/errors.js'
import { ForeignDrive, isAbsent, type Reach } from '../store/foreign-drive.js'
import { isSize, type KeyReader, listFolder, lookupPath } from './listing.js'
import type { ForeignBlob, ForeignChange, ForeignEntry, ForeignState } from './types.js'
import type { ForeignListing, ForeignLookup } from './types.js'
import type { Duplex } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'

/** How long a peer may take for one block, ms. */
const BLOCK_MS = 10_000
/** And for all that one call needs. */
const CALL_MS = 30_000
/** How long somebody who has the drive may take to be found, ms. */
const FIND_MS = 10_000
const LOOK_MS = 25
/** How often a call that waits looks whether anybody is left. */
const WATCH_MS = 500
/** Changed paths that are told one by one. */
const PATHS_MAX = 2000

const HERE: Reach = { wait: false, timeout: BLOCK_MS }
const ANYWHERE: Reach = { wait: true, timeout: BLOCK_MS }

/** Looks for peers of a drive; `daemon/` makes it of `swarm/`. */
export interface PeerSearch {
  /** Whether somebody may still be found. */
  readonly isSearching: boolean
  close(): Promise<void>
}

/** What a drive is opened with. */
export interface AttachedDriveOptions {
  /** Of the drive's own store. */
  readonly directory: string
  readonly key: Buffer
  /** Begins to look for peers; null = there is no network. */
  readonly search:
    ((topic: Buffer, onConnection: (connection: Duplex) => void) => PeerSearch) | null
  readonly onChange: (change: ForeignChange) => void
  /** Content that is kept; when it is more, all is let go and fetched anew. Bytes. */
  readonly keepBytes: number
}

/** See the file's head. */
export class AttachedDrive {
  readonly #search: PeerSearch | null
  /** The version up to which changes were told. */
  #told: number
  #telling: Promise<void> = Promise.resolve()
  #isTelling = false
  #isClosed = false

  private constructor(
    private readonly drive: ForeignDrive,
    private readonly options: AttachedDriveOptions
  ) {
    this.#told = drive.length
    drive.follow(() => this.#news())
    this.#search = options.search?.(drive.discoveryKey, (stream) => drive.replicate(stream)) ?? null
  }

  /** Opens what is here of the drive, and begins to look for who has more. @throws {FsError} */
  static async open(options: AttachedDriveOptions): Promise<AttachedDrive> {
    const { directory, key, keepBytes } = options
    return new AttachedDrive(await ForeignDrive.open({ directory, key, keepBytes }), options)
  }

  /** See `ForeignState`. */
  get state(): ForeignState {
    return { version: this.drive.length, peers: this.drive.peers }
  }

  /** See `ForeignDrives.list`. */
  async list(path: string): Promise<ForeignListing> {
    return this.#ask(async (reach) => {
      const version = this.drive.length
      const entries = await listFolder(this.#reader(reach), path)
      const sized = await Promise.all(entries.map(async (entry) => this.#sized(entry, reach)))
      return { version, entries: sized }
    })
  }

  /** See `ForeignDrives.lookup`. */
  async lookup(path: string): Promise<ForeignLookup> {
    return this.#ask(async (reach) => {
      const version = this.drive.length
      const entry = await lookupPath(this.#reader(reach), path)
      return { version, entry: entry && (await this.#sized(entry, reach)) }
    })
  }

  /** See `ForeignDrives.read`. */
  async read(
    blob: ForeignBlob,
    range: { readonly fileOffset: number; readonly length: number }
  ): Promise<Uint8Array> {
    return this.#ask(async (reach) => this.drive.read(blob, range, reach))
  }

  /** Ends searching and closes what is open. */
  async close(): Promise<void> {
    this.#isClosed = true
    await this.#search?.close()
    await this.#telling
    await this.drive.close()
  }

  #reader(reach: Reach): KeyReader {
    return {
      entries: (range) => this.drive.entries(range, reach),
      entry: async (path) => this.drive.entry(path, reach)
    }
  }

  /** The entry of a content that is a list of blocks does not say how long it is. */
  async #sized(entry: ForeignEntry, reach: Reach): Promise<ForeignEntry> {
    if (entry.blob?.blockMap !== true) return entry
    const size = await this.drive.byteLength(entry.blob, reach)
    return { ...entry, size: isSize(size) ? size : 0 }
  }

  /** Does it with what is here, or else with the peers' help. */
  async #ask<T>(work: (reach: Reach) => Promise<T>): Promise<T> {
    try {
      if (this.drive.length > 0) return await work(HERE)
    } catch (error) {
      if (!isAbsent(error)) throw this.drive.errorOf(error)
    }
    await this.#findPeer()
    const alone = new AbortController()
    const watch = setInterval(() => {
      if (!this.#mayBeServed) alone.abort(unreachable(null))
    }, WATCH_MS)
    const { signal } = alone
    try {
      return await withDeadline({ ms: CALL_MS, what: 'the attached drive', signal }, async () => {
        if (this.drive.length === 0) await this.#firstVersion()
        return work(ANYWHERE)
      })
    } catch (error) {
      throw this.drive.errorOf(error)
    } finally {
      clearInterval(watch)
    }
  }

  get #mayBeServed(): boolean {
    return this.drive.peers > 0 || this.#search?.isSearching === true
  }

  async #firstVersion(): Promise<void> {
    await withDeadline({ ms: BLOCK_MS, what: 'the attached drive' }, async () => {
      await this.drive.update()
    })
  }

  /** @throws {FsError} EHOSTUNREACH */
  async #findPeer(): Promise<void> {
    const end = performance.now() + FIND_MS
    while (this.drive.peers === 0) {
      const mayCome = this.#search?.isSearching === true && performance.now() < end
      if (!mayCome || this.#isClosed) throw unreachable(null)
      await sleep(LOOK_MS)
    }
  }

  /** Tells what has changed, one change after the other. */
  #news(): void {
    if (this.#isTelling || this.#isClosed || this.drive.length === this.#told) return
    this.#isTelling = true
    this.#telling = this.#tell().finally(() => {
      this.#isTelling = false
      this.#news()
    })
  }

  async #tell(): Promise<void> {
    const from = this.#told
    const to = this.drive.length
    this.#told = to
    const paths = await this.#changed(from, to)
    if (!this.#isClosed) this.options.onChange({ version: to, paths })
  }

  async #changed(from: number, to: number): Promise<readonly string[] | null> {
    if (from === 0 || to < from || to - from > PATHS_MAX) return null
    try {
      const paths = await withDeadline({ ms: CALL_MS, what: 'news' }, async () => {
        return this.drive.changedPaths(from, to, ANYWHERE)
      })
      return paths.map((path) => path.toString('latin1'))
    } catch {
      // Then everything is looked at anew.
      return null
    }
  }
}

function unreachable(cause: unknown): FsError {
  const what = 'it is not on this device, and nobody who has the attached drive is connected'
  return new FsError('EHOSTUNREACH', what, { cause })
}
