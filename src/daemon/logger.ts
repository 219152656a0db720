/**
 * The log: one JSON object a line (pino) in the home, bounded: at `MAX_LOG_BYTES` the file becomes
 * `log.1` and a new one begins, so that at most twice as much is kept.
 */
import { closeSync, fstatSync, openSync, renameSync, writeSync } from 'node:fs'
import { pino } from 'pino'
import type { Logger } from '../base/log.js'
import type { LogLevel } from './config.js'

const MAX_LOG_BYTES = 8 * 1024 * 1024

/** An open log. */
export interface LogFile extends Disposable {
  readonly log: Logger
}

/** Appends lines, and starts anew when it has grown to its bound. */
class RotatingFile {
  readonly #path: string
  readonly #maxBytes: number
  #fd: number
  #byteLength: number

  constructor(path: string, maxBytes: number) {
    this.#path = path
    this.#maxBytes = maxBytes
    this.#fd = openSync(path, 'a', 0o600)
    this.#byteLength = fstatSync(this.#fd).size
  }

  /** Synchronous, so that the last words of a dying process are there. */
  write(line: string): void {
    if (this.#byteLength >= this.#maxBytes) this.#rotate()
    try {
      this.#byteLength += writeSync(this.#fd, line)
    } catch {
      // A full disk must not stop the daemon for the sake of its log.
    }
  }

  close(): void {
    closeSync(this.#fd)
  }

  #rotate(): void {
    closeSync(this.#fd)
    renameSync(this.#path, `${this.#path}.1`)
    this.#fd = openSync(this.#path, 'a', 0o600)
    this.#byteLength = 0
  }
}

/**
 * Opens the log of a home.
 * @param path the file `log`
 * @param level what is written
 * @param maxBytes bound of one file
 */
export function openLog(path: string, level: LogLevel, maxBytes = MAX_LOG_BYTES): LogFile {
  const file = new RotatingFile(path, maxBytes)
  const log = pino({ level, base: { pid: process.pid } }, file)
  return { log, [Symbol.dispose]: () => file.close() }
}
