/**
 * A typed Hypercore session: append, verified read, clear. Errors name core and block.
 */
import { FsError } from '../base/errors.js'
import { readError, writeError } from './errors.js'
import Hypercore from 'hypercore'

/** How long a read may wait for a block that is not here, and who may call it off. */
export interface GetOptions {
  readonly signal?: AbortSignal
  /** ms; 0: null at once when the block is not on this device. */
  readonly timeoutMs: number
}

/** Merkle nodes read in one go by `storedBytes`. */
const SIZES_AT_ONCE = 1024

/** Pairs of public and secret key; the secret one stays in memory. */
export type CoreKeyPair = Hypercore.KeyPair

/**
 * The key of the core that one public key signs: what a drive, generation or group is named by.
 * @param publicKey Ed25519, 32 bytes
 */
export function coreKey(publicKey: Buffer): Buffer {
  return Hypercore.key(manifestOf(publicKey))
}

/** The manifest behind `coreKey`. */
export function manifestOf(publicKey: Buffer): Hypercore.Manifest {
  return { version: 1, signers: [{ publicKey }] }
}

/** A core of the store, made by `Store.openCore`. */
export class Core {
  /** The session underneath; for `store/` only. */
  readonly session: Hypercore

  /** @param session ready; closed by `close` */
  constructor(session: Hypercore) {
    this.session = session
  }

  /** 32 bytes. */
  get key(): Buffer {
    return this.session.key
  }

  /** Blocks, cleared ones included. */
  get length(): number {
    return this.session.length
  }

  /** Bytes as stored, cleared blocks and cipher overhead included. */
  get byteLength(): number {
    return this.session.state.byteLength
  }

  /**
   * A block, verified and decrypted; the caller owns the buffer. null only with `timeoutMs` 0.
   * @throws {FsError} EIO naming core and block, ETIMEDOUT, ECANCELED
   */
  async get(block: number, options: GetOptions): Promise<Buffer | null> {
    const { signal, timeoutMs } = options
    throwIfAborted(signal)
    // The timer of a request that no peer answers is cheap; a read that is called off leaves it.
    const reading = this.session.get(
      block,
      timeoutMs === 0 ? { wait: false } : { timeout: timeoutMs }
    )
    try {
      return signal === undefined ? await reading : await raceAbort(reading, signal)
    } catch (cause) {
      throw readError(this.key, block, cause)
    }
  }

  /**
   * Checks that a block that is here could be sent to a peer with its proof.
   * @throws {FsError} EIO when Merkle nodes are missing
   */
  async prove(block: number): Promise<void> {
    const upgrade = { start: 0, length: this.length }
    try {
      await this.session.proof({ block: { index: block, nodes: 0 }, upgrade })
    } catch (cause) {
      throw readError(this.key, block, cause)
    }
  }

  /** Whether a block is on this device. */
  has(block: number): boolean {
    return this.session.core.bitfield.get(block)
  }

  /** How many blocks of `[start, end)` are on this device. */
  count(start: number, end: number): Promise<number> {
    return this.session.count(start, end)
  }

  /** First block at or behind `block` that is on this device, or -1. */
  nextHeld(block: number): number {
    return this.session.core.bitfield.firstSet(block)
  }

  /** Bytes of the blocks of `[start, end)` that are on this device, as stored. */
  async storedBytes(start: number, end: number): Promise<number> {
    let bytes = 0
    for (let from = start; from < end; from += SIZES_AT_ONCE) {
      const reader = this.session.state.storage.read()
      const nodes = []
      for (let block = from; block < Math.min(end, from + SIZES_AT_ONCE); block++) {
        if (this.has(block)) nodes.push(reader.getTreeNode(2 * block))
      }
      reader.tryFlush()
      for (const node of await Promise.all(nodes)) bytes += node?.size ?? 0
    }
    return bytes
  }

  /**
   * Bytes before a block that is on this device, as stored: the sizes of the whole subtrees to its
   * left, all of which its proof needs, so that they outlive any clear.
   */
  async byteOffset(block: number): Promise<number> {
    const reader = this.session.state.storage.read()
    const nodes = []
    let start = 0
    for (let width = 2 ** 52; width >= 1; width /= 2) {
      if (start + width > block) continue
      nodes.push(reader.getTreeNode(2 * start + width - 1))
      start += width
    }
    reader.tryFlush()
    let bytes = 0
    for (const node of await Promise.all(nodes)) {
      if (node === null) throw readError(this.key, block, new Error('a Merkle node is missing'))
      bytes += node.size
    }
    return bytes
  }

  /** A small value kept beside the core, not replicated; null: never set. */
  async note(name: string): Promise<Buffer | null> {
    return this.session.getUserData(name)
  }

  /** Sets a note; atomic, durable after the store's barrier. */
  async setNote(name: string, value: Buffer): Promise<void> {
    try {
      await this.session.setUserData(name, value)
    } catch (cause) {
      throw writeError('write a note', cause)
    }
  }

  /** Drops the local copy of `[start, end)`; repeating it does nothing. */
  async clear(start: number, end: number): Promise<void> {
    try {
      await this.session.clear(start, end)
    } catch (cause) {
      throw writeError('clear blocks', cause)
    }
  }

  /** Closes the session. */
  async close(): Promise<void> {
    await this.session.close()
  }
}

function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted === true) throw canceled()
}

function canceled(): FsError {
  return new FsError('ECANCELED', 'the read was called off')
}

async function raceAbort<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise<T>((resolve, reject) => {
    const abort = (): void => {
      reject(canceled())
    }
    signal.addEventListener('abort', abort, { once: true })
    work.then(resolve, reject).finally(() => {
      signal.removeEventListener('abort', abort)
    })
  })
}
