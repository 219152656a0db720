/**
 * Connections for pairing alone, open while an invitation is: under a key pair of its own, which
 * nobody knows before and nobody meets again, and open to everybody, as who pairs is no member yet.
 * The two find each other by the DHT, or by beacons on the local network where there is none.
 */
import type { Clock } from '../base/clock.js'
import { openInSteps } from '../base/close-stack.js'
import type { Logger } from '../base/log.js'
import { newSigningPair } from '../keys/secrets.js'
import type { Beacon } from './beacon.js'
import { Lan } from './lan.js'
import { hexOf, MemberSwarm, Relays } from './member-swarm.js'
import { dhtOptions, settledWithin, type NetworkOptions } from './swarm.js'
import HyperDHT from 'hyperdht'
import type Hyperswarm from 'hyperswarm'

/** Whoever looks for the code's meeting; a few, as more than one is refused anyway. */
const PEER_LIMIT = 8
const PARALLEL_CALLS = 3
const CLOSE_MS = 1000

/** What it is made of. */
export interface PairingSwarmOptions {
  readonly network: NetworkOptions
  readonly clock: Pick<Clock, 'monotonicMs'>
  readonly log: Logger
}

/** See the file's head. */
export class PairingSwarm {
  readonly #swarm: MemberSwarm
  readonly #options: PairingSwarmOptions
  readonly #dht: HyperDHT
  readonly #keyPair: HyperDHT.KeyPair
  readonly #calls = new Set<string>()
  #lan: Lan | null = null
  #isClosed = false

  private constructor(
    options: PairingSwarmOptions,
    parts: { readonly dht: HyperDHT; readonly keyPair: HyperDHT.KeyPair }
  ) {
    this.#options = options
    this.#dht = parts.dht
    this.#keyPair = parts.keyPair
    this.#swarm = new MemberSwarm(
      { ...parts, firewall: () => false, maxPeers: PEER_LIMIT, maxParallel: PARALLEL_CALLS },
      new Relays()
    )
    this.#swarm.on('connection', (connection: HyperDHT.Connection) => {
      connection.on('error', () => connection.destroy())
    })
  }

  /** For the pairing protocol; it stays this object's. */
  get swarm(): Hyperswarm {
    return this.#swarm
  }

  /** Opens the sockets; looks for nobody yet. */
  static open(options: PairingSwarmOptions): Promise<PairingSwarm> {
    return openInSteps(async (stack) => {
      const { network } = options
      const dht = network.dht ?? new HyperDHT(dhtOptions(network.bootstrap))
      stack.push(() => dht.destroy({ force: true }))
      const keyPair = newSigningPair()
      dht.defaultKeyPair = keyPair
      const pairing = new PairingSwarm(options, { dht, keyPair })
      // Beacons name the port, which is not known before.
      await dht.bind()
      return pairing
    })
  }

  /**
   * Looks for the other side on the local network too.
   * @param topic 32 bytes that only the two have
   * @param isCaller the joining side calls; the inviting one only says where it is
   */
  lookOnLan(topic: Buffer, isCaller: boolean): void {
    const { network, clock, log } = this.#options
    if (!network.lan || this.#lan !== null || this.#isClosed) return
    this.#lan = new Lan({
      topic,
      noiseKey: this.#keyPair.publicKey,
      port: () => this.#dht.localAddress()?.port ?? null,
      onBeacon: (beacon) => {
        if (isCaller) this.#call(beacon)
        return !isCaller
      },
      isLocal: network.isLocal === true,
      monotonicMs: clock.monotonicMs,
      log
    })
    this.#lan.start()
  }

  /** Ends all connections, within seconds whatever the network does. Idempotent. */
  async close(): Promise<void> {
    if (this.#isClosed) return
    this.#isClosed = true
    this.#lan?.stop()
    await settledWithin(this.#swarm.destroy(), CLOSE_MS)
    await settledWithin(this.#dht.destroy({ force: true }), CLOSE_MS)
  }

  #call({ noiseKey, host, port }: Beacon): void {
    const peer = hexOf(noiseKey)
    if (this.#isClosed || this.#calls.has(peer) || this.#calls.size >= PARALLEL_CALLS) return
    for (const { remotePublicKey } of this.#swarm.connections) {
      if (remotePublicKey.equals(noiseKey)) return
    }
    this.#calls.add(peer)
    const relayAddresses = [{ host, port }]
    const connection = this.#dht.connect(noiseKey, { keyPair: this.#keyPair, relayAddresses })
    connection.on('error', (err: unknown) => {
      this.#options.log.debug({ err }, 'a call of a pairing device has failed')
    })
    connection.on('close', () => this.#calls.delete(peer))
    connection.on('open', () => {
      this.#calls.delete(peer)
      if (this.#isClosed) connection.destroy()
      else this.#swarm.adopt(connection)
    })
  }
}
