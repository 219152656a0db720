/** A set of bytes of a file as sorted, separate ranges. */
export class ByteRanges {
  /** start, end, start, end …; strictly ascending. */
  #edges: number[]

  /** @param pairs `[start, end, start, end, …]`, ascending and separate */
  constructor(pairs: readonly number[] = []) {
    this.#edges = [...pairs]
  }

  /** Adds `[start, end)`. */
  add(start: number, end: number): void {
    if (end <= start) return
    const edges = this.#edges
    // Appending is nearly all that happens.
    const lastEnd = edges.at(-1) ?? -1
    if (start > lastEnd) {
      edges.push(start, end)
      return
    }
    let from = start
    let to = end
    const before: number[] = []
    const after: number[] = []
    for (let i = 0; i < edges.length; i += 2) {
      const a = edges[i] ?? 0
      const b = edges[i + 1] ?? 0
      if (b < from) before.push(a, b)
      else if (a > to) after.push(a, b)
      else {
        from = Math.min(from, a)
        to = Math.max(to, b)
      }
    }
    this.#edges = [...before, from, to, ...after]
  }

  /** Removes everything at or beyond `end`. */
  cutAt(end: number): void {
    const kept: number[] = []
    for (let i = 0; i < this.#edges.length; i += 2) {
      const a = this.#edges[i] ?? 0
      const b = this.#edges[i + 1] ?? 0
      if (a < end) kept.push(a, Math.min(b, end))
    }
    this.#edges = kept
  }

  /** `[start, end, start, end, …]`, ascending. */
  pairs(): number[] {
    return [...this.#edges]
  }
}
