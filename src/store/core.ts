/**
 * A typed Hypercore session: append, verified read, clear. Errors name core and block.
 */
import { FsError } from '../base/errors.js'
import { readError, writeError } from './errors.js'
import { ReadAhead } from './read-ahead.js'
import { WaitingReads } from './waiting-reads.js'
import Hypercore from 'hypercore'

/** How long a read may wait for a block that is not here, and who may call it off. */
export interface GetOptions {
  readonly signal?: AbortSignal
  /** ms; 0: null at once when the block is not on this device. */
  readonly timeoutMs: number
  /**
   * Blocks from the one read up to this one (not included) will probably be read next: they are
   * fetched ahead from peers once reads follow one another. Default: nothing is fetched ahead.
   */
  readonly aheadTo?: number
}

/** What a connected peer has told of a core. */
export interface PeerHead {
  /** Noise public key. */
  readonly noiseKey: Buffer
  /** Blocks that the peer knows of, signed by the core's writer. */
  readonly length: number
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
  readonly #waiting: WaitingReads
  readonly #ahead: ReadAhead

  /** @param session ready; closed by `close` */
  constructor(session: Hypercore) {
    this.session = session
    this.#waiting = new WaitingReads(session)
    this.#ahead = new ReadAhead(session)
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

  /** Blocks from the first one on that are all on this device. */
  get contiguousLength(): number {
    return this.session.contiguousLength
  }

  /**
   * What each connected peer has told of this core: how far behind it is, or, of a core of ours
   * that a power loss may have rolled back, how far ahead.
   */
  peerHeads(): PeerHead[] {
    return this.session.peers.map((peer) => ({
      noiseKey: peer.remotePublicKey,
      length: peer.remoteLength
    }))
  }

  /**
   * A block, verified and decrypted, from this device or from whichever peer has it; the caller
   * owns the buffer. null only with `timeoutMs` 0.
   * @throws {FsError} EIO naming core and block when it is damaged or was forged; EHOSTUNREACH when
   *   no connected peer has it (2.5 s); ETIMEDOUT when one has it and does not send it in time;
   *   ECANCELED
   */
  async get(block: number, options: GetOptions): Promise<Buffer | null> {
    const { signal, timeoutMs, aheadTo } = options
    if (signal?.aborted === true) throw new FsError('ECANCELED', 'the read was called off')
    if (aheadTo !== undefined) this.#ahead.note(block, aheadTo)
    try {
      if (timeoutMs === 0 || this.has(block)) {
        const bytes = await this.session.get(block, { wait: false })
        if (bytes !== null || timeoutMs === 0) return bytes
      }
      return await this.#waiting.get(block, timeoutMs, signal)
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

  /** A block is about to be read in another way than by `get`; see `GetOptions.aheadTo`. */
  expect(block: number, aheadTo: number): void {
    this.#ahead.note(block, aheadTo)
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

  /** First block at or behind `block` that is not on this device; at most the length. */
  nextMissing(block: number): number {
    const { length } = this
    if (block >= length) return length
    const missing = this.session.core.bitfield.firstUnset(block)
    return missing < 0 ? length : Math.min(missing, length)
  }

  /** Whether a connected peer has said that it has a block. */
  isOffered(block: number): boolean {
    return this.session.peers.some((peer) => peer._remoteHasBlock(block))
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
