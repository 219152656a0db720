/**
 * What this device signs its writes with: node ids, dots and stamps, none of them issued twice.
 *
 * Counters are reserved ahead: a reservation is journaled before the numbers below it are used, and
 * a restart goes on at its end. So a counter costs nothing per operation, and a gap after a crash
 * is harmless.
 */
import type { Clock } from '../base/clock.js'
import { FsError } from '../base/errors.js'
import type { Write } from '../format/edit.js'
import { receive, stampFromMs, stampMs, tick, type Stamp } from '../format/hlc.js'
import { DERIVED_SLOT, ROOT_ID, ROOT_INO, inoOf, isDerivedId, sequentialId } from '../format/ids.js'
import { parseNodeId, sequentialParts, splitIno } from '../format/ids.js'
import { toGenerationNumber, type Dot, type GenerationNumber, type NodeId } from '../format/ids.js'
import { dotsIn } from '../format/record-check.js'
import type { NodeRecord } from '../format/record.js'
import type { Change } from './changes.js'
import type { Index } from './index-store.js'

/** Key of the reservation in the index's meta table. */
const RESERVED = 'author'
/** Keys of the slot table: which generation an ino's upper bits mean. */
const SLOT_PREFIX = 'slot:'
/** Keys of derived ids by their inos, which hold only a part of the id. */
const ID_PREFIX = 'id:'
const COUNTERS_AHEAD = 4096
const STAMPS_AHEAD_MS = 10_000

/** Issues ids, dots and stamps for one generation. */
export class Author {
  #nextNode = 1
  #nextDot = 1
  #last: Stamp = 0n
  #reserved = { node: 0, dot: 0, stampMs: 0 }
  readonly #slots = new Map<GenerationNumber, number>()
  readonly #generations = new Map<number, GenerationNumber>()
  /** Derived ids that were introduced and may not be journaled yet. */
  readonly #derived = new Map<number, NodeId>()

  /**
   * @param index read for the last reservation and the slot table
   * @param generation that writes
   * @param clock wall clock for stamps
   */
  constructor(
    private readonly index: Index,
    readonly generation: GenerationNumber,
    private readonly clock: Clock
  ) {
    this.load()
  }

  /** Reads the reservation and the slots again, after recovery has changed the index. */
  load(): void {
    const bytes = this.index.meta(RESERVED)
    if (bytes) {
      this.#nextNode = Math.max(this.#nextNode, bytes.readUIntLE(0, 6))
      this.#nextDot = Math.max(this.#nextDot, bytes.readUIntLE(6, 6))
      const stamp = stampFromMs(bytes.readUIntLE(12, 6))
      if (stamp > this.#last) this.#last = stamp
    }
    for (let slot = 1; slot < DERIVED_SLOT; slot++) {
      const known = this.index.meta(SLOT_PREFIX + slot)
      if (!known) break
      this.#learn(slot, toGenerationNumber(known.readUIntBE(0, 6)))
    }
  }

  /** Raises the counters above what is found in this generation's own records (index rebuild). */
  raise(node: number, dot: number, stamp: Stamp): void {
    this.#nextNode = Math.max(this.#nextNode, node + 1)
    this.#nextDot = Math.max(this.#nextDot, dot + 1)
    if (stamp > this.#last) this.#last = stamp
  }

  /**
   * What must be journaled before the numbers of the next operation are used; usually nothing.
   * @param nodes how many new nodes the operation makes
   * @param dots how many writes it makes, at most
   */
  reserve(nodes: number, dots = 2): Change[] {
    const changes: Change[] = []
    if (!this.#slots.has(this.generation)) changes.push(this.#newSlot(this.generation))
    const { node, dot, stampMs: bound } = this.#reserved
    const nowMs = Math.max(this.clock.nowMs(), stampMs(this.#last))
    if (this.#nextNode + nodes > node || this.#nextDot + dots > dot || nowMs >= bound) {
      this.#reserved = {
        node: this.#nextNode + nodes + COUNTERS_AHEAD,
        dot: this.#nextDot + dots + COUNTERS_AHEAD,
        stampMs: nowMs + STAMPS_AHEAD_MS
      }
      const value = Buffer.alloc(18)
      value.writeUIntLE(this.#reserved.node, 0, 6)
      value.writeUIntLE(this.#reserved.dot, 6, 6)
      value.writeUIntLE(this.#reserved.stampMs, 12, 6)
      changes.push({ kind: 'meta', key: RESERVED, value })
    }
    return changes
  }

  /** The next write: a fresh dot and stamp. Its reservation has been journaled. */
  write(): Write {
    this.#last = tick(this.#last, this.clock.nowMs())
    return {
      generation: this.generation,
      counter: this.#nextDot++,
      hlc: this.#last,
      atNs: this.clock.nowNs()
    }
  }

  /** A new node's id and local inode number. Its reservation has been journaled. */
  newNode(): { readonly id: NodeId; readonly ino: number } {
    const id = sequentialId(this.generation, this.#nextNode++)
    return { id, ino: this.inoOf(id) }
  }

  /** The local inode number of a node. @throws {FsError} EIO when its generation has no slot yet */
  inoOf(id: NodeId): number {
    return inoOf(id, (generation) => {
      const slot = this.#slots.get(generation)
      if (slot === undefined) throw new FsError('EIO', `no slot for generation ${generation}`)
      return slot
    })
  }

  /** The node id of a local inode number. @throws {FsError} EIO when its slot is unknown */
  idOf(ino: number): NodeId {
    if (ino === ROOT_INO) return ROOT_ID
    const { slot, counter } = splitIno(ino)
    if (slot === DERIVED_SLOT) {
      const introduced = this.#derived.get(ino)
      if (introduced !== undefined) return introduced
      const known = this.index.meta(ID_PREFIX + ino)
      if (!known) throw new FsError('EIO', `inode ${ino} is of an unknown conflict copy`)
      return parseNodeId(known.toString('hex'))
    }
    const generation = this.#generations.get(slot)
    if (generation === undefined) throw new FsError('EIO', `inode ${ino} is of an unknown slot`)
    return sequentialId(generation, counter)
  }

  /** The local inode number of a node; null: its generation has no slot yet. */
  knownInoOf(id: NodeId): number | null {
    const parts = sequentialParts(id)
    return parts === null || this.#slots.has(parts.generation) ? this.inoOf(id) : null
  }

  /**
   * What makes `inoOf` and `idOf` work for nodes of any generation, usually nothing. To be
   * journaled before their inos are used.
   */
  introduce(ids: Iterable<NodeId>): Change[] {
    const changes: Change[] = []
    for (const id of ids) {
      const parts = sequentialParts(id)
      if (parts !== null) changes.push(...this.slotFor(parts.generation))
      else if (isDerivedId(id)) {
        const ino = this.inoOf(id)
        const key = ID_PREFIX + ino
        if (this.index.meta(key)) continue
        this.#derived.set(ino, id)
        changes.push({ kind: 'meta', key, value: Buffer.from(id, 'hex') })
      }
    }
    return changes
  }

  /**
   * Takes over a stamp of another device, so that what is written here later is stamped later.
   * @returns ms that the stamp is ahead of this clock beyond the bound; null: it is not
   */
  receive(stamp: Stamp): number | null {
    const { last, offendingAheadMs } = receive(this.#last, stamp, this.clock.nowMs())
    this.#last = last
    return offendingAheadMs
  }

  /** The generations that have a slot, from slot 1 on. */
  get slots(): readonly GenerationNumber[] {
    return [...this.#slots.keys()]
  }

  /**
   * What is wrong with what another device's record says of this one; null: nothing. A counter that
   * was never issued would later be issued as if it were covered.
   */
  flawOf(node: NodeId, record: NodeRecord): string | null {
    const isFuture = (dot: Dot): boolean =>
      dot.generation === this.generation && dot.counter >= this.#nextDot
    const id = sequentialParts(node)
    if (id?.generation === this.generation && id.counter >= this.#nextNode) {
      return 'a node of this device that it never made'
    }
    return dotsIn(record).some(isFuture) ? 'a write of this device that it never made' : null
  }

  /** Gives a generation a slot; the change must be journaled before its inos are used. */
  slotFor(generation: GenerationNumber): Change[] {
    return this.#slots.has(generation) ? [] : [this.#newSlot(generation)]
  }

  #newSlot(generation: GenerationNumber): Change {
    const slot = this.#slots.size + 1
    if (slot >= DERIVED_SLOT) throw new FsError('ENOSPC', 'more generations than there is room for')
    this.#learn(slot, generation)
    const value = Buffer.alloc(6)
    value.writeUIntBE(generation, 0, 6)
    return { kind: 'meta', key: SLOT_PREFIX + slot, value }
  }

  #learn(slot: number, generation: GenerationNumber): void {
    this.#slots.set(generation, slot)
    this.#generations.set(slot, generation)
  }
}
