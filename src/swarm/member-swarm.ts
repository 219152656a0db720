/**
 * Hyperswarm with what we need of it beyond its options: a relay that is chosen by the peer that is
 * called, and connections that something else has found (`lan.ts`).
 */
import HyperDHT from 'hyperdht'
import Hyperswarm from 'hyperswarm'

/** Keys by hex, for sets and maps. */
export function hexOf(key: Buffer): string {
  return key.toString('hex')
}

/** Relays that are known, and the connections to them. */
export class Relays {
  /** Owner's Noise key in hex -> key of its relay. */
  readonly #keys = new Map<string, Buffer>()
  /** Connections to relays -> the owner in hex. */
  readonly #open = new Map<HyperDHT.Connection, string>()
  #turn = 0

  /** @returns whether that is news */
  learn(owner: Buffer, relayKey: Buffer): boolean {
    const known = this.#keys.get(hexOf(owner))
    this.#keys.set(hexOf(owner), relayKey)
    return known?.equals(relayKey) !== true
  }

  /** Keeps only relays whose owners are in the list. */
  keep(owners: readonly Buffer[]): void {
    const kept = new Set(owners.map(hexOf))
    for (const owner of this.#keys.keys()) if (!kept.has(owner)) this.#keys.delete(owner)
  }

  /** A relay through which to call a peer, in turn; null when there is none but its own. */
  choose(peer: Buffer): Buffer | null {
    const others = [...this.#keys].filter(([owner]) => owner !== hexOf(peer))
    return others.length === 0 ? null : (others[this.#turn++ % others.length]?.[1] ?? null)
  }

  /** Connections to relays other than the peer's own. */
  *connectionsFor(peer: Buffer): Generator<HyperDHT.Connection> {
    for (const [connection, owner] of this.#open) if (owner !== hexOf(peer)) yield connection
  }

  /** Sees a connection that hyperdht makes. */
  note(publicKey: Buffer, connection: HyperDHT.Connection): void {
    for (const [owner, key] of this.#keys) {
      if (!key.equals(publicKey)) continue
      this.#open.set(connection, owner)
      connection.on('close', () => this.#open.delete(connection))
    }
  }
}

/** See the file's head. */
export class MemberSwarm extends Hyperswarm {
  readonly #relays: Relays
  /** The peer that is being called, while `_connect` runs. */
  #called: Buffer | null = null

  constructor(options: Omit<Hyperswarm.Options, 'relayThrough'>, relays: Relays) {
    super({ ...options, relayThrough: () => null })
    this.#relays = relays
  }

  override _connect(peerInfo: Hyperswarm.PeerInfo, isQueued: boolean): void {
    this.#called = peerInfo.publicKey
    try {
      super._connect(peerInfo, isQueued)
    } finally {
      this.#called = null
    }
  }

  /**
   * The caller names a relay at once, not after a hole punch has failed (measured: 0.15 s instead
   * of 17.6 s); the direct way is tried meanwhile and taken when it opens. One side is enough, so a
   * called one names none.
   */
  override _maybeRelayConnection(_isForced: boolean): Buffer | null {
    return this.#called === null ? null : this.#relays.choose(this.#called)
  }

  /** Takes over a connection that was made outside; of two with one peer it keeps one. */
  adopt(connection: HyperDHT.Connection): void {
    this._handleServerConnection(connection)
  }
}
