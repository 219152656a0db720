/**
 * The Corestore of a home: RocksDB with our options, cores opened with our keys and cipher.
 *
 * Invariants: no secret key reaches RocksDB (cores are opened by manifest, the key pair is given to
 * a session in memory); every core that we open is encrypted by the cipher given at `openStore`.
 */
import { Appender, type StoreCipher } from './appender.js'
import { Core, type CoreKeyPair, manifestOf } from './core.js'
import { openError, writeError } from './errors.js'
import { WalBarrier } from './wal.js'
import Corestore from 'corestore'
import CoreStorage from 'hypercore-storage'
import { lstat, mkdir, readdir } from 'node:fs/promises'
import { join } from 'node:path'

/**
 * 16 MiB memtables: a reopen replays at most that much log, and two of them are the largest part
 * of an idle process's memory.
 */
const WRITE_BUFFER_BYTES = 16 * 1024 * 1024

/**
 * Keys and tree nodes that all bees keep decoded, some 300 bytes each; hyperbee's own bound is
 * eight times that for each bee. The object is the part of a `rache` that others are made from.
 */
const TREE_CACHE_ENTRIES = 16_384

/**
 * RocksDB's answer to "collect everything": blob files are rewritten without their dead values.
 * The defaults free nothing for a store that is not busy (facts: 161 MB against 55 MB).
 */
const FORCED_COMPACTION: CoreStorage.CompactOptions = {
  blobGarbageCollectionPolicy: 1,
  blobGarbageCollectionAgeCutoff: 1,
  bottommostLevelCompaction: 2
}

/** What a store is opened with. */
export interface StoreOptions {
  /** Made (0700) when it is not there. */
  readonly directory: string
  /** Encrypts every core. */
  readonly cipher: StoreCipher
}

/** Which core: one that we sign, or anyone's by its key. */
export type CoreSource = { readonly keyPair: CoreKeyPair } | { readonly key: Buffer }

/** An open store; see the file's head. */
export class Store {
  /** The store's directory. */
  readonly directory: string
  readonly #storage: CoreStorage
  readonly #corestore: Corestore
  readonly #cipher: StoreCipher
  readonly #wal: WalBarrier
  #closing: Promise<void> | null = null

  private constructor(options: StoreOptions, storage: CoreStorage, corestore: Corestore) {
    this.directory = options.directory
    this.#cipher = options.cipher
    this.#storage = storage
    this.#corestore = corestore
    this.#wal = new WalBarrier(storage.rocks.path)
  }

  /**
   * Opens the store, making it the first time. One process at a time.
   * @throws {FsError} EBUSY when another process has it; ESTALE when it was copied or restored;
   *   EIO when it is damaged; EACCES; ENOSPC
   */
  static async open(options: StoreOptions): Promise<Store> {
    try {
      await mkdir(options.directory, { recursive: true, mode: 0o700 })
      const storage = new CoreStorage(options.directory, {
        writeBufferSize: WRITE_BUFFER_BYTES,
        maxBackgroundJobs: 2,
        // Or compactions rewrite the oldest quarter of all content while new content comes in
        // (measured: a tenth of an ingest's CPU); ours is collected by `compact` alone.
        blobGarbageCollectionAgeCutOff: 0,
        skipStatsUpdateOnOpen: true
      })
      const corestore = new Corestore(storage, {
        globalCache: { maxSize: TREE_CACHE_ENTRIES, _array: [] }
      })
      try {
        await corestore.ready()
      } catch (error) {
        await storage.close().catch(() => undefined)
        throw error
      }
      return new Store(options, storage, corestore)
    } catch (cause) {
      throw openError(options.directory, cause)
    }
  }

  /**
   * Opens a core, writable when its key pair is given. The caller closes it before the store.
   * @throws {FsError} EIO when its state on disk is damaged
   */
  async openCore(source: CoreSource): Promise<Core> {
    try {
      const target =
        'keyPair' in source
          ? { manifest: manifestOf(source.keyPair.publicKey) }
          : { key: source.key }
      const root = this.#corestore.get({ ...target, encryption: this.#cipher })
      await root.ready()
      if (!('keyPair' in source)) return new Core(root)
      // A key pair given to `get` would be stored; given to a session it stays in memory.
      const session = root.session({ keyPair: source.keyPair })
      await session.ready()
      await root.close()
      return new Core(session)
    } catch (cause) {
      throw openError(this.directory, cause)
    }
  }

  /**
   * The appender of a core of ours, which from then on is its only one. Closed before the core.
   */
  async openAppender(core: Core): Promise<Appender> {
    const session = core.session.session()
    await session.ready()
    await session.setEncryption(null)
    return new Appender(session, this.#cipher)
  }

  /** Makes all that was appended or cleared before the call survive power loss. Shared. */
  barrier(): Promise<void> {
    return this.#wal.sync()
  }

  /** Writes the memtable to table files, so that the next open has no log to replay. */
  async flush(): Promise<void> {
    try {
      await this.#storage.db.flush()
    } catch (cause) {
      throw writeError('flush', cause)
    }
  }

  /**
   * Rewrites the files without what was cleared. Takes free space for the rewrite, and seconds per
   * GiB held; reads and appends go on.
   */
  async compact(): Promise<void> {
    try {
      await this.#storage.db.flush()
      await this.#storage.compact(FORCED_COMPACTION)
    } catch (cause) {
      throw writeError('compact', cause)
    }
  }

  /** Bytes that the store takes on its disk. */
  async diskBytes(): Promise<number> {
    return allocatedBytes(this.directory)
  }

  /** Flushes and closes. Idempotent. */
  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async #close(): Promise<void> {
    try {
      await this.flush()
    } finally {
      await this.#wal.close()
      await this.#corestore.close()
    }
  }
}

async function allocatedBytes(directory: string): Promise<number> {
  let bytes = 0
  for (const entry of await readdir(directory, { withFileTypes: true })) {
    const path = join(directory, entry.name)
    if (entry.isDirectory()) bytes += await allocatedBytes(path)
    else bytes += await allocatedOf(path)
  }
  return bytes
}

async function allocatedOf(path: string): Promise<number> {
  try {
    const { blocks } = await lstat(path)
    return blocks * 512
  } catch {
    return 0 // RocksDB has deleted it meanwhile
  }
}
