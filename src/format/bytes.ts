/**
 * Writing and reading of numbers and bytes in one pass, on compact-encoding's number format. The
 * reader checks every bound, because what it reads came from a disk, a peer or a bucket.
 */
import c from 'compact-encoding'
import { NODE_ID_BYTES, type NodeId, nodeIdFromBytes } from './ids.js'
import { malformed } from './malformed.js'

/** Greatest length of a number: a tag byte and 64 bits. */
const MAX_NUMBER_BYTES = 9
const SCRATCH_BYTES = 4096
/** A scratch that grew beyond it is not kept for the next. */
const SCRATCH_KEPT = 64 * 1024
const EMPTY = Buffer.alloc(0)
const MAX_U64 = 2n ** 64n - 1n

interface State {
  start: number
  end: number
  buffer: Buffer
}

/** The buffer of the last writer that finished: nearly always there is one writer at a time. */
let spare: Buffer | null = null

function takeScratch(): Buffer {
  const scratch = spare ?? Buffer.allocUnsafeSlow(SCRATCH_BYTES)
  spare = null
  return scratch
}

/** Writes to a buffer that grows. */
export class Writer {
  readonly #state: State

  constructor() {
    const buffer = takeScratch()
    this.#state = { start: 0, end: buffer.length, buffer }
  }

  /** Bytes written so far. */
  get byteLength(): number {
    return this.#state.start
  }

  /** An integer from 0 to 2^53 - 1: 1, 3, 5 or 9 bytes. */
  uint(value: number): void {
    if (!Number.isSafeInteger(value) || value < 0) throw new RangeError(`not a uint: ${value}`)
    this.#reserve(MAX_NUMBER_BYTES)
    c.uint.encode(this.#state, value)
  }

  /** An integer of either sign, zig-zag, magnitude below 2^52. */
  int(value: number): void {
    this.uint(value >= 0 ? value * 2 : -value * 2 - 1)
  }

  /** An unsigned integer to 2^64 - 1, in the same bytes as `uint`. */
  bigUint(value: bigint): void {
    if (value < 0n || value > MAX_U64) throw new RangeError(`not 64 bits: ${value}`)
    if (value <= BigInt(Number.MAX_SAFE_INTEGER)) {
      this.uint(Number(value))
      return
    }
    this.#reserve(MAX_NUMBER_BYTES)
    this.#state.buffer[this.#state.start++] = 0xff
    this.#state.start = this.#state.buffer.writeBigUInt64LE(value, this.#state.start)
  }

  /** A signed 64-bit integer, zig-zag; wraps around, so that a difference of two always fits. */
  bigInt(value: bigint): void {
    const wrapped = BigInt.asIntN(64, value)
    this.bigUint(wrapped >= 0n ? wrapped << 1n : (-wrapped << 1n) - 1n)
  }

  /** 48 bits, big endian. */
  uint48(value: number): void {
    this.#reserve(6)
    this.#state.start = this.#state.buffer.writeUIntBE(value, this.#state.start, 6)
  }

  /** 64 bits, little endian. */
  uint64(value: bigint): void {
    this.#reserve(8)
    this.#state.start = this.#state.buffer.writeBigUInt64LE(value, this.#state.start)
  }

  /** Bytes as they are; the reader has to know how many. */
  raw(bytes: Uint8Array): void {
    this.#reserve(bytes.byteLength)
    this.#state.buffer.set(bytes, this.#state.start)
    this.#state.start += bytes.byteLength
  }

  /** The bytes that hexadecimal digits stand for. */
  hex(digits: string): void {
    this.#reserve(digits.length / 2)
    this.#state.start += this.#state.buffer.write(digits, this.#state.start, 'hex')
  }

  /** A length and that many bytes. */
  bytes(bytes: Uint8Array): void {
    this.uint(bytes.byteLength)
    this.raw(bytes)
  }

  /** What `write` writes, with its length before it. */
  frame(write: () => void): void {
    // One byte is kept for the length; most frames are that short, longer ones are shifted.
    this.#reserve(MAX_NUMBER_BYTES)
    const lengthAt = this.#state.start
    this.#state.start = lengthAt + 1
    write()
    const end = this.#state.start
    const length = end - lengthAt - 1
    const extra = numberBytes(length) - 1
    if (extra > 0) {
      this.#reserve(extra)
      this.#state.buffer.copyWithin(lengthAt + 1 + extra, lengthAt + 1, end)
    }
    this.#state.start = lengthAt
    c.uint.encode(this.#state, length)
    this.#state.start = end + extra
  }

  /** A copy of what was written. Nothing may be written afterwards. */
  finish(): Buffer {
    const { buffer, start } = this.#state
    const bytes = Buffer.from(buffer.subarray(0, start))
    if (buffer.length <= SCRATCH_KEPT) spare = buffer
    this.#state.buffer = EMPTY
    this.#state.end = 0
    return bytes
  }

  #reserve(count: number): void {
    const needed = this.#state.start + count
    if (needed <= this.#state.end) return
    const grown = Buffer.allocUnsafe(Math.max(needed, this.#state.end * 2))
    this.#state.buffer.copy(grown, 0, 0, this.#state.start)
    this.#state.buffer = grown
    this.#state.end = grown.byteLength
  }
}

function numberBytes(value: number): number {
  if (value <= 0xfc) return 1
  if (value <= 0xffff) return 3
  return value <= 0xffffffff ? 5 : MAX_NUMBER_BYTES
}

/** Reads what `Writer` wrote. Every method throws EIO at the end of the bytes. */
export class Reader {
  readonly #what: string
  readonly #state: State

  /**
   * @param what the format's name, for errors
   * @param bytes copied once; what `raw`, `bytes` and `rest` give are views into the copy (a copy
   *   for each took two thirds of the time to read a record)
   */
  constructor(what: string, bytes: Uint8Array) {
    this.#what = what
    this.#state = { start: 0, end: bytes.byteLength, buffer: Buffer.from(bytes) }
  }

  /** Bytes not read yet. */
  get left(): number {
    return this.#state.end - this.#state.start
  }

  /** An error about these bytes, for the caller to throw. */
  error(why: string): Error {
    return malformed(this.#what, why)
  }

  uint(): number {
    this.#needNumber()
    if (this.#state.buffer[this.#state.start] !== 0xff) return c.uint.decode(this.#state)
    const value = Number(this.bigUint())
    if (!Number.isSafeInteger(value)) throw this.error('a number beyond 2^53')
    return value
  }

  /**
   * A `uint` that counts things of at least `minBytes` each, so that it cannot exceed what is
   * left.
   */
  count(minBytes: number): number {
    const value = this.uint()
    if (value * minBytes > this.left) throw this.error('a count beyond its end')
    return value
  }

  int(): number {
    const value = this.uint()
    return value % 2 === 0 ? value / 2 : -(value + 1) / 2
  }

  bigUint(): bigint {
    this.#needNumber()
    if (this.#state.buffer[this.#state.start] !== 0xff) return BigInt(c.uint.decode(this.#state))
    const value = this.#state.buffer.readBigUInt64LE(this.#state.start + 1)
    this.#state.start += MAX_NUMBER_BYTES
    return value
  }

  bigInt(): bigint {
    const value = this.bigUint()
    return (value & 1n) === 0n ? value >> 1n : -((value + 1n) >> 1n)
  }

  uint48(): number {
    return this.#state.buffer.readUIntBE(this.#take(6), 6)
  }

  uint64(): bigint {
    return this.#state.buffer.readBigUInt64LE(this.#take(8))
  }

  /** `count` bytes. */
  raw(count: number): Buffer {
    const start = this.#take(count)
    return this.#state.buffer.subarray(start, start + count)
  }

  /** A node id. */
  nodeId(): NodeId {
    return nodeIdFromBytes(this.#state.buffer, this.#take(NODE_ID_BYTES))
  }

  /** A length and that many bytes. */
  bytes(): Buffer {
    return this.raw(this.uint())
  }

  /** What is left; null when nothing is. */
  rest(): Buffer | null {
    return this.left === 0 ? null : this.raw(this.left)
  }

  /** Reads within a length that comes first; `read` need not read all of it. */
  frame<T>(read: () => T): T {
    const length = this.uint()
    const start = this.#take(length)
    const end = this.#state.end
    this.#state.start = start
    this.#state.end = start + length
    const value = read()
    this.#state.start = this.#state.end
    this.#state.end = end
    return value
  }

  /** @throws {FsError} EIO unless all was read */
  done(): void {
    if (this.left > 0) throw this.error(`${this.left} bytes too many`)
  }

  #needNumber(): void {
    const tag = this.left > 0 ? (this.#state.buffer[this.#state.start] ?? 0) : 0
    const needed = tag <= 0xfc ? 1 : 1 + 2 ** (tag - 0xfc)
    if (needed > this.left) throw this.error('it ends within a number')
  }

  #take(count: number): number {
    if (count > this.left) throw this.error('it ends too early')
    const start = this.#state.start
    this.#state.start += count
    return start
  }
}
