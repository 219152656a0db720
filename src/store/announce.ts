/**
 * Holds back what peers are told of a core of ours until the barrier has made it durable. Without
 * this a power loss could take away what a peer has already seen; the next append would then sign
 * something else for the same length, and the core would be forked for ever.
 *
 * Hypercore has no hook for it, so its `Peer` is changed in three places (pinned at 11.39.5; the
 * tests fail when they move):
 *
 * - the length that a sync message names, and the ranges that a range message names, are cut to
 *   what is durable. A peer asks for nothing that was not named to it.
 * - an upgrade proof is made from the head as it was when it became durable: Hypercore signs only
 *   its newest length, and a proof of a shorter one would carry that along.
 * - when the durable length grows, peers are told what they had not been told before.
 *
 * Appends never wait for any of this.
 */
import type Hypercore from 'hypercore'

/**
 * A barrier is asked for when an append stays unannounced this long, ms. Whoever commits asks
 * sooner; this is for a writer that asks for no barrier.
 */
const PATIENCE_MS = 250

type Head = Hypercore.Inner['state']

const heldBack = new WeakMap<Hypercore.Inner, HeldCore>()
const changedPrototypes = new WeakSet()

/** The cores of one store that peers hear of late; see the file's head. */
export class Announcer {
  readonly #cores = new Set<HeldCore>()
  readonly #barrier: () => Promise<void>
  #timer: NodeJS.Timeout | null = null
  #isClosed = false

  /** @param barrier the store's; it calls `mark` */
  constructor(barrier: () => Promise<void>) {
    this.#barrier = barrier
  }

  /** Holds a core back from now on: peers know nothing of it until the next barrier. Idempotent. */
  hold(session: Hypercore): void {
    const { core } = session
    if (heldBack.has(core)) return
    changePrototype(core.replicator.constructor.Peer.prototype)
    const held = new HeldCore(core, () => {
      this.#expect()
    })
    heldBack.set(core, held)
    this.#cores.add(held)
  }

  /**
   * Remembers the heads as they are.
   * @returns to be called once they are durable: tells the peers
   */
  mark(): () => void {
    const marks: { readonly held: HeldCore; readonly head: Head }[] = []
    for (const held of this.#cores) {
      if (held.isClosed) this.#cores.delete(held)
      else if (held.isBehind) marks.push({ held, head: held.head() })
    }
    return () => {
      for (const { held, head } of marks) held.announce(head)
    }
  }

  /** No barrier is asked for any more. */
  close(): void {
    this.#isClosed = true
    if (this.#timer !== null) clearTimeout(this.#timer)
  }

  #expect(): void {
    if (this.#timer !== null || this.#isClosed) return
    this.#timer = setTimeout(() => {
      this.#timer = null
      const isBehind = [...this.#cores].some((held) => held.isBehind)
      // Whoever waits for a barrier of his own hears that it failed; here nobody does.
      if (isBehind) this.#barrier().catch(() => undefined)
    }, PATIENCE_MS)
    this.#timer.unref()
  }
}

class HeldCore {
  readonly #core: Hypercore.Inner
  readonly #expect: () => void
  readonly #guarded = new WeakSet<Hypercore.Peer>()
  #durable: Head | null = null

  constructor(core: Hypercore.Inner, expect: () => void) {
    this.#core = core
    this.#expect = expect
    const { replicator } = core
    const onupgrade = replicator.onupgrade.bind(replicator)
    replicator.onupgrade = () => {
      onupgrade()
      if (replicator.peers.length > 0 && this.isBehind) expect()
    }
  }

  get isClosed(): boolean {
    return this.#core.closed
  }

  get isBehind(): boolean {
    return this.#core.state.length > this.#length
  }

  get #length(): number {
    return this.#durable?.length ?? 0
  }

  /** The present head, fixed: Hypercore replaces its parts and does not change them. */
  head(): Head {
    const { length, byteLength, fork, roots, signature } = this.#core.state
    const fixed = { length, byteLength, fork, roots, signature }
    const head: Head = Object.create(this.#core.state, describe(fixed))
    return head
  }

  announce(head: Head): void {
    const from = this.#length
    if (head.length <= from) return
    this.#durable = head
    const { replicator } = this.#core
    replicator.cork()
    for (const peer of replicator.peers) {
      peer.signalUpgrade()
      peer.broadcastRange(from, head.length - from, false)
    }
    replicator.uncork()
  }

  /** Cuts what a peer is sent. */
  guard(peer: Hypercore.Peer): void {
    if (this.#guarded.has(peer)) return
    this.#guarded.add(peer)
    const { wireSync, wireRange } = peer
    peer.wireSync = {
      send: (message) => {
        if (message.length > this.#length) this.#expect()
        wireSync.send({ ...message, length: Math.min(message.length, this.#length) })
      }
    }
    peer.wireRange = {
      send: (message) => {
        const { start, drop } = message
        const length = drop ? message.length : Math.min(message.length, this.#length - start)
        if (length > 0) wireRange.send({ ...message, length })
      }
    }
  }

  /** The peer as one who sees the durable head; null while there is none. */
  viewOf(peer: Hypercore.Peer): Hypercore.Peer | null {
    if (!this.isBehind) return peer
    if (this.#durable === null) return null
    const core: Hypercore.Inner = Object.create(this.#core, describe({ state: this.#durable }))
    const view: Hypercore.Peer = Object.create(peer, describe({ core }))
    return view
  }
}

function describe(values: Readonly<Record<string, unknown>>): PropertyDescriptorMap {
  return Object.fromEntries(Object.entries(values).map(([name, value]) => [name, { value }]))
}

/** Once per loaded hypercore; cores that are not held back behave as before. */
function changePrototype(prototype: Hypercore.Peer): void {
  if (changedPrototypes.has(prototype)) return
  changedPrototypes.add(prototype)
  const { sendSync, _getProof: getProof } = prototype
  prototype.sendSync = function (this: Hypercore.Peer) {
    // A peer's first message is a sync, so it is guarded before it is told anything.
    heldBack.get(this.core)?.guard(this)
    sendSync.call(this)
  }
  prototype._getProof = async function (this: Hypercore.Peer, batch, message, pushing) {
    const held = message.upgrade === null ? undefined : heldBack.get(this.core)
    const peer = held === undefined ? this : held.viewOf(this)
    // null is what Hypercore itself answers a request with that can not be met.
    return peer === null ? null : getProof.call(peer, batch, message, pushing)
  }
}
