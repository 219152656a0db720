/**
 * A core of small blocks that every carrier may read: appended to by its owner, followed by others.
 */
import { FsError } from '../base/errors.js'
import type { Core } from './core.js'
import { writeError } from './errors.js'
import type Hypercore from 'hypercore'

/** A core as far as it is here. */
export interface LogHead {
  readonly fork: number
  readonly length: number
  /** 32 bytes: what a pin binds. */
  readonly treeHash: Buffer
}

/** See the file's head. */
export class Log {
  readonly #core: Core
  readonly #session: Hypercore
  #download: Hypercore.Download | null = null

  /** @param core open and without encryption; closed by `close` */
  constructor(core: Core) {
    this.#core = core
    this.#session = core.session
  }

  /** 32 bytes. */
  get key(): Buffer {
    return this.#core.key
  }

  /** Blocks that its owner has signed, as far as this device has heard. */
  get length(): number {
    return this.#core.length
  }

  /** Whether a block is on this device. */
  has(block: number): boolean {
    return this.#core.has(block)
  }

  /** A block that is on this device, verified; null: it is not. @throws {FsError} EIO */
  get(block: number): Promise<Buffer | null> {
    return this.#core.get(block, { timeoutMs: 0 })
  }

  /**
   * Appends blocks as one atomic write; durable after the store's barrier.
   * @throws {FsError} ENOSPC, EIO, ECANCELED
   */
  async append(blocks: readonly Buffer[]): Promise<void> {
    try {
      await this.#session.append(blocks)
    } catch (cause) {
      throw writeError('append to a log', cause)
    }
  }

  /**
   * Fetches blocks from peers, and says whenever the log has grown or some have come.
   * @param upTo no block from this one on; null: all, also those that are appended later
   * @param onConflict two signed heads disagree; the core is closed then
   */
  follow(upTo: number | null, onChange: () => void, onConflict: () => void): void {
    this.#session.on('append', onChange)
    this.#session.on('download', onChange)
    this.#session.on('conflict', onConflict)
    this.limit(upTo)
  }

  /** Fetches nothing more beyond a block; see `follow`. */
  limit(upTo: number | null): void {
    this.#download?.destroy()
    this.#download = this.#session.download({ start: 0, end: upTo ?? -1 })
  }

  /**
   * The head, or that of its first blocks.
   * @throws {FsError} EIO when it has not so many blocks
   */
  async head(length = this.length): Promise<LogHead> {
    if (length > this.length) throw new FsError('EIO', `a log has no ${length} blocks`)
    return { fork: this.#session.fork, length, treeHash: await this.#session.treeHash(length) }
  }

  /** Ends following and closes the core. */
  async close(): Promise<void> {
    this.#download?.destroy()
    await this.#core.close()
  }
}
