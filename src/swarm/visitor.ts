/**
 * Looks for the peers of one topic that is not the drive's, as a guest: under a key of its own that
 * is forgotten afterwards, calling others and not to be called. Knows nothing of members.
 */
import HyperDHT from 'hyperdht'
import Hyperswarm from 'hyperswarm'
import type { Connection, NetworkOptions } from './swarm.js'

/** Most connections of one visitor. */
const CONNECTION_LIMIT = 16
const PARALLEL_CALLS = 8
/** A connection on which nothing came for so long is dead, ms. */
const SILENCE_MS = 15_000
/** Between searches while nobody is connected, ms. */
const SEARCH_MS = 15_000
/** What a new connection may take to say what it has, ms. */
const HELLO_MS = 3000
/** How long `close` waits for the goodbyes, ms. */
const CLOSE_MS = 1000

/** What a visitor is made of. */
export interface VisitorOptions {
  /** 32 bytes. */
  readonly topic: Buffer
  readonly network: Pick<NetworkOptions, 'bootstrap'>
  readonly onConnection: (connection: Connection) => void
}

/** See the file's head. */
export class Visitor {
  readonly #swarm: Hyperswarm
  readonly #timer: NodeJS.Timeout
  #isSearching = true
  #connectedMs = -Infinity

  /** Begins to search; connections come when they come. */
  constructor({ topic, network, onConnection }: VisitorOptions) {
    const { bootstrap } = network
    const dht = new HyperDHT(
      bootstrap === 'public' ? {} : { bootstrap, ephemeral: bootstrap.length === 0 }
    )
    // Its key pair is a new one.
    this.#swarm = new Hyperswarm({
      dht,
      maxPeers: CONNECTION_LIMIT,
      maxParallel: PARALLEL_CALLS
    })
    this.#swarm.on('connection', (connection: Connection) => {
      // Its end is all that is to be known of it.
      connection.on('error', () => undefined)
      connection.setTimeout(SILENCE_MS)
      this.#connectedMs = performance.now()
      onConnection(connection)
    })
    const discovery = this.#swarm.join(topic, { server: false, client: true })
    void this.#search(this.#swarm.flush())
    this.#timer = setInterval(() => {
      if (this.#swarm.connections.size > 0 || this.#isSearching) return
      void this.#search(discovery.refresh().then(() => this.#swarm.flush()))
    }, SEARCH_MS)
  }

  /** Whether somebody may still be found: a search is under way, or has just found somebody. */
  get isSearching(): boolean {
    return this.#isSearching || performance.now() - this.#connectedMs < HELLO_MS
  }

  /** Ends all connections, within a second or two. */
  async close(): Promise<void> {
    clearInterval(this.#timer)
    const late = new Promise((resolve) => setTimeout(resolve, CLOSE_MS).unref())
    await Promise.race([this.#swarm.destroy().catch(() => undefined), late])
    await this.#swarm.destroy({ force: true }).catch(() => undefined)
  }

  async #search(searching: Promise<unknown>): Promise<void> {
    this.#isSearching = true
    await searching.catch(() => undefined)
    this.#isSearching = false
  }
}
