/**
 * A mark: a point in time of the whole drive. Every bee is checked out at the length that the mark
 * has for its generation. FORMAT.md, "Mark".
 */
import { type GenerationNumber, toGenerationNumber } from './ids.js'
import { Reader, Writer } from './bytes.js'
import type { Stamp } from './hlc.js'

const MARK_VERSION = 1
const ENTRY_BYTES = 7

/** What a device knew at one moment. */
export interface Mark {
  readonly stamp: Stamp
  /** Length of each generation's bee. */
  readonly lengths: ReadonlyMap<GenerationNumber, number>
}

/** The canonical bytes of a mark. */
export function encodeMark(mark: Mark): Buffer {
  const writer = new Writer()
  writer.uint(MARK_VERSION)
  writer.uint64(mark.stamp)
  writer.uint(mark.lengths.size)
  for (const [generation, length] of [...mark.lengths].sort(([a], [b]) => a - b)) {
    writer.uint48(generation)
    writer.uint(length)
  }
  return writer.finish()
}

/**
 * A mark from its bytes.
 * @throws {FsError} EIO when malformed
 */
export function decodeMark(bytes: Buffer): Mark {
  const reader = new Reader('mark', bytes)
  const version = reader.uint()
  if (version !== MARK_VERSION) throw reader.error(`version ${version} needs a newer pcfs`)
  const stamp = reader.uint64()
  const lengths = new Map<GenerationNumber, number>()
  for (let left = reader.count(ENTRY_BYTES); left > 0; left--) {
    lengths.set(toGenerationNumber(reader.uint48()), reader.uint())
  }
  reader.done()
  return { stamp, lengths }
}
