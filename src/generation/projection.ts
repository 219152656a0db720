/**
 * The plain projection: a second bee in the form of a stock hyperdrive, whose header names the
 * generation's blobs core, so that a stock `hyperdrive` given the keys lists and reads this
 * device's files at their merged paths. It is a convenience for the day when pcfs is not at hand:
 * behind by design, written at low priority, never replicated, and disposable.
 *
 * A hyperdrive entry names one contiguous range of blocks, so it shows files whose content is that,
 * in this device's blobs core: files written as a whole. Others (edited in place, sparse, or partly
 * in another device's core) are left out until they are.
 */
import { assert } from '../base/assert.js'
import { FsError } from '../base/errors.js'
import { type ContentMap, blocksOf } from '../format/content-map.js'
import { decodeMap } from '../format/map-codec.js'
import { CIPHER_OVERHEAD_BYTES } from '../keys/block-cipher.js'
import type { Keyring } from '../keys/keyring.js'
import type { Core } from '../store/core.js'
import { type RecordPut, Records } from '../store/records.js'
import type { Store } from '../store/store.js'
import { ClearedCore } from './cleared-core.js'

/** Prefix of hyperdrive's own keys: its sub-encoder `files`. */
const FILES = 'files\0'

/** Most paths of one update. */
const PROJECTION_LIMIT = 5000

/** What is at a path. */
export type ProjectedEntry =
  | {
      readonly type: 'file'
      /** Encoded content map. */
      readonly map: Uint8Array
      readonly size: number
      readonly isExecutable: boolean
    }
  | { readonly type: 'link'; readonly target: string }

/** A path of the merged tree: its names from the top, bytes as stored. */
export interface ProjectionChange {
  readonly path: readonly Uint8Array[]
  /** null: nothing is there any more. */
  readonly entry: ProjectedEntry | null
}

/** A hyperdrive entry's range of the blobs core. */
interface BlobRange {
  readonly byteOffset: number
  readonly blockOffset: number
  readonly blockLength: number
  readonly byteLength: number
}

/** See the file's head. */
export class Projection {
  readonly #core: Core
  readonly #blobs: Core
  readonly #cleared: ClearedCore
  readonly #records: Records

  private constructor(core: Core, blobs: Core, cleared: ClearedCore) {
    this.#core = core
    this.#blobs = blobs
    this.#cleared = cleared
    this.#records = new Records(core, blobs.key)
  }

  /** Opens the projection of the keyring's generation, making it the first time. */
  static async open(
    store: Store,
    keyring: Pick<Keyring, 'blobs' | 'projection'>
  ): Promise<Projection> {
    const core = await store.openCore({ keyPair: keyring.projection })
    const blobs = await store.openCore({ keyPair: keyring.blobs })
    const projection = new Projection(core, blobs, await ClearedCore.open(core))
    await projection.#records.ready()
    return projection
  }

  /** Key of the projection's core: what a stock hyperdrive is opened with. */
  get key(): Buffer {
    return this.#core.key
  }

  /**
   * Brings paths up to date as one atomic batch; repeating it changes nothing.
   * @param changes at most `PROJECTION_LIMIT`, each path once
   * @returns how many files could not be shown and were left out (or taken out)
   */
  async update(changes: readonly ProjectionChange[]): Promise<{ readonly omitted: number }> {
    assert(changes.length <= PROJECTION_LIMIT, 'an update beyond its limit')
    const puts: RecordPut[] = []
    let omitted = 0
    for (const { path, entry } of changes) {
      const value = entry === null ? null : await this.#valueOf(entry)
      if (entry !== null && value === null) omitted++
      puts.push({ key: Buffer.from(FILES + projectedPath(path)), value })
    }
    await this.#records.apply(puts.sort((a, b) => Buffer.compare(a.key, b.key)))
    if (await this.#cleared.isSweepDue(this.#records.version)) {
      await this.#cleared.sweep(this.#records, this.#records.version)
    }
    return { omitted }
  }

  /**
   * Takes out every path below a path, not the path itself. May be repeated.
   * @throws {FsError} ECANCELED when aborted
   */
  async removeBelow(path: readonly Uint8Array[], signal?: AbortSignal): Promise<void> {
    const prefix = FILES + projectedPath(path)
    // '0' is the character behind '/'.
    const range = { gte: Buffer.from(`${prefix}/`), lt: Buffer.from(`${prefix}0`) }
    for (;;) {
      if (signal?.aborted === true) throw new FsError('ECANCELED', 'the projection was stopped')
      const puts: RecordPut[] = []
      for await (const { key } of this.#records.scan({ ...range, limit: PROJECTION_LIMIT })) {
        puts.push({ key: Buffer.from(key), value: null })
      }
      if (puts.length === 0) return
      await this.#records.apply(puts)
    }
  }

  /** Closes its cores; the store stays open. */
  async close(): Promise<void> {
    await this.#records.close()
    await this.#core.close()
    await this.#blobs.close()
  }

  async #valueOf(entry: ProjectedEntry): Promise<Buffer | null> {
    if (entry.type === 'link') return encodeEntry({ linkname: entry.target })
    const blob = await this.#blobOf(decodeMap(Buffer.from(entry.map)), entry.size)
    return blob === null ? null : encodeEntry({ blob, executable: entry.isExecutable })
  }

  /** The file's content as one range, or null when it is not that. */
  async #blobOf(map: ContentMap, size: number): Promise<BlobRange | null> {
    const count = blocksOf(size)
    if (count === 0) return { byteOffset: 0, blockOffset: 0, blockLength: 0, byteLength: 0 }
    const [run, second] = map.runs
    if (run === undefined || second !== undefined || map.leaves.length > 0) return null
    const isOurs = map.cores[run.core]?.equals(this.#blobs.key) === true
    if (!isOurs || run.fileBlock !== 0 || run.count < count) return null
    const { coreBlock } = run
    // Blocks are stored shorter than they count where a file grew over a short last block, and
    // longer where it was cut inside its last one: a stock reader would show the wrong bytes.
    const stored = await this.#blobs.storedBytes(coreBlock, coreBlock + count)
    if (stored !== size + count * CIPHER_OVERHEAD_BYTES) return null
    const byteOffset = (await this.#blobs.byteOffset(coreBlock)) - coreBlock * CIPHER_OVERHEAD_BYTES
    return { byteOffset, blockOffset: coreBlock, blockLength: count, byteLength: size }
  }
}

function encodeEntry(fields: {
  readonly blob?: BlobRange
  readonly executable?: boolean
  readonly linkname?: string
}): Buffer {
  const { blob = null, executable = false, linkname = null } = fields
  return Buffer.from(JSON.stringify({ executable, linkname, blob, metadata: null }))
}

/**
 * A path as a hyperdrive key. It would turn `\` into `/` and can not hold bytes that are not UTF-8:
 * those, and `%`, become `%` and two hex digits.
 */
export function projectedPath(path: readonly Uint8Array[]): string {
  return path.map((name) => `/${escapeName(Buffer.from(name))}`).join('')
}

function escapeName(name: Buffer): string {
  const text = name.toString('utf8')
  const isUtf8 = Buffer.from(text, 'utf8').equals(name)
  const source = isUtf8 ? text : name.toString('latin1')
  const special = isUtf8 ? /[%\\]/g : /[%\\\x80-\xff]/g
  return source.replace(special, (one) => `%${one.charCodeAt(0).toString(16).padStart(2, '0')}`)
}
