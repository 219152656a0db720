/**
 * A core of another device that is followed: what is fetched of it, and news of its growth.
 */
import type { Core } from './core.js'
import type Hypercore from 'hypercore'

/**
 * Least and most requests on their way to one peer. Hypercore's own least is 16, which with blocks
 * of records and a round trip of 20 ms makes 800 blocks a second; content fills 50 MB/s of such a
 * link with it, and 100 MB/s with 32 (and a block that is read waits behind them for 20 ms).
 *
 * Records come in any order: asked for one after the other each needs its proof's whole path
 * (measured: 4,300 blocks a second instead of 9,400). Content comes in order, so that it lies on
 * the disk as its writer's does, and goes file by file when it is cleared.
 */
const FETCHING = {
  small: { requests: [256, 1024], linear: false },
  large: { requests: [32, 512], linear: true }
} as const

/** News is told at once, then at most this often, ms. */
const NEWS_MS = 5

/** How a core is followed. */
export interface ReplicaOptions {
  /** Records are small, content is large. */
  readonly blocks: 'small' | 'large'
  /** Whether all blocks are fetched, now and as it grows. */
  readonly isFull: boolean
  /** The core has grown, or blocks have come. */
  readonly onChange: () => void
  /** Two signed heads disagree: the core has been closed. */
  readonly onConflict: () => void
}

/** How far a followed core is. */
export interface ReplicaProgress {
  readonly key: Buffer
  /** Blocks that its writer has announced and signed, as far as this device has heard. */
  readonly length: number
  /** Blocks from the first one on that are all here. */
  readonly contiguousLength: number
  /** Blocks that are here. */
  readonly heldBlocks: number
  /** Bytes as stored, as far as this device has heard. */
  readonly byteLength: number
  /** Peers that replicate it now. */
  readonly peers: number
}

/** A run of blocks that is being fetched. */
export interface Fetching {
  /** Resolves when all are here, false when it was stopped. */
  readonly done: Promise<boolean>
  /** Fetches no more; what has come stays. */
  stop(): void
}

/** See the file's head. */
export class Replica {
  /** Readable; closed by `close`. */
  readonly core: Core
  readonly #session: Hypercore
  readonly #onChange: () => void
  readonly #isLinear: boolean
  #download: Hypercore.Download | null = null
  #newsTimer: NodeJS.Timeout | null = null
  #hasNews = false
  #isClosed = false

  /** @param core open; its owner is now the replica */
  constructor(core: Core, options: ReplicaOptions) {
    this.core = core
    this.#session = core.session
    this.#onChange = options.onChange
    const { linear, requests } = FETCHING[options.blocks]
    const [least, most] = requests
    this.#isLinear = linear
    this.#session.core.replicator.setInflightRange(least, most)
    const tell = (): void => {
      this.#tell()
    }
    this.#session.on('append', tell)
    this.#session.on('download', tell)
    this.#session.on('conflict', () => {
      this.#stop()
      options.onConflict()
    })
    this.setFull(options.isFull)
  }

  /** Whether all blocks are fetched. */
  get isFull(): boolean {
    return this.#download !== null
  }

  /** Begins or ends to fetch all blocks. */
  setFull(isFull: boolean): void {
    if (isFull === this.isFull || this.#isClosed) return
    this.#download?.destroy()
    const all = { start: 0, end: -1, linear: this.#isLinear }
    this.#download = isFull ? this.#session.download(all) : null
  }

  /** Fetches the blocks of `[start, end)`: what is pinned. */
  fetch(start: number, end: number): Fetching {
    const download = this.#session.download({ start, end, linear: true })
    return {
      done: download.done().then((isDone) => isDone === true),
      stop: () => {
        download.destroy()
      }
    }
  }

  /** See `ReplicaProgress`. */
  async progress(): Promise<ReplicaProgress> {
    const { key, length, byteLength, contiguousLength } = this.core
    const heldBlocks = length === 0 ? 0 : await this.core.count(0, length)
    const peers = this.#session.peers.length
    return { key, length, byteLength, contiguousLength, heldBlocks, peers }
  }

  /** Ends fetching and news, and closes the core. Idempotent. */
  async close(): Promise<void> {
    this.#stop()
    await this.core.close()
  }

  #stop(): void {
    this.#isClosed = true
    if (this.#newsTimer !== null) clearTimeout(this.#newsTimer)
    this.#download?.destroy()
    this.#download = null
  }

  /** At once where nothing was told lately; what follows is told together. */
  #tell(): void {
    this.#hasNews = true
    if (this.#newsTimer !== null || this.#isClosed) return
    this.#newsTimer = setTimeout(() => {
      this.#newsTimer = null
      if (this.#hasNews) this.#tellNow()
    }, NEWS_MS)
    this.#tellNow()
  }

  #tellNow(): void {
    this.#hasNews = false
    this.#onChange()
  }
}
