/**
 * Connections with the drive's other devices, and with nobody else.
 *
 * Invariants: a connection that `onConnection` sees belongs to a member (checked in the handshake,
 * when it opens and at each `refresh`); there is at most one with each key; every connection
 * replicates the store.
 */
import type { Clock } from '../base/clock.js'
import { type CloseStack, openInSteps } from '../base/close-stack.js'
import { FsError } from '../base/errors.js'
import type { Logger } from '../base/log.js'
import { hashParts } from '../keys/secrets.js'
import type { Store } from '../store/store.js'
import type { Beacon } from './beacon.js'
import { Hearing } from './hearing.js'
import { Lan } from './lan.js'
import { hexOf, MemberSwarm, Relays } from './member-swarm.js'
import { type PathKind, pathOf } from './path.js'
import { Redial } from './redial.js'
import { openRelay, type RelayServer, tellRelay } from './relay.js'
import HyperDHT from 'hyperdht'
import type Hyperswarm from 'hyperswarm'

/** Most connections; a drive has a few devices. */
const CONNECTION_LIMIT = 64

/** Calls that run at a time; one that is not answered takes many seconds. */
const PARALLEL_CALLS = 16

/** Calls to what beacons named that run at a time. */
const LAN_CALLS = 8

/** A connection on which nothing came for so long is dead, ms; the other end sends every 5 s. */
const SILENCE_MS = 15_000

/**
 * A connection opens for who called before anything came back; nothing in so long: nobody is there,
 * ms. Its end would be noticed after 13 s otherwise.
 */
const FIRST_WORD_MS = 5000

/** How long `close` waits for the goodbyes, ms. */
const CLOSE_MS = 1000

/** An end-to-end encrypted stream to a member; its protocol multiplexer is `userData`. */
export type Connection = HyperDHT.Connection

/** Where a node of the DHT is. */
export type Address = HyperDHT.Address

/** Which networks are used. */
export interface NetworkOptions {
  /** Nodes by which the DHT is entered; `public`: the public ones; []: no DHT. */
  readonly bootstrap: 'public' | readonly Address[]
  /** Whether devices on the local network are looked for by beacons. */
  readonly lan: boolean
  /** Beacons stay on this machine: where the DHT is on it too. Default: false. */
  readonly isLocal?: boolean
  /** A DHT node of the caller's, for tests; it is destroyed by `close`. */
  readonly dht?: HyperDHT
}

/** What a swarm is made of. */
export interface SwarmOptions {
  /** This device's Noise key pair. */
  readonly keyPair: HyperDHT.KeyPair
  /** 32 bytes that all devices of the drive have and nobody else; not announced itself. */
  readonly topic: Buffer
  /** null: no network; nothing is opened. */
  readonly network: NetworkOptions | null
  /** Whether a Noise key is that of a member; asked in each handshake, synchronously. */
  readonly isMember: (noiseKey: Buffer) => boolean
  /** Sees each connection once it replicates; may add channels of its own. */
  readonly onConnection?: (connection: Connection) => void
  /** Told when a connection opened or ended. */
  readonly onPeers?: () => void
  /** Noise keys of members whose devices relay (`cloud`). Default: none. */
  readonly relays?: () => readonly Buffer[]
  /** Whether this device relays for members. */
  readonly isRelay?: boolean
  readonly store: Pick<Store, 'replicate'>
  readonly clock: Pick<Clock, 'monotonicMs' | 'nowMs'>
  readonly log: Logger
}

/** A member that is connected. */
export interface PeerStatus {
  readonly noiseKey: Buffer
  readonly path: PathKind
  /** Absent until it was measured. */
  readonly rttMs?: number
  /** Wall clock. */
  readonly connectedSinceMs: number
}

/**
 * Reads `host:port,host:port`.
 * @throws {FsError} EINVAL
 */
export function parseBootstrap(text: string): Address[] {
  const parts = text.split(',').map((part) => part.trim())
  return parts
    .filter((part) => part !== '')
    .map((part) => {
      const [, host = '', port = ''] = /^([^:\s]+):(\d{1,5})$/.exec(part) ?? []
      const isValid = host !== '' && Number(port) > 0 && Number(port) < 65_536
      if (!isValid) throw new FsError('EINVAL', `"${part}" is no host:port of a DHT node`)
      return { host, port: Number(port) }
    })
}

/**
 * Starts to look for the other devices. Returns at once: connections come when they come.
 * @throws {FsError} whatever opening the sockets throws
 */
export async function openSwarm(options: SwarmOptions): Promise<Swarm> {
  const { network } = options
  if (network === null) return new Swarm(options, null)
  return openInSteps(async (stack) => new Swarm(options, openParts(options, network, stack)))
}

interface Parts {
  readonly dht: HyperDHT
  readonly swarm: MemberSwarm
  readonly relays: Relays
  readonly discovery: Hyperswarm.Discovery
}

function openParts(options: SwarmOptions, network: NetworkOptions, stack: CloseStack): Parts {
  const { keyPair, topic, isMember } = options
  const { bootstrap } = network
  const dht = network.dht ?? new HyperDHT(dhtOptions(bootstrap))
  stack.push(() => dht.destroy({ force: true }))
  // Relays know their clients by it.
  dht.defaultKeyPair = keyPair
  const relays = new Relays()
  const connect = dht.connect.bind(dht)
  dht.connect = (remotePublicKey, connectOptions) => {
    const connection = connect(remotePublicKey, connectOptions)
    relays.note(remotePublicKey, connection)
    return connection
  }
  const limits = { maxPeers: CONNECTION_LIMIT, maxParallel: PARALLEL_CALLS }
  const firewall = (noiseKey: Buffer): boolean => !isMember(noiseKey)
  const swarm = new MemberSwarm({ dht, keyPair, firewall, ...limits }, relays)
  // Hyperswarm remembers whom it refused for ever: without bound, and a later member too.
  swarm.on('ban', (info: Hyperswarm.PeerInfo) => {
    info.ban(false)
    swarm.peers.delete(hexOf(info.publicKey))
  })
  // What is announced is a hash, so that who runs the DHT can not read our beacons.
  const announced = hashParts('pcfs dht topic', [topic])
  const discovery = swarm.join(announced, { server: true, client: true })
  return { dht, swarm, relays, discovery }
}

/**
 * In a private DHT, which is small, each device is a node where others can reach it. That is found
 * out at the start, so that reachable devices need no hole punch: a punch needs four nodes that
 * tell a device how it looks from outside (measured: it fails with three, silently).
 */
export function dhtOptions(bootstrap: NetworkOptions['bootstrap']): HyperDHT.Options {
  return bootstrap === 'public' ? {} : { bootstrap, ephemeral: bootstrap.length === 0 }
}

/** See the file's head. */
export class Swarm {
  readonly #options: SwarmOptions
  readonly #parts: Parts | null
  readonly #lan: Lan | null = null
  readonly #redial: Redial | null = null
  readonly #relay: RelayServer | null = null
  readonly #since = new Map<Connection, number>()
  readonly #hearing: Hearing | null = null
  /** Keys that are being called because of a beacon. */
  readonly #called = new Set<string>()
  #isSuspended = false
  #closing: Promise<void> | null = null

  /** Made by `openSwarm`. */
  constructor(options: SwarmOptions, parts: Parts | null) {
    this.#options = options
    this.#parts = parts
    if (parts === null) return
    const { keyPair, log, network, topic } = options
    const { dht, swarm, discovery } = parts
    swarm.on('connection', (connection: Connection) => {
      this.#accept(connection)
    })
    this.#hearing = new Hearing(options.clock.monotonicMs, (beacon) => {
      this.#onBeacon(beacon)
    })
    this.#redial = new Redial(discovery, () => this.#since.size > 0)
    if (options.isRelay === true) {
      this.#relay = openRelay({ dht, keyPair, isMember: options.isMember, log })
    }
    if (network?.lan === true) {
      this.#lan = new Lan({
        topic,
        noiseKey: keyPair.publicKey,
        port: () => dht.localAddress()?.port ?? null,
        onBeacon: (beacon) => this.#onBeacon(beacon),
        isLocal: network.isLocal === true,
        monotonicMs: options.clock.monotonicMs,
        log
      })
      void this.#startLan(dht)
    }
  }

  /** Members that are connected now. */
  peers(): PeerStatus[] {
    const peers: PeerStatus[] = []
    for (const [connection, connectedSinceMs] of this.#since) {
      const noiseKey = connection.remotePublicKey
      const path = this.#pathOf(connection)
      if (path === null) continue
      const rttMs = connection.rawStream?.rtt ?? 0
      peers.push({ noiseKey, path, connectedSinceMs, ...(rttMs > 0 && { rttMs }) })
    }
    return peers
  }

  /** Membership or roles have changed: drops who is no longer a member, looks for who is new. */
  refresh(): void {
    if (this.#parts === null) return
    const { swarm, relays } = this.#parts
    relays.keep(this.#options.relays?.() ?? [])
    for (const connection of swarm._allConnections) {
      if (!this.#options.isMember(connection.remotePublicKey)) connection.destroy()
    }
    this.#redial?.now()
    this.#lan?.burst()
  }

  /** Ends all connections and opens none until `resume`: before the machine sleeps. */
  async suspend(): Promise<void> {
    if (this.#parts === null || this.#isSuspended || this.#closing !== null) return
    this.#isSuspended = true
    this.#lan?.stop()
    this.#redial?.stop()
    await this.#parts.swarm.suspend()
  }

  /** Looks for the other devices again. */
  async resume(): Promise<void> {
    if (this.#parts === null || !this.#isSuspended || this.#closing !== null) return
    this.#isSuspended = false
    await this.#parts.swarm.resume()
    this.#lan?.start()
    this.#redial?.now()
  }

  /** Says goodbye and closes everything, within seconds whatever the network does. Idempotent. */
  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async #close(): Promise<void> {
    this.#lan?.stop()
    this.#redial?.stop()
    this.#hearing?.close()
    if (this.#parts === null) return
    const { swarm, dht } = this.#parts
    for (const connection of swarm._allConnections) connection.destroy()
    const goodbye = Promise.allSettled([this.#relay?.close(), swarm.destroy()])
    await settledWithin(goodbye, CLOSE_MS)
    await settledWithin(dht.destroy({ force: true }), CLOSE_MS)
  }

  async #startLan(dht: HyperDHT): Promise<void> {
    try {
      // Beacons name the port, which is not known before.
      await dht.bind()
      if (this.#closing === null && !this.#isSuspended) this.#lan?.start()
    } catch (err) {
      this.#options.log.warn({ err }, 'no socket for the network')
    }
  }

  #accept(connection: Connection): void {
    const { isMember, log, store, onConnection, onPeers } = this.#options
    const noiseKey = connection.remotePublicKey
    const peer = hexOf(noiseKey)
    connection.on('error', (err: unknown) => log.debug({ peer, err }, 'a connection has failed'))
    // It may have been revoked between the handshake and now.
    if (!isMember(noiseKey) || this.#closing !== null) {
      connection.destroy()
      return
    }
    connection.setTimeout(SILENCE_MS)
    setTimeout(() => {
      if (connection.rawBytesRead === 0) connection.destroy()
    }, FIRST_WORD_MS).unref()
    this.#since.set(connection, this.#options.clock.nowMs())
    this.#hearing?.add(connection)
    connection.on('close', () => {
      this.#since.delete(connection)
      this.#hearing?.delete(connection)
      log.info({ peer }, 'a device has left')
      if (this.#closing === null && !this.#isSuspended) this.#redial?.now()
      onPeers?.()
    })
    store.replicate(connection)
    tellRelay(connection, this.#relay?.publicKey ?? null, (key) => {
      this.#learnRelay(noiseKey, key)
    })
    log.info({ peer, path: this.#pathOf(connection) }, 'a device is connected')
    onConnection?.(connection)
    onPeers?.()
  }

  #learnRelay(owner: Buffer, relayKey: Buffer): void {
    if (this.#parts === null) return
    const isRelay = this.#options.relays?.().some((key) => key.equals(owner)) === true
    // Devices that could not be reached before may be reached now.
    if (isRelay && this.#parts.relays.learn(owner, relayKey)) this.#redial?.now()
  }

  #pathOf(connection: Connection): PathKind | null {
    const relays = this.#parts?.relays.connectionsFor(connection.remotePublicKey) ?? []
    return pathOf(connection, relays)
  }

  /**
   * Of two devices the one with the greater key calls, so that they do not call each other at once;
   * the other one answers the beacon. A connection over the local network stays, unless it is
   * silent: then one of the two has another address now.
   */
  #onBeacon(beacon: Beacon): boolean {
    const { isMember, keyPair } = this.#options
    const { noiseKey } = beacon
    if (this.#parts === null || this.#isSuspended || !isMember(noiseKey)) return false
    for (const connection of this.#since.keys()) {
      if (!connection.remotePublicKey.equals(noiseKey)) continue
      this.#hearing?.note(beacon)
      const isHeard = this.#hearing?.isSilent(connection) === false
      if (isHeard && this.#pathOf(connection) === 'lan') return false
    }
    if (Buffer.compare(keyPair.publicKey, noiseKey) > 0) this.#callOnLan(this.#parts, beacon)
    return true
  }

  #callOnLan({ dht, swarm }: Parts, beacon: Beacon): void {
    const { noiseKey, host, port } = beacon
    const peer = hexOf(noiseKey)
    if (this.#called.has(peer) || this.#called.size >= LAN_CALLS) return
    this.#called.add(peer)
    const relayAddresses = [{ host, port }]
    const connection = dht.connect(noiseKey, { keyPair: this.#options.keyPair, relayAddresses })
    connection.on('error', (err: unknown) => {
      this.#options.log.debug({ peer, err }, 'a call on the local network has failed')
    })
    connection.on('close', () => this.#called.delete(peer))
    connection.on('open', () => {
      this.#called.delete(peer)
      if (this.#closing === null && !this.#isSuspended) swarm.adopt(connection)
      else connection.destroy()
    })
  }
}

/** Waits for what must not keep a close from ending. */
export async function settledWithin(work: Promise<unknown>, ms: number): Promise<void> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise((resolve) => {
    timer = setTimeout(resolve, ms)
  })
  await Promise.race([work.catch(() => undefined), late])
  clearTimeout(timer)
}
