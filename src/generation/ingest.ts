/**
 * Puts one node's frozen content into the blobs core: the blocks that frozen bytes touch are
 * assembled and put to the writer, holes are noted, and the content map is edited in portions.
 */
import { assert } from '../base/assert.js'
import { type BlockEdit, BLOCK_BYTES, type ContentMap, EMPTY_MAP } from '../format/content-map.js'
import { decodeMap } from '../format/map-codec.js'
import { FsError } from '../base/errors.js'
import type { BlockReader } from './block-reader.js'
import type { BlockWriter } from './block-writer.js'
import { type BlockStep, blockSteps, isTouched } from './frozen-blocks.js'
import { bufferOf } from './key-spaces.js'
import { type HoleEdit, MapEditor, PORTION_BLOCKS } from './map-editor.js'
import type { IngestRequest, IngestResult } from './types.js'
import { type Hash, createHash } from 'node:crypto'

/** Content above this many bytes gets no content hash: it would cost a tenth of the ingest. */
const HASH_LIMIT_BYTES = 16 * 1024 * 1024

/** Blocks of the base that are read while earlier ones are assembled. */
const BASES_AHEAD = 8

const ZEROS = Buffer.alloc(BLOCK_BYTES)

/** What an ingest works with. */
export interface IngestTools {
  /** Key of the blobs core. */
  readonly core: Buffer
  readonly reader: BlockReader
  readonly writer: BlockWriter
  readonly signal: AbortSignal | undefined
}

interface PlannedStep {
  readonly step: BlockStep
  /** null: nothing of the base is needed. */
  readonly base: Promise<Buffer | null> | null
}

/**
 * One node's ingest: `assemble`, then the caller flushes the writer (which many files share), then
 * `finish`.
 */
export class FileIngest {
  readonly #request: IngestRequest
  readonly #tools: IngestTools
  readonly #base: ContentMap
  readonly #editor: MapEditor
  readonly #hash: Hash | null
  #edits: BlockEdit[] = []
  #holes: HoleEdit[] = []
  #portionStart = 0
  #appended = 0

  constructor(request: IngestRequest, tools: IngestTools) {
    this.#request = request
    this.#tools = tools
    this.#base = request.base === null ? EMPTY_MAP : decodeMap(bufferOf(request.base))
    this.#editor = new MapEditor(this.#base, tools)
    this.#hash = passesWhole(request) ? createHash('sha256') : null
  }

  /** Puts all blocks to the writer. Edits of long files are applied on the way. */
  async assemble(): Promise<void> {
    const { frozen, size, baseEnd } = this.#request
    await this.#editor.cut(Math.min(baseEnd, size))
    await this.#mendTail()
    const ahead: PlannedStep[] = []
    for (const step of blockSteps(frozen, size)) {
      throwIfAborted(this.#tools.signal)
      ahead.push({ step, base: this.#startBase(step) })
      const first = ahead.length >= BASES_AHEAD ? ahead.shift() : undefined
      if (first !== undefined) await this.#step(first)
    }
    for (const planned of ahead) await this.#step(planned)
  }

  /** Edits the map. To be called after the writer's flush. */
  async finish(): Promise<IngestResult> {
    await this.#applyPortion()
    const { map, superseded } = this.#editor.finish()
    return {
      map,
      superseded,
      appended: this.#appended + this.#editor.leafCount,
      hash: this.#hash?.digest() ?? null
    }
  }

  /**
   * Where the base's end is inside a block that is not frozen and the file goes on behind it, what
   * the base has behind its end must read as zeros: the block is written again, cut.
   */
  async #mendTail(): Promise<void> {
    const { baseEnd, size, frozen } = this.#request
    const block = Math.floor(baseEnd / BLOCK_BYTES)
    const tail = baseEnd % BLOCK_BYTES
    if (tail === 0 || size <= baseEnd || isTouched(frozen, block)) return
    const base = await this.#readBase(block)
    if (base === null || base.length <= tail) return
    const room = await this.#tools.writer.room()
    base.copy(room, 0, 0, tail)
    this.#put(block, tail)
    // Out of the order of what follows, so that it is a portion of its own.
    await this.#applyFlushed()
  }

  /** Begins to read what a step needs of the base; a failure is told when the step's turn comes. */
  #startBase(step: BlockStep): Promise<Buffer | null> | null {
    if (step.type === 'zeros' || step.isWhole) return null
    const reading = this.#readBase(step.block)
    reading.catch(() => undefined)
    return reading
  }

  async #step({ step, base }: PlannedStep): Promise<void> {
    await this.#portionFor(step.type === 'block' ? step.block : step.from)
    if (step.type === 'zeros') this.#frozenZeros(step.from, step.to)
    else await this.#block(step, await base)
  }

  async #block(
    { block, isWhole }: BlockStep & { type: 'block' },
    base: Buffer | null
  ): Promise<void> {
    const { frozen, size } = this.#request
    const start = block * BLOCK_BYTES
    const byteLength = Math.min(BLOCK_BYTES, size - start)
    const room = (await this.#tools.writer.room()).subarray(0, byteLength)
    if (!isWhole) this.#fillBase(room, start, base)
    const copied = frozen.read(start, room)
    if (isWhole) assertCovers(copied, start, start + byteLength)
    this.#hash?.update(room)
    if (isZero(room)) this.#hole(block, block + 1)
    else this.#put(block, byteLength)
  }

  #fillBase(room: Buffer, start: number, base: Buffer | null): void {
    const valid = Math.max(0, Math.min(room.length, this.#request.baseEnd - start))
    const copied = base === null ? 0 : base.copy(room, 0, 0, valid)
    room.fill(0, copied)
  }

  #put(block: number, byteLength: number): void {
    // The edits of this portion, not of the one that is current when the append returns.
    const edits = this.#edits
    this.#appended++
    this.#tools.writer.put(byteLength, (coreBlock) => {
      pushEdit(edits, { fileBlock: block, count: 1, core: this.#tools.core, coreBlock })
    })
  }

  #frozenZeros(from: number, to: number): void {
    if (this.#hash !== null) hashZeros(this.#hash, from, to, this.#request.size)
    this.#hole(from, to)
  }

  #hole(from: number, to: number): void {
    const last = this.#holes.at(-1)
    if (last?.to === from) this.#holes[this.#holes.length - 1] = { from: last.from, to }
    else this.#holes.push({ from, to })
  }

  async #portionFor(block: number): Promise<void> {
    if (block < this.#portionStart + PORTION_BLOCKS) return
    await this.#applyFlushed()
    this.#portionStart = block - (block % PORTION_BLOCKS)
  }

  async #applyFlushed(): Promise<void> {
    await this.#tools.writer.flush()
    await this.#applyPortion()
  }

  async #applyPortion(): Promise<void> {
    const portion = { blocks: this.#edits, holes: this.#holes }
    this.#edits = []
    this.#holes = []
    await this.#editor.apply(portion)
  }

  async #readBase(block: number): Promise<Buffer | null> {
    const { reader, signal } = this.#tools
    const [bytes] = await reader.read(
      this.#base,
      { fileBlock: block, count: 1 },
      signal && { signal }
    )
    return bytes ?? null
  }
}

function passesWhole({ frozen, size }: IngestRequest): boolean {
  if (size > HASH_LIMIT_BYTES) return false
  if (size === 0) return true
  const [first] = frozen.ranges
  return first !== undefined && first.start === 0 && first.end >= size
}

function hashZeros(hash: Hash, from: number, to: number, size: number): void {
  for (let block = from; block < to; block++) {
    hash.update(ZEROS.subarray(0, Math.min(BLOCK_BYTES, size - block * BLOCK_BYTES)))
  }
}

function pushEdit(edits: BlockEdit[], edit: BlockEdit): void {
  const last = edits.at(-1)
  const continues =
    last !== undefined &&
    last.fileBlock + last.count === edit.fileBlock &&
    last.coreBlock + last.count === edit.coreBlock
  if (continues) edits[edits.length - 1] = { ...last, count: last.count + 1 }
  else edits.push(edit)
}

function isZero(bytes: Buffer): boolean {
  return bytes.equals(ZEROS.subarray(0, bytes.length))
}

/** Bytes that were announced as frozen and are not copied would be another file's: never stored. */
function assertCovers(copied: ArrayLike<number>, start: number, end: number): void {
  let covered = start
  for (let i = 0; i + 1 < copied.length && covered < end; i += 2) {
    const from = copied[i] ?? end
    const to = copied[i + 1] ?? end
    if (from <= covered) covered = Math.max(covered, to)
  }
  assert(covered >= end, 'the frozen reader left out frozen bytes')
}

function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted === true) throw new FsError('ECANCELED', 'the ingest was called off')
}
