/**
 * What a person or a program gets to read: results on stdout, as text or as one line of JSON;
 * progress and errors on stderr.
 */
import { toFailureRecord } from '../control/failure.js'
import type { Progress } from '../control/operations.js'
import { EXIT_CODES } from './exit-codes.js'

/** What takes longer than this shows how far it is. */
const PROGRESS_AFTER_MS = 1000

/**
 * Prints a result.
 * @param asJson one line of JSON instead of the text
 * @param value what `--json` shows
 * @param text what a person reads; may have several lines
 */
export function printResult(asJson: boolean, value: object, text: string): void {
  process.stdout.write(`${asJson ? JSON.stringify(value) : text}\n`)
}

/**
 * Tells of an error, on one line, and sets the exit code.
 * @param error anything that was thrown
 */
export function printError(error: unknown): void {
  const { kind, message } = toFailureRecord(error)
  process.stderr.write(`pcfs: ${message.replaceAll('\n', ' ')}\n`)
  if (process.env['PCFS_LOG'] === 'debug') console.error(error)
  process.exitCode = EXIT_CODES[kind]
}

/** Shows progress on a terminal; on anything else it keeps quiet. */
export class ProgressLine implements Disposable {
  readonly #what: string
  readonly #startedMs = performance.now()
  #isShown = false

  /** @param what is being done, for example "flushing" */
  constructor(what: string) {
    this.#what = what
  }

  /** Draws the line anew, once the operation has proved to be slow. */
  show(progress: Progress): void {
    if (!process.stderr.isTTY || performance.now() - this.#startedMs < PROGRESS_AFTER_MS) return
    const { done, total, unit } = progress
    const amount = unit === 'bytes' ? `${bytes(done)} of ${bytes(total)}` : `${done} of ${total}`
    const suffix = unit === 'bytes' ? '' : ` ${unit}`
    process.stderr.write(`\r\u001B[K${this.#what}: ${amount}${suffix}`)
    this.#isShown = true
  }

  [Symbol.dispose](): void {
    if (this.#isShown) process.stderr.write('\r\u001B[K')
  }
}

const UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB']

/** A number of bytes for a person, for example `1.5 MiB`. */
export function bytes(count: number): string {
  let value = count
  let unit = 0
  while (value >= 1024 && unit < UNITS.length - 1) {
    value /= 1024
    unit++
  }
  return `${unit === 0 || value >= 100 ? Math.round(value) : value.toFixed(1)} ${UNITS[unit] ?? ''}`
}

/** A duration for a person, for example `3 h 20 min`. */
export function duration(seconds: number): string {
  if (seconds < 60) return `${seconds} s`
  const minutes = Math.floor(seconds / 60)
  if (minutes < 60) return `${minutes} min`
  const hours = Math.floor(minutes / 60)
  return hours < 48 ? `${hours} h ${minutes % 60} min` : `${Math.floor(hours / 24)} days`
}
