/**
 * Who is heard: what came over each connection and when, and the last beacon of each peer. A peer
 * that is silent on its connection and was heard by a beacon since has moved, or we have.
 */
import type { Beacon } from './beacon.js'
import type HyperDHT from 'hyperdht'

/** Silence after which a connection is in doubt, ms; the other end sends every 5 s. */
const DOUBT_MS = 6500

/** A beacon older than this says nothing about where its sender is now, ms. */
const BEACON_MS = 20_000

/** How often connections are listened to, ms. */
const LISTEN_MS = 1000

interface Heard {
  readonly bytes: number
  readonly sinceMs: number
}

/** See the file's head. Bounded by the connections, and by members among the beacons' senders. */
export class Hearing {
  readonly #monotonicMs: () => number
  readonly #heard = new Map<HyperDHT.Connection, Heard>()
  readonly #beacons = new Map<string, { readonly beacon: Beacon; readonly atMs: number }>()
  readonly #timer: NodeJS.Timeout

  /** @param onMoved a connected peer is elsewhere now: where its beacon says */
  constructor(monotonicMs: () => number, onMoved: (beacon: Beacon) => void) {
    this.#monotonicMs = monotonicMs
    this.#timer = setInterval(() => {
      for (const connection of this.#heard.keys()) this.#listenTo(connection)
      for (const beacon of this.#moved()) onMoved(beacon)
    }, LISTEN_MS)
    this.#timer.unref()
  }

  /** A connection has opened. */
  add(connection: HyperDHT.Connection): void {
    this.#heard.set(connection, { bytes: -1, sinceMs: this.#monotonicMs() })
  }

  /** A connection has ended. */
  delete(connection: HyperDHT.Connection): void {
    this.#heard.delete(connection)
    this.#beacons.delete(connection.remotePublicKey.toString('hex'))
  }

  /** A beacon of a connected member has come. */
  note(beacon: Beacon): void {
    const atMs = this.#monotonicMs()
    this.#beacons.set(beacon.noiseKey.toString('hex'), { beacon, atMs })
  }

  /** Whether nothing has come over a connection for long. */
  isSilent(connection: HyperDHT.Connection): boolean {
    const heard = this.#heard.get(connection)
    return heard !== undefined && this.#monotonicMs() - heard.sinceMs > DOUBT_MS
  }

  /** Ends listening. */
  close(): void {
    clearInterval(this.#timer)
  }

  #listenTo(connection: HyperDHT.Connection): void {
    const bytes = connection.rawBytesRead
    if (this.#heard.get(connection)?.bytes === bytes) return
    this.#heard.set(connection, { bytes, sinceMs: this.#monotonicMs() })
  }

  *#moved(): Generator<Beacon> {
    const nowMs = this.#monotonicMs()
    for (const [connection, { sinceMs }] of this.#heard) {
      const last = this.#beacons.get(connection.remotePublicKey.toString('hex'))
      if (last === undefined || last.atMs <= sinceMs || nowMs - last.atMs > BEACON_MS) continue
      if (this.isSilent(connection)) yield last.beacon
    }
  }
}
