/**
 * Records of other devices that cannot be used: malformed, of a later version of pcfs, or such as
 * no sound device writes. They are passed over, so that one of them does not stop its generation,
 * and remembered (durably, `refused:GENERATION/NODE`) until a newer record of the node comes that
 * can be used. An alarm names device and node meanwhile.
 */
import type { Alarms } from '../base/alarms.js'
import {
  type GenerationNumber,
  type NodeId,
  parseNodeId,
  toGenerationNumber
} from '../format/ids.js'
import type { Change } from '../union/changes.js'
import type { Index } from '../union/index-store.js'

const REFUSED = 'refused:'
const ALARM = 'RECORD_REFUSED'
/** Most that are remembered of one generation; of more only the alarm tells. */
const MAX_REMEMBERED = 1000
/** Of a longer record only that there was one: the next version of pcfs cannot try it again. */
const MAX_KEPT_BYTES = 65_536

/** A record that was passed over. */
export interface RefusedRecord {
  readonly id: NodeId
  readonly record: Uint8Array
  readonly why: string
}

/** What it works with. */
export interface RefusedParts {
  readonly index: Index
  readonly alarms: Alarms
  readonly deviceName: (generation: GenerationNumber) => string
}

/** See the file's head. */
export class Refused {
  /** How many are remembered, by generation. */
  readonly #counts = new Map<GenerationNumber, number>()

  constructor(private readonly parts: RefusedParts) {}

  /** What is remembered, by generation, to be tried again: this may be a newer pcfs. */
  load(): Map<GenerationNumber, { readonly id: NodeId; readonly record: Buffer }[]> {
    const found = new Map<GenerationNumber, { id: NodeId; record: Buffer }[]>()
    this.#counts.clear()
    for (const { key, value } of this.parts.index.metaRange(REFUSED)) {
      const [number = '', node = ''] = key.slice(REFUSED.length).split('/')
      const generation = toGenerationNumber(Number(number))
      const records = found.get(generation) ?? []
      found.set(generation, records)
      records.push({ id: parseNodeId(node), record: value })
      this.#counts.set(generation, records.length)
    }
    return found
  }

  /** Whether nothing is remembered. */
  get isEmpty(): boolean {
    return [...this.#counts.values()].every((count) => count === 0)
  }

  /**
   * Takes note of what became of a generation's records.
   * @param used ids of those that could be used
   * @returns the changes to be journaled with what was taken in
   */
  note(
    generation: GenerationNumber,
    refused: readonly RefusedRecord[],
    used: Iterable<NodeId>
  ): Change[] {
    const changes: Change[] = []
    let count = this.#counts.get(generation) ?? 0
    const { index } = this.parts
    for (const id of count > 0 ? used : []) {
      const key = keyOf(generation, id)
      if (!index.meta(key)) continue
      changes.push({ kind: 'meta', key, value: null })
      count--
    }
    for (const { id, record } of refused) {
      const key = keyOf(generation, id)
      const isKnown = index.meta(key) !== null
      if (!isKnown && count >= MAX_REMEMBERED) continue
      if (!isKnown) count++
      const value = record.byteLength > MAX_KEPT_BYTES ? Buffer.alloc(0) : Buffer.from(record)
      changes.push({ kind: 'meta', key, value })
    }
    if (changes.length > 0 || refused.length > 0) this.#tell(generation, count, refused.at(-1))
    this.#counts.set(generation, count)
    return changes
  }

  #tell(generation: GenerationNumber, count: number, last: RefusedRecord | undefined): void {
    const { alarms, deviceName } = this.parts
    const name = deviceName(generation)
    if (count === 0) alarms.clear(ALARM, name)
    if (last === undefined) return
    alarms.raise(
      ALARM,
      `${count} of the records that ${name} wrote cannot be used, the last one of node ` +
        `${last.id} (${last.why}): what it did there is not shown here; update pcfs on both`,
      name
    )
  }
}

function keyOf(generation: GenerationNumber, id: NodeId): string {
  return `${REFUSED}${generation}/${id}`
}
