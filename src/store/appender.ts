/**
 * Appends blocks that are encrypted ahead: while one batch is on its way to RocksDB the next one is
 * sealed in place, without the copy and the allocation per block that Hypercore's own encryption
 * makes (measured: a quarter of an ingest's time).
 *
 * Invariants: a block is sealed for the index that it is appended at, or it is not appended
 * (`maxLength` refuses any other place); after a failure everything that was queued behind it fails
 * too, and the next append starts from the core's true length.
 */
import { FsError } from '../base/errors.js'
import { writeError } from './errors.js'
import type Hypercore from 'hypercore'

/** What a store encrypts with; `keys/` has the one that pcfs uses. Buffers are changed in place. */
export interface StoreCipher extends Hypercore.EncryptionProvider {
  /** Bytes in front of each block that are the cipher's; what `padding` returns, always. */
  readonly overheadBytes: number
}

/** See the file's head. The only one that may append to its core. */
export class Appender {
  readonly #session: Hypercore
  readonly #cipher: StoreCipher
  #tail: Promise<unknown> = Promise.resolve()
  /** Index of the next block to be sealed; null: take it from the core. */
  #next: number | null = null
  #queued = 0

  /**
   * @param session writable, without an encryption of its own; closed by `close`
   * @param cipher seals the blocks
   */
  constructor(session: Hypercore, cipher: StoreCipher) {
    this.#session = session
    this.#cipher = cipher
  }

  /** Bytes that a caller leaves free in front of each block. */
  get sealBytes(): number {
    return this.#cipher.overheadBytes
  }

  /**
   * Appends blocks as one atomic write; durable after the store's barrier.
   * @param blocks each with `sealBytes` free in front; encrypted in place before this returns, and
   *   not the caller's until it resolves
   * @returns index of the first
   * @throws {FsError} ENOSPC, EIO, ECANCELED
   */
  append(blocks: readonly Buffer[]): Promise<number> {
    const first = this.#next ?? this.#session.length
    this.#next = first + blocks.length
    this.#queued++
    blocks.forEach((block, position) => {
      this.#cipher.encrypt(first + position, block, this.#session.fork, this.#session)
    })
    const appending = this.#tail.then(() => this.#write(first, blocks))
    // What follows fails by the check of its place; the error itself is this caller's.
    this.#tail = appending.catch(() => undefined)
    return appending
  }

  /** Waits for what is queued and closes the session. */
  async close(): Promise<void> {
    await this.#tail
    await this.#session.close()
  }

  async #write(first: number, blocks: readonly Buffer[]): Promise<number> {
    const maxLength = first + blocks.length
    try {
      if (this.#session.length !== first) throw misplaced()
      const { length } = await this.#session.append(blocks, { maxLength })
      if (length !== maxLength) throw misplaced()
      return first
    } catch (cause) {
      throw writeError('append', cause)
    } finally {
      // Only an empty queue may look at the core's length again: others are sealed already.
      if (--this.#queued === 0) this.#next = null
    }
  }
}

function misplaced(): FsError {
  return new FsError('EIO', 'an append before this one failed: nothing was written')
}
