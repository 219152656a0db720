/**
 * A typed Hyperbee: keys and values are bytes, a batch is atomic, a repeated batch appends nothing.
 */
import type { Core } from './core.js'
import { readError, writeError } from './errors.js'
import Hyperbee from 'hyperbee'

/** One change: `value` null deletes. */
export interface RecordPut {
  readonly key: Uint8Array
  readonly value: Uint8Array | null
}

/** A key that is there. */
export interface RecordEntry {
  readonly key: Buffer
  readonly value: Buffer
}

/** A change out of the history. */
export interface RecordChange {
  readonly seq: number
  readonly key: Buffer
  /** null: deleted */
  readonly value: Buffer | null
}

/** Bounds of a scan, bytewise. */
export interface RecordRange {
  readonly gt?: Uint8Array
  readonly gte?: Uint8Array
  readonly lt?: Uint8Array
  readonly limit?: number
}

/**
 * Deadline for a block of the tree that is not on this device. Without it the bee waits for ever
 * for a peer, also where a sweep has cleared history that is asked for.
 */
const TIMEOUT_MS = 30_000

/** A bee over a core of ours; see the file's head. */
export class Records {
  readonly #core: Core
  readonly #bee: Hyperbee

  /**
   * @param core open; the caller closes it after `close`
   * @param contentKey key of the blobs core, named in the bee's header as hyperdrive does
   */
  constructor(core: Core, contentKey: Buffer) {
    this.#core = core
    this.#bee = new Hyperbee(core.session, {
      keyEncoding: 'binary',
      valueEncoding: 'binary',
      extension: false,
      alwaysDuplicate: false,
      metadata: { contentFeed: contentKey }
    })
  }

  /** @throws {FsError} EIO */
  async ready(): Promise<void> {
    await this.#bee.ready()
  }

  /** Length of the core; a head that can be checked out. At least 1. */
  get version(): number {
    return this.#bee.version
  }

  /**
   * Applies changes as one atomic append, in the order given (sorted keys are several times
   * faster). What is there already appends nothing.
   */
  async apply(changes: readonly RecordPut[]): Promise<void> {
    const batch = this.#bee.batch({ timeout: TIMEOUT_MS })
    try {
      for (const { key, value } of changes) {
        if (value === null) await batch.del(key)
        else await batch.put(key, value)
      }
      await batch.flush()
    } catch (cause) {
      await batch.close()
      throw writeError('write records', cause)
    }
  }

  /** The value of a key at the head, or null. */
  async get(key: Uint8Array): Promise<Buffer | null> {
    try {
      return (await this.#bee.get(key, { timeout: TIMEOUT_MS }))?.value ?? null
    } catch (cause) {
      throw this.#error(cause)
    }
  }

  /**
   * Scans keys in ascending order at a version.
   * @param version default: the head when the scan begins
   */
  async *scan(range: RecordRange, version?: number): AsyncGenerator<RecordEntry> {
    const { limit, ...bounds } = range
    const bee = version === undefined ? this.#bee : this.#bee.checkout(version)
    try {
      const stream = bee.createReadStream(bounds, { limit: limit ?? -1, timeout: TIMEOUT_MS })
      for await (const { key, value } of stream) yield { key, value }
    } catch (cause) {
      throw this.#error(cause)
    } finally {
      if (version !== undefined) await bee.close()
    }
  }

  /**
   * The records as a version has them, for several reads; the caller closes it.
   * @param onBlock told of each block of the tree before it is read
   */
  view(version: number, onBlock: (block: number) => void): RecordsView {
    return new RecordsView(this.#bee.checkout(version), onBlock, (cause) => this.#error(cause))
  }

  /** Changes of versions `[gte, lt)`, oldest first. */
  async *history(gte: number, lt: number): AsyncGenerator<RecordChange> {
    if (gte >= lt) return
    try {
      const from = Math.max(1, gte)
      const stream = this.#bee.createHistoryStream({ gte: from, lt, timeout: TIMEOUT_MS })
      for await (const { seq, type, key, value } of stream) {
        yield { seq, key, value: type === 'del' ? null : value }
      }
    } catch (cause) {
      throw this.#error(cause)
    }
  }

  /**
   * Walks the whole tree of a version and tells every block that it needs.
   * @param onBlock called with each block at least once; the header (0) is not among them
   */
  async visit(
    version: number,
    onBlock: (block: number) => void,
    signal?: AbortSignal
  ): Promise<void> {
    const bee = this.#bee.checkout(version)
    try {
      const options = { onseq: onBlock, timeout: TIMEOUT_MS, ...(signal && { signal }) }
      for await (const { seq } of bee.createReadStream({}, options)) onBlock(seq)
    } catch (cause) {
      throw this.#error(cause)
    } finally {
      await bee.close()
    }
  }

  /** Closes the bee and its session of the core. */
  async close(): Promise<void> {
    await this.#bee.close()
  }

  #error(cause: unknown): unknown {
    return readError(this.#core.key, null, cause)
  }
}

/** A version of a bee; made by `Records.view`. */
export class RecordsView {
  readonly #options: { readonly timeout: number; readonly onseq: (block: number) => void }

  constructor(
    private readonly bee: Hyperbee,
    onBlock: (block: number) => void,
    private readonly errorOf: (cause: unknown) => unknown
  ) {
    this.#options = { timeout: TIMEOUT_MS, onseq: onBlock }
  }

  /** The value of a key, or null. */
  async get(key: Uint8Array): Promise<Buffer | null> {
    try {
      return (await this.bee.get(key, this.#options))?.value ?? null
    } catch (cause) {
      throw this.errorOf(cause)
    }
  }

  /** Scans keys in ascending order. */
  async *scan(range: RecordRange): AsyncGenerator<RecordEntry> {
    try {
      const stream = this.bee.createReadStream(range, this.#options)
      for await (const { key, value } of stream) yield { key, value }
    } catch (cause) {
      throw this.errorOf(cause)
    }
  }

  /** Ends it. */
  async close(): Promise<void> {
    await this.bee.close()
  }
}
