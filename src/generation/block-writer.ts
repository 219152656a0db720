/**
 * Collects blocks of many files into appends to the blobs core. One append is in flight while the
 * next one's blocks are assembled and sealed; memory is two arenas.
 *
 * Invariant: blocks are appended in the order in which they are put, and an owner is told its core
 * block in that order.
 */
import { BLOCK_BYTES } from '../format/content-map.js'
import type { FaultPoint } from '../base/fault.js'
import type { Appender } from '../store/appender.js'

/**
 * Blocks of one append by bytes: enough to spread the cost of the signature, the WAL write and the
 * hop to RocksDB's thread; more only adds memory.
 */
const BATCH_BLOCKS = 32

/** Small blocks of one append: what RocksDB takes in one write without stalling readers. */
const BATCH_SMALL_BLOCKS = 512

/** Arenas kept for the next writer: two are what one uses. */
const SPARE_LIMIT = 2

/** Told where a block went, when its append has returned. */
export type BlockOwner = (coreBlock: number) => void

interface Batch {
  readonly arena: Buffer
  readonly blocks: Buffer[]
  readonly owners: BlockOwner[]
  usedBytes: number
}

/** See the file's head. For one ingest call; several writers of one core may run at once. */
export class BlockWriter {
  readonly #appender: Appender
  readonly #fault: FaultPoint
  readonly #spare: Buffer[]
  #batch: Batch | null = null
  #flight: Promise<void> = Promise.resolve()

  /** @param spare arenas that earlier writers left; shared by all of a core */
  constructor(appender: Appender, fault: FaultPoint, spare: Buffer[]) {
    this.#appender = appender
    this.#spare = spare
    this.#fault = fault
  }

  /**
   * Room for a block to assemble: `BLOCK_BYTES` that stay the caller's until `put` or the next
   * `room`. Content undefined.
   */
  async room(): Promise<Buffer> {
    const batch = this.#batch
    if (batch !== null && this.#isFull(batch)) await this.#send(batch)
    const current = (this.#batch ??= this.#newBatch())
    const start = current.usedBytes + this.#appender.sealBytes
    return current.arena.subarray(start, start + BLOCK_BYTES)
  }

  /**
   * Takes the first `byteLength` bytes of the last `room`.
   * @param owner told the core block later, at the latest when `flush` resolves
   */
  put(byteLength: number, owner: BlockOwner): void {
    const batch = this.#batch
    if (batch === null) throw new Error('put without room')
    const end = batch.usedBytes + this.#appender.sealBytes + byteLength
    batch.blocks.push(batch.arena.subarray(batch.usedBytes, end))
    batch.owners.push(owner)
    batch.usedBytes = end
  }

  /**
   * Appends blocks that the caller assembled, which are copied; for map leaves.
   * @returns core block of the first, when it is appended
   */
  async append(blocks: readonly Uint8Array[]): Promise<number> {
    const room = Buffer.alloc(this.#appender.sealBytes)
    const first = await this.#appender.append(blocks.map((block) => Buffer.concat([room, block])))
    this.#fault('ingest.blocks')
    return first
  }

  /** Resolves when all that was put is appended and its owners know. */
  async flush(): Promise<void> {
    if (this.#batch !== null) await this.#send(this.#batch)
    await this.#flight
  }

  /** Waits for the append in flight and drops what is not sent; errors were told before. */
  async abandon(): Promise<void> {
    this.#batch = null
    await this.#flight.catch(() => undefined)
  }

  #newBatch(): Batch {
    const arena = this.#spare.pop() ?? Buffer.allocUnsafeSlow(BATCH_BLOCKS * this.#slotBytes)
    return { arena, blocks: [], owners: [], usedBytes: 0 }
  }

  async #send(batch: Batch): Promise<void> {
    this.#batch = null
    const before = this.#flight
    // Sealed at once, which overlaps with the append before; written behind it.
    const flight = batch.blocks.length === 0 ? before : this.#append(batch)
    // Told to whoever awaits it next; here only kept from being an unhandled rejection.
    flight.catch(() => undefined)
    this.#flight = flight
    await before
  }

  async #append(batch: Batch): Promise<void> {
    const first = await this.#appender.append(batch.blocks)
    this.#fault('ingest.blocks')
    batch.owners.forEach((owner, position) => {
      owner(first + position)
    })
    if (this.#spare.length < SPARE_LIMIT) this.#spare.push(batch.arena)
  }

  #isFull(batch: Batch): boolean {
    const room = batch.arena.length - batch.usedBytes
    return room < this.#slotBytes || batch.blocks.length >= BATCH_SMALL_BLOCKS
  }

  get #slotBytes(): number {
    return this.#appender.sealBytes + BLOCK_BYTES
  }
}
