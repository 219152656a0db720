/**
 * Another generation's records, read only: what has changed since they were last looked at.
 *
 * The first time its head is scanned, at one version, in pages; from then on its history is read.
 * A cursor says how far that has come; it is the reader's to keep, together with what it made of
 * the records. Only what is on this device is read, so that nothing here waits for a peer, except a
 * scan, which asks for the blocks of the head that are missing.
 *
 * A writer clears history that all devices have seen, as far as it knows them. For whom it did not
 * know, or had not heard of, the head is scanned again: merging a record twice does no harm.
 */
import { nodeIdFromBytes, type GenerationNumber, type NodeId } from '../format/ids.js'
import { FsError } from '../base/errors.js'
import type { Core } from '../store/core.js'
import { Records } from '../store/records.js'
import { listForeign } from './foreign-listing.js'
import { historyEntryOf, nodeIdBytesOf, nodeRange } from './key-spaces.js'
import { seenEntryOf, seenKeyBytesOf, seenRange } from './key-spaces.js'
import type { NodeEntry, SeenEntry } from './types.js'

/** How far a generation's records have been read. Structured-clonable. */
export interface ForeignCursor {
  /** Bee version up to which they have, or are being, read; 0: nothing was. */
  readonly version: number
  /** While the head is scanned: the last node id that was given; null: the scan is over. */
  readonly scanned: NodeId | null
}

/** The cursor of a generation that nothing is known of. */
export const FOREIGN_START: ForeignCursor = { version: 0, scanned: null }

/** Some records and how far that came. */
export interface ForeignPage {
  readonly records: readonly NodeEntry[]
  /**
   * What this generation says that it has merged of others, as far as that is news. It counts
   * together with all records up to `next.version`: null while more of a scan is to come.
   */
  readonly seen: readonly SeenEntry[] | null
  readonly next: ForeignCursor
  /** Whether there was nothing more to read here when it was read. */
  readonly isComplete: boolean
  /** Whether its device has signed more. */
  readonly isBehind: boolean
}

/** Errors of a block that nobody gives. */
const GONE: ReadonlySet<string> = new Set(['EHOSTUNREACH', 'ETIMEDOUT'])
/** Blocks of history that are read in one go. */
const HISTORY_PAGE = 2048
/** Records of a scan that are read in one go. */
const SCAN_PAGE = 2048
/** Below so many blocks, all of them here, the history is read from the first one on. */
const SCAN_FROM = 4096

/** See the file's head. */
export class ForeignRecords {
  readonly #core: Core
  readonly #records: Records

  /**
   * @param core its db core, open; the caller closes it after `close`
   * @param blobsKey key of its blobs core
   */
  constructor(core: Core, blobsKey: Buffer) {
    this.#core = core
    this.#records = new Records(core, blobsKey)
  }

  /**
   * Up to where the history from a version on can be read without asking a peer. Before it blocks
   * may be missing for ever: a device clears what its newer records replace.
   */
  #readableFrom(version: number): number {
    return this.#core.nextMissing(version)
  }

  /** Whether the block that comes next is nowhere, although others can be had. */
  #isCleared(block: number): boolean {
    const { length } = this.#core
    return block < length && !this.#core.isOffered(block) && this.#core.isOffered(length - 1)
  }

  /**
   * The records that come next.
   * @throws {FsError} EIO; ETIMEDOUT when a scan needs blocks that no peer gives
   */
  async read(cursor: ForeignCursor): Promise<ForeignPage> {
    const { length } = this.#core
    const isNew = cursor.version === 0
    const version = this.#readableFrom(cursor.version)
    const isWhole = version === length && length < SCAN_FROM
    if (cursor.scanned !== null || (isNew && !isWhole)) {
      return this.#scan(isNew ? { version: length, scanned: null } : cursor)
    }
    if (version === cursor.version && this.#isCleared(version)) {
      return this.#scan({ version: length, scanned: null })
    }
    const lt = Math.min(version, cursor.version + HISTORY_PAGE)
    const latest = new Map<NodeId, NodeEntry>()
    const seen = new Map<GenerationNumber, SeenEntry>()
    for await (const change of this.#records.history(cursor.version, lt)) {
      const { space, key, value } = historyEntryOf(change)
      // A node that its own device forgot is known to no other one, or is removed there too.
      if (value === null) continue
      if (space === 'seen') {
        const entry = seenEntryOf(key, value)
        seen.set(entry.generation, entry)
      }
      if (space !== 'node') continue
      const id = nodeIdFromBytes(Buffer.from(key))
      latest.delete(id)
      latest.set(id, { id, record: value })
    }
    const next = { version: Math.max(lt, cursor.version), scanned: null }
    const isComplete = next.version >= version && !this.#isCleared(next.version)
    const isBehind = next.version < length
    return { records: [...latest.values()], seen: [...seen.values()], next, isComplete, isBehind }
  }

  /** As `listForeign`. */
  list(parent: NodeId, name: Buffer | null): Promise<NodeEntry[]> {
    return listForeign({ core: this.#core, records: this.#records }, parent, name)
  }

  /** Closes the bee; not the core. */
  close(): Promise<void> {
    return this.#records.close()
  }

  async #scan(cursor: ForeignCursor): Promise<ForeignPage> {
    try {
      return await this.#scanOn(cursor)
    } catch (error) {
      const isGone = error instanceof FsError && GONE.has(error.code)
      if (!isGone || cursor.scanned === null || cursor.version >= this.#core.length) throw error
      // That version may have been cleared meanwhile: from the beginning, at a newer one.
      const start = { next: FOREIGN_START, isComplete: false, isBehind: true }
      return { records: [], seen: null, ...start }
    }
  }

  async #scanOn({ version, scanned }: ForeignCursor): Promise<ForeignPage> {
    const records: NodeEntry[] = []
    const range = { ...nodeRange(scanned), limit: SCAN_PAGE }
    // The bee reads block by block: what lies behind is asked for meanwhile.
    const view = this.#records.view(version, (block) => this.#core.expect(block, version))
    try {
      for await (const { key, value } of view.scan(range)) {
        records.push({ id: nodeIdFromBytes(nodeIdBytesOf(key)), record: value })
      }
    } finally {
      await view.close()
    }
    const last = records.at(-1)?.id ?? null
    const isOver = records.length < SCAN_PAGE
    const next = { version, scanned: isOver ? null : last }
    const isBehind = !isOver || version < this.#core.length
    const isComplete = isOver && version >= this.#readableFrom(version)
    const seen = isOver ? await this.#seenAt(version) : null
    return { records, seen, next, isComplete, isBehind }
  }

  async #seenAt(version: number): Promise<SeenEntry[]> {
    const seen: SeenEntry[] = []
    for await (const { key, value } of this.#records.scan(seenRange(), version)) {
      seen.push(seenEntryOf(seenKeyBytesOf(key), value))
    }
    return seen
  }
}
