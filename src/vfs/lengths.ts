/** Numbers of the horizon's book-keeping as bytes. */
import { toGenerationNumber, type GenerationNumber } from '../format/ids.js'

/** Bytes of one number. */
export const U48 = 6

/** u48 each, little endian. */
export function encodeNumbers(numbers: readonly number[]): Buffer {
  const bytes = Buffer.alloc(numbers.length * U48)
  for (const [i, number] of numbers.entries()) bytes.writeUIntLE(number, i * U48, U48)
  return bytes
}

/** @see encodeNumbers */
export function decodeNumbers(bytes: Buffer): number[] {
  const numbers: number[] = []
  for (let at = 0; at + U48 <= bytes.length; at += U48) numbers.push(bytes.readUIntLE(at, U48))
  return numbers
}

/** Generations with lengths, as numbers. */
export function encodePairs(pairs: ReadonlyMap<GenerationNumber, number>): Buffer {
  return encodeNumbers([...pairs].flat())
}

/** @see encodePairs */
export function decodePairs(bytes: Buffer): Map<GenerationNumber, number> {
  const pairs = new Map<GenerationNumber, number>()
  const numbers = decodeNumbers(bytes)
  for (let i = 0; i + 1 < numbers.length; i += 2) {
    pairs.set(toGenerationNumber(numbers[i] ?? 0), numbers[i + 1] ?? 0)
  }
  return pairs
}
