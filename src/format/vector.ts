/**
 * Version vectors, keyed by generation. A generation's own versions of a register always cover one
 * another in order (`edit.ts` asserts it), so that "up to counter n" is exact.
 *
 * In memory a vector is one flat sorted array, [generation, counter, generation, counter, ...]:
 * nearly all have one entry, and a Map costs ten times as much.
 */
import { type Dot, type GenerationNumber, toGenerationNumber } from './ids.js'

/** Flat pairs of generation and counter, sorted by generation; never changed in place. */
export type Vector = readonly number[]

/** The vector that covers nothing. */
export const EMPTY_VECTOR: Vector = Object.freeze([])

/** How two vectors stand to each other. */
export type VectorOrder = 'equal' | 'before' | 'after' | 'concurrent'

/** The counter up to which `vector` covers a generation; 0 for none. */
export function counterOf(vector: Vector, generation: GenerationNumber): number {
  for (let i = 0; i < vector.length; i += 2) {
    if (vector[i] === generation) return vector[i + 1] ?? 0
  }
  return 0
}

/** Whether `vector` covers the write `dot`. */
export function covers(vector: Vector, dot: Dot): boolean {
  return counterOf(vector, dot.generation) >= dot.counter
}

/** The least vector that covers what either covers. */
export function join(a: Vector, b: Vector): Vector {
  if (a.length === 0) return b
  if (b.length === 0) return a
  const joined: number[] = []
  let i = 0
  let j = 0
  while (i < a.length || j < b.length) {
    const left = a[i] ?? Infinity
    const right = b[j] ?? Infinity
    const counter = Math.max(
      left <= right ? (a[i + 1] ?? 0) : 0,
      right <= left ? (b[j + 1] ?? 0) : 0
    )
    joined.push(Math.min(left, right), counter)
    if (left <= right) i += 2
    if (right <= left) j += 2
  }
  return joined
}

/** `vector` with one more write covered. */
export function withDot(vector: Vector, dot: Dot): Vector {
  return join(vector, [dot.generation, dot.counter])
}

/** Whether `a` covers all that `b` covers. */
export function dominates(a: Vector, b: Vector): boolean {
  for (let i = 0; i < b.length; i += 2) {
    const generation = b[i]
    const counter = b[i + 1]
    if (generation === undefined || counter === undefined) break
    if (counterOf(a, toGenerationNumber(generation)) < counter) return false
  }
  return true
}

/** How `a` stands to `b`. */
export function compare(a: Vector, b: Vector): VectorOrder {
  const after = dominates(a, b)
  const before = dominates(b, a)
  if (after && before) return 'equal'
  if (after) return 'after'
  return before ? 'before' : 'concurrent'
}

/** The dots at the edge of a vector: one for each generation in it. */
export function dotsOf(vector: Vector): Dot[] {
  const dots: Dot[] = []
  for (let i = 0; i + 1 < vector.length; i += 2) {
    dots.push({ generation: toGenerationNumber(vector[i] ?? 0), counter: vector[i + 1] ?? 0 })
  }
  return dots
}
