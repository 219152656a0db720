/**
 * A Hyperdrive of somebody else's, in a store of its own: read, never written, and none of its
 * cores is among the person's. What is fetched is kept until the store is removed.
 */
import { FsError } from '../base/errors.js'
import { type CloseStack, openInSteps } from '../base/close-stack.js'
import { openError, readError } from './errors.js'
import Corestore from 'corestore'
import CoreStorage from 'hypercore-storage'
import Hyperbee from 'hyperbee'
import type Hyperblobs from 'hyperblobs'
import type Hypercore from 'hypercore'
import Hyperdrive from 'hyperdrive'
import type { Duplex } from 'node:stream'

/** Hyperdrive's own prefix of paths. */
const FILES = Buffer.from('files\0')
/** Size of almost every block of content. */
const BLOCK_BYTES = 2 ** 16
/** Blocks of content that are fetched ahead of who reads in order. */
const AHEAD_BLOCKS = 64
/** Reads of a file that are so close come from one reader; the kernel asks for some at a time. */
const IN_ORDER_BLOCKS = 8
/** RocksDB's write buffer: what is kept here can be had again. */
const WRITE_BUFFER_BYTES = 4 * 2 ** 20

/** Gives back what cleared blocks have taken on the disk. */
const EVERYTHING = {
  blobGarbageCollectionPolicy: 1,
  blobGarbageCollectionAgeCutoff: 1,
  bottommostLevelCompaction: 2
} as const

/** Whether peers are waited for. */
export interface Reach {
  readonly wait: boolean
  /** For each block, ms. */
  readonly timeout: number
}

/** An entry as the drive stores it. */
export interface DriveEntry {
  readonly seq: number
  /** Path. */
  readonly key: Buffer
  readonly value: Buffer
}

/** What a drive is opened with. */
export interface ForeignDriveOptions {
  /** Of its own. */
  readonly directory: string
  /** Of the drive. */
  readonly key: Buffer
  /** Content that is kept; when it is more, all is let go. */
  readonly keepBytes: number
}

/** Whether an error says that something is not here, and peers were not asked. */
export function isAbsent(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'BLOCK_NOT_AVAILABLE'
}

function absent(): Error {
  return Object.assign(new Error('not on this device'), { code: 'BLOCK_NOT_AVAILABLE' })
}

/** See the file's head. */
export class ForeignDrive {
  readonly #store: Corestore
  readonly #storage: CoreStorage
  readonly #drive: Hyperdrive
  readonly #keepBlocks: number
  readonly #bee: Hyperbee
  readonly #stack: CloseStack
  #blobs: Hyperblobs | null = null
  /** What is fetched ahead, and up to which block. */
  #ahead: {
    readonly download: Hypercore.Download
    readonly start: number
    readonly end: number
  } | null = null
  /** Behind the last block of content that was read. */
  #position = 0
  /** Blocks of content that may still come before all are counted. */
  #uncounted = 0
  #tidying: Promise<void> | null = null
  #following: Hypercore.Download | null = null

  private constructor(
    parts: {
      readonly store: Corestore
      readonly storage: CoreStorage
      readonly drive: Hyperdrive
      readonly keepBytes: number
    },
    stack: CloseStack
  ) {
    const { store, storage, drive, keepBytes } = parts
    this.#store = store
    this.#storage = storage
    this.#drive = drive
    this.#keepBlocks = Math.max(2 * AHEAD_BLOCKS, Math.floor(keepBytes / BLOCK_BYTES))
    this.#stack = stack
    const encoding = { keyEncoding: 'binary', valueEncoding: 'binary' } as const
    this.#bee = new Hyperbee(drive.core.session(), encoding)
    stack.push(() => this.#bee.close())
  }

  /**
   * Opens a drive's store, making it the first time.
   * @throws {FsError} EIO, EACCES, ENOSPC
   */
  static async open({ directory, key, keepBytes }: ForeignDriveOptions): Promise<ForeignDrive> {
    try {
      return await openInSteps(async (stack) => {
        const options = { writeBufferSize: WRITE_BUFFER_BYTES }
        const storage = new CoreStorage(directory, options)
        const store = new Corestore(storage)
        stack.push(() => store.close())
        await store.ready()
        const drive = new Hyperdrive(store.session(), key)
        stack.push(() => drive.close())
        await drive.ready()
        const foreign = new ForeignDrive({ store, storage, drive, keepBytes }, stack)
        await foreign.#bee.ready()
        return foreign
      })
    } catch (error) {
      throw openError(directory, error)
    }
  }

  /** What peers of the drive meet at. */
  get discoveryKey(): Buffer {
    return this.#drive.discoveryKey
  }

  /** Length of the `db` core; 0: nothing is known of the drive. */
  get length(): number {
    return this.#drive.core.length
  }

  /** Peers that replicate the drive now. */
  get peers(): number {
    return this.#drive.core.peers.length
  }

  /** Replicates over an encrypted stream. */
  replicate(connection: Duplex): void {
    this.#store.replicate(connection)
  }

  /**
   * Fetches what is written to the drive from now on.
   * @param onChange the length may have changed, or who is connected
   */
  follow(onChange: () => void): void {
    for (const event of ['append', 'truncate', 'peer-add', 'peer-remove']) {
      this.#drive.core.on(event, onChange)
    }
    const start = this.length
    this.#following = this.#drive.core.download({ start, end: -1, linear: true })
  }

  /** Asks the connected peers for the drive's length. */
  async update(): Promise<void> {
    await this.#drive.core.update({ wait: true })
  }

  /**
   * Entries in order of their paths, at the newest version that is known.
   * @param range paths: from the first on, up to before the second
   */
  async *entries(
    range: { readonly gte: Buffer; readonly lt: Buffer },
    reach: Reach
  ): AsyncGenerator<DriveEntry> {
    const keys = { gte: withPrefix(range.gte), lt: withPrefix(range.lt) }
    for await (const { seq, key, value } of this.#bee.createReadStream(keys, reach)) {
      yield { seq, key: key.subarray(FILES.length), value }
    }
  }

  /** What is at a path; null: nothing. */
  async entry(path: Buffer, reach: Reach): Promise<DriveEntry | null> {
    const found = await this.#bee.get(withPrefix(path), reach)
    return found && { seq: found.seq, key: path, value: found.value }
  }

  /** Paths that were put or removed in blocks `[from, to)` of the `db` core. */
  async changedPaths(from: number, to: number, reach: Reach): Promise<Buffer[]> {
    const paths: Buffer[] = []
    for await (const { key } of this.#bee.createHistoryStream({ gte: from, lt: to, ...reach })) {
      if (key.subarray(0, FILES.length).equals(FILES)) paths.push(key.subarray(FILES.length))
    }
    return paths
  }

  /** The length of a content, bytes. */
  async byteLength(blob: Hyperblobs.Blob, reach: Reach): Promise<number> {
    return (await this.#content(reach)).getByteLength(blob)
  }

  /** Bytes of a content. @returns fewer where it is shorter than said */
  async read(
    blob: Hyperblobs.Blob,
    range: { readonly fileOffset: number; readonly length: number },
    reach: Reach
  ): Promise<Buffer> {
    const blobs = await this.#content(reach)
    if (reach.wait) await this.#makeRoom(blobs.core, range.length)
    const isUniform = blob.blockLength === Math.ceil(blob.byteLength / BLOCK_BYTES)
    if (isUniform && blob.blockMap !== true) {
      const bytes = await this.#readUniform(blobs.core, blob, { ...range, reach })
      if (bytes) return bytes
    }
    const options = { start: range.fileOffset, length: range.length, ...reach }
    const parts: Buffer[] = []
    for await (const part of blobs.createReadStream(blob, options)) parts.push(part)
    return Buffer.concat(parts)
  }

  /** Closes everything. */
  async close(): Promise<void> {
    this.#following?.destroy()
    this.#ahead?.download.destroy()
    await this.#tidying
    await this.#stack.close()
  }

  /** @returns null: its blocks are of other sizes */
  async #readUniform(
    core: Hypercore,
    blob: Hyperblobs.Blob,
    { fileOffset, length, reach }: { fileOffset: number; length: number; reach: Reach }
  ): Promise<Buffer | null> {
    const end = Math.min(fileOffset + length, blob.byteLength)
    const first = Math.floor(fileOffset / BLOCK_BYTES)
    const last = Math.ceil(end / BLOCK_BYTES)
    if (last <= first) return Buffer.alloc(0)
    const isInOrder = Math.abs(blob.blockOffset + first - this.#position) <= IN_ORDER_BLOCKS
    this.#position = blob.blockOffset + last
    if ((isInOrder || first === 0) && this.peers > 0) this.#fetchAhead(core, blob, last)
    const wanted = Array.from({ length: last - first }, async (_, i) => {
      const block = await core.get(blob.blockOffset + first + i, reach)
      if (block === null) throw absent()
      return block
    })
    const blocks = await Promise.all(wanted)
    const isAsExpected = blocks.every((block, i) => {
      const rest = blob.byteLength - (first + i) * BLOCK_BYTES
      return block.length === Math.min(BLOCK_BYTES, rest)
    })
    if (!isAsExpected) return null
    const from = fileOffset - first * BLOCK_BYTES
    return Buffer.concat(blocks).subarray(from, from + end - fileOffset)
  }

  /**
   * Counts what is kept now and then, when it may have become too much. Nothing is fetched while it
   * is let go: what comes at that moment would be lost, and waited for.
   */
  async #makeRoom(core: Hypercore, byteLength: number): Promise<void> {
    this.#uncounted -= Math.ceil(byteLength / BLOCK_BYTES) + AHEAD_BLOCKS
    if (this.#uncounted <= 0) {
      this.#tidying ??= this.#tidy(core)
        // A full disk, say: it is tried again later.
        .catch(() => undefined)
        .finally(() => {
          this.#tidying = null
        })
    }
    await this.#tidying
  }

  async #tidy(core: Hypercore): Promise<void> {
    const held = core.length === 0 ? 0 : await core.count(0, core.length)
    this.#uncounted = Math.max(0, this.#keepBlocks - held) / 2
    if (held <= this.#keepBlocks) return
    this.#ahead?.download.destroy()
    this.#ahead = null
    await core.clear(0, core.length)
    await this.#storage.db.flush()
    await this.#storage.compact(EVERYTHING)
    this.#uncounted = this.#keepBlocks / 2
  }

  #fetchAhead(core: Hypercore, blob: Hyperblobs.Blob, block: number): void {
    const at = blob.blockOffset + block
    const end = Math.min(at + AHEAD_BLOCKS, blob.blockOffset + blob.blockLength)
    const known = this.#ahead !== null && at >= this.#ahead.start ? this.#ahead.end : 0
    const start = Math.max(at, known)
    // As long as half of it is still ahead of the reader, it goes on.
    if (end <= start || known - at > AHEAD_BLOCKS / 2) return
    if (known <= at) this.#ahead?.download.destroy()
    this.#ahead = { download: core.download({ start, end, linear: true }), start: at, end }
  }

  async #content({ wait }: Reach): Promise<Hyperblobs> {
    this.#blobs ??= this.#drive.blobs
    if (this.#blobs) return this.#blobs
    if (!wait) throw absent()
    this.#blobs = await this.#drive.getBlobs()
    if (!this.#blobs) throw new FsError('EIO', 'the drive names no core of content')
    return this.#blobs
  }

  /** What a read failed of. */
  errorOf(cause: unknown): unknown {
    return readError(this.#drive.key, null, cause)
  }
}

function withPrefix(path: Buffer): Buffer {
  return Buffer.concat([FILES, path])
}
