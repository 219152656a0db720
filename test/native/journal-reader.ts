/** Reads a journal segment as FORMAT says, to check what native wrote. */
import { readFileSync } from 'node:fs'
import { loadNative } from '../../src/fuse/native.js'

/** One entry. */
export interface Entry {
  readonly seq: number
  readonly type: number
  readonly payload: Buffer
}

/** A segment. */
export interface Segment {
  readonly segmentId: number
  readonly firstSeq: number
  readonly salt: bigint
  readonly entries: readonly Entry[]
}

/** Reads until the first entry that is not whole, with the checks that a recovery makes. */
export function readSegment(path: string): Segment {
  const bytes = readFileSync(path)
  if (bytes.toString('latin1', 0, 8) !== 'PCFSJRNL') throw new Error('magic')
  if (bytes.readUInt32LE(8) !== 1 || bytes.readUInt32LE(12) !== 64) throw new Error('version')
  const salt = bytes.readBigUInt64LE(32)
  const firstSeq = Number(bytes.readBigUInt64LE(24))
  const seed = loadNative().crc32c(bytes.subarray(32, 40), 0)
  const entries: Entry[] = []
  let at = 64
  while (at + 24 <= bytes.length) {
    const length = bytes.readUInt32LE(at + 4)
    const end = at + ((24 + length + 7) & ~7)
    const seq = Number(bytes.readBigUInt64LE(at + 8))
    if (seq !== firstSeq + entries.length || end > bytes.length) break
    if (loadNative().crc32c(bytes.subarray(at + 4, end), seed) !== bytes.readUInt32LE(at)) break
    const payload = bytes.subarray(at + 24, at + 24 + length)
    entries.push({ seq, type: bytes.readUInt8(at + 16), payload })
    at = end
  }
  return { segmentId: Number(bytes.readBigUInt64LE(16)), firstSeq, salt, entries }
}
