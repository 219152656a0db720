/**
 * Finds the drive's other devices on the local network without a DHT: beacons by UDP multicast on
 * each interface (`beacon.ts`), sent in a burst at the start and when an interface appears, then
 * every few seconds. Runs always, beside the DHT.
 *
 * One socket receives for all interfaces; each interface has a socket of its own that sends, bound
 * to its address, so that a beacon leaves where it says that it does.
 */
import type { Logger } from '../base/log.js'
import { type Beacon, BEACON_BYTES, beaconKey, openBeacon, sealBeacon } from './beacon.js'
import { randomBytes } from 'node:crypto'
import { createSocket, type RemoteInfo, type Socket } from 'node:dgram'
import { networkInterfaces } from 'node:os'

/** For use inside an organisation (RFC 2365); with TTL 1 it does not leave the link. */
const GROUP = '239.255.112.99'
const PORT = 47_801
const LOOPBACK = '127.0.0.1'

/** Waits between the first beacons, ms; after them `PERIOD_MS`. */
const BURST_MS = [0, 150, 500, 1000, 2000]
const PERIOD_MS = 5000

/** How often the machine's addresses are looked at, ms; a new one begins a burst. */
const WATCH_MS = 2000

/** Most interfaces that are served. */
const INTERFACE_LIMIT = 16

/** Senders whose last beacon is remembered; more than a drive has devices. */
const SENDER_LIMIT = 256

/** Datagrams that are opened per second at most; a flood beyond that costs nothing. */
const OPENED_PER_SECOND = 200

/** An answer is sent to one sender at most this often, ms. */
const ANSWER_MS = 2000

/** What the beacons say of us, and who is told of others. */
export interface LanOptions {
  readonly topic: Buffer
  readonly noiseKey: Buffer
  /** UDP port at which we answer handshakes. */
  readonly port: () => number | null
  /**
   * A device of the drive is at an address.
   * @returns whether to answer it at once, so that it hears of us where multicast goes one way
   */
  readonly onBeacon: (beacon: Beacon) => boolean
  /** Only devices on this machine are looked for: beacons stay on the loopback interface. */
  readonly isLocal?: boolean
  readonly monotonicMs: () => number
  readonly log: Logger
}

interface Sender {
  readonly bootId: Buffer
  readonly count: number
  answeredMs: number
}

/** See the file's head. */
export class Lan {
  readonly #options: LanOptions
  readonly #key: Buffer
  readonly #bootId = randomBytes(8)
  readonly #senders = new Map<string, Sender>()
  /** By IPv4 address. */
  readonly #sockets = new Map<string, Socket>()
  #receiver: Socket | null = null
  #timer: NodeJS.Timeout | null = null
  #watch: NodeJS.Timeout | null = null
  #count = 0
  #burst = 0
  #windowMs = 0
  #openedInWindow = 0
  #isWarned = false

  /** @param options `start` opens the sockets */
  constructor(options: LanOptions) {
    this.#options = options
    this.#key = beaconKey(options.topic)
  }

  /** Begins to send and receive. A network that can not do multicast is reported once. */
  start(): void {
    if (this.#receiver !== null) return
    const receiver = createSocket({ type: 'udp4', reuseAddr: true })
    this.#receiver = receiver
    receiver.on('error', (err) => {
      this.#warn(err)
    })
    receiver.on('message', (bytes, from) => {
      this.#receive(bytes, from)
    })
    receiver.bind(PORT, () => {
      if (this.#receiver !== receiver) return
      this.burst()
      this.#watch = setInterval(() => {
        if (this.#followInterfaces()) this.burst()
      }, WATCH_MS)
      this.#watch.unref()
    })
  }

  /** Sends several beacons soon, to be found quickly. */
  burst(): void {
    if (this.#receiver === null) return
    this.#burst = 0
    this.#schedule()
  }

  /** Closes all sockets; `start` may be called again. */
  stop(): void {
    if (this.#timer !== null) clearTimeout(this.#timer)
    this.#timer = null
    if (this.#watch !== null) clearInterval(this.#watch)
    this.#watch = null
    this.#receiver?.close()
    this.#receiver = null
    for (const socket of this.#sockets.values()) socket.close()
    this.#sockets.clear()
  }

  #schedule(): void {
    if (this.#timer !== null) clearTimeout(this.#timer)
    this.#timer = setTimeout(() => {
      this.#tick()
    }, BURST_MS[this.#burst++] ?? PERIOD_MS)
    this.#timer.unref()
  }

  #tick(): void {
    this.#followInterfaces()
    for (const [host, socket] of this.#sockets) {
      const bytes = this.#seal(host)
      // What an interface can not send now it will send the next time.
      if (bytes !== null) socket.send(bytes, PORT, GROUP, () => undefined)
    }
    this.#schedule()
  }

  #seal(host: string): Buffer | null {
    const port = this.#options.port()
    if (port === null) return null
    const { noiseKey } = this.#options
    const beacon = { noiseKey, host, port, bootId: this.#bootId, count: ++this.#count }
    return sealBeacon(this.#key, beacon)
  }

  /** @returns whether there is a new one */
  #followInterfaces(): boolean {
    let isNew = false
    const hosts = this.#options.isLocal === true ? [LOOPBACK] : ownAddresses()
    for (const [host, socket] of this.#sockets) {
      if (hosts.includes(host)) continue
      socket.close()
      this.#sockets.delete(host)
    }
    for (const host of hosts.slice(0, INTERFACE_LIMIT)) {
      if (this.#sockets.has(host)) continue
      this.#openInterface(host)
      isNew = true
    }
    return isNew
  }

  #openInterface(host: string): void {
    const socket = createSocket({ type: 'udp4' })
    this.#sockets.set(host, socket)
    socket.on('error', (err) => {
      this.#warn(err)
      if (this.#sockets.get(host) === socket) this.#sockets.delete(host)
      socket.close()
    })
    // An answer that a device sends to where our beacon came from.
    socket.on('message', (bytes, from) => {
      this.#receive(bytes, from)
    })
    socket.bind(0, host, () => {
      try {
        socket.setMulticastInterface(host)
        socket.setMulticastTTL(1)
        this.#receiver?.addMembership(GROUP, host)
      } catch (err) {
        // EADDRINUSE: the interface was away, and is still a member.
        if (!isInUse(err)) this.#warn(err)
      }
    })
  }

  #receive(bytes: Buffer, from: RemoteInfo): void {
    if (bytes.length !== BEACON_BYTES || !this.#mayOpen()) return
    const beacon = openBeacon(this.#key, bytes)
    if (beacon === null || beacon.noiseKey.equals(this.#options.noiseKey)) return
    // Also a beacon that was sent on a link where its sender has another address (a bridge).
    if (beacon.host !== from.address) return
    const sender = this.#fresh(beacon)
    if (sender === null || !this.#options.onBeacon(beacon)) return
    const nowMs = this.#options.monotonicMs()
    if (nowMs - sender.answeredMs < ANSWER_MS) return
    sender.answeredMs = nowMs
    this.#answer(from)
  }

  #answer(to: RemoteInfo): void {
    for (const [host, socket] of this.#sockets) {
      const bytes = this.#seal(host)
      if (bytes !== null) socket.send(bytes, to.port, to.address, () => undefined)
    }
  }

  /** null for a beacon that was seen before, or an older one of the same boot. */
  #fresh(beacon: Beacon): Sender | null {
    const name = beacon.noiseKey.toString('hex')
    const known = this.#senders.get(name)
    const isSameBoot = known?.bootId.equals(beacon.bootId) === true
    if (known !== undefined && isSameBoot && beacon.count <= known.count) return null
    this.#senders.delete(name)
    const [oldest] = this.#senders.keys()
    if (this.#senders.size >= SENDER_LIMIT && oldest !== undefined) this.#senders.delete(oldest)
    const answeredMs = known?.answeredMs ?? -ANSWER_MS
    const sender = { bootId: beacon.bootId, count: beacon.count, answeredMs }
    this.#senders.set(name, sender)
    return sender
  }

  #mayOpen(): boolean {
    const nowMs = this.#options.monotonicMs()
    if (nowMs - this.#windowMs >= 1000) {
      this.#windowMs = nowMs
      this.#openedInWindow = 0
    }
    return ++this.#openedInWindow <= OPENED_PER_SECOND
  }

  #warn(err: unknown): void {
    const { log } = this.#options
    if (this.#isWarned) log.debug({ err }, 'a local network can not be searched')
    else log.warn({ err }, 'devices on a local network may not be found without the internet')
    this.#isWarned = true
  }
}

function isInUse(err: unknown): boolean {
  return err instanceof Error && 'code' in err && err.code === 'EADDRINUSE'
}

/** IPv4 addresses of this machine that are on a network. */
function ownAddresses(): string[] {
  const all = Object.values(networkInterfaces()).flatMap((addresses) => addresses ?? [])
  return all
    .filter(({ family, internal }) => family === 'IPv4' && !internal)
    .map(({ address }) => address)
}
