/**
 * What goes through the control socket: one JSON object a line, in both directions.
 *
 *     → {"id":1,"op":"flush","args":{"remote":false}}
 *     ← {"id":1,"progress":{"done":1,"total":2,"unit":"bytes"}}      any number of times
 *     ← {"id":1,"ok":{}}            or  {"id":1,"error":{"kind":…,"code":…,"message":…}}
 *
 * An asker that closes the connection gives up what it asked for.
 */
import { Failure, type FailureRecord } from './failure.js'
import type { Progress } from './operations.js'

/** A longer request ends the connection. */
export const MAX_REQUEST_BYTES = 64 * 1024
/** A longer reply is a failure at the asker. */
export const MAX_REPLY_BYTES = 4 * 1024 * 1024

/** One message as a line. */
export function encodeLine(message: object): Buffer {
  return Buffer.from(`${JSON.stringify(message)}\n`)
}

/** A message to the daemon, before anything of it was checked. */
export interface Request {
  readonly id?: unknown
  readonly op?: unknown
  readonly args?: unknown
}

/** A message from the daemon. */
export interface Reply<T> {
  readonly ok?: T
  readonly error?: FailureRecord
  readonly progress?: Progress
}

/**
 * Cuts a byte stream into lines of JSON, never holding more than its bound. That a line is an
 * object is checked; `T` says what the other side sends, and is only as true as that side is.
 */
export class LineReader<T extends object> {
  readonly #maxBytes: number
  #pending: Buffer[] = []
  #pendingBytes = 0

  /** @param maxBytes longest line taken, without its end */
  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes
  }

  /**
   * Takes the next piece of the stream.
   * @param chunk copied when it is kept
   * @returns the objects that are complete now
   * @throws {Failure} when a line is too long or no JSON object; the stream is of no more use
   */
  push(chunk: Buffer): T[] {
    const found: T[] = []
    let rest = chunk
    for (let end = rest.indexOf(10); end >= 0; end = rest.indexOf(10)) {
      this.#keep(rest.subarray(0, end))
      found.push(this.#parse(Buffer.concat(this.#pending).toString()))
      this.#pending = []
      this.#pendingBytes = 0
      rest = rest.subarray(end + 1)
    }
    if (rest.length > 0) this.#keep(Buffer.from(rest))
    return found
  }

  #keep(piece: Buffer): void {
    this.#pendingBytes += piece.length
    if (this.#pendingBytes > this.#maxBytes) {
      throw new Failure('failed', `a message is longer than ${this.#maxBytes} bytes`, {
        code: 'EMSGSIZE'
      })
    }
    this.#pending.push(piece)
  }

  #parse(text: string): T {
    try {
      const value: T | null = JSON.parse(text)
      if (typeof value === 'object' && value !== null) return value
    } catch (error) {
      throw new Failure('failed', 'a message is not JSON', { code: 'EPROTO', cause: error })
    }
    throw new Failure('failed', 'a message is not a JSON object', { code: 'EPROTO' })
  }
}
