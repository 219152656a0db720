/**
 * The Corestore of a home: RocksDB with our options, cores opened with our keys and cipher.
 *
 * Invariants: no secret key reaches RocksDB (cores are opened by manifest, the key pair is given to
 * a session in memory); every core that we open is encrypted by the cipher given at `open`, unless
 * its opener gives another; peers hear of an append to a core of ours after the barrier only.
 */
import { Announcer } from './announce.js'
import { Appender, type StoreCipher } from './appender.js'
import { Core, type CoreKeyPair, manifestOf } from './core.js'
import { openError, writeError } from './errors.js'
import { Log } from './log.js'
import { WalBarrier } from './wal.js'
import Corestore from 'corestore'
import CoreStorage from 'hypercore-storage'
import type Hypercore from 'hypercore'
import { lstat, mkdir, open, readdir, statfs, unlink } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { Duplex } from 'node:stream'

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
 * Content lies in files of this size in the order in which it was appended, and a file goes as a
 * whole when nothing in it is needed any more: small ones go sooner.
 */
const BLOB_FILE_BYTES = 32 * 1024 * 1024

/** Drops what is cleared from the tables, and with it every blob file that is wholly dead. */
const DROP_DEAD: CoreStorage.CompactOptions = {
  blobGarbageCollectionPolicy: 2,
  bottommostLevelCompaction: 0
}

/** Rewrites all live content, so that dead bytes between live ones go too. */
const REWRITE: CoreStorage.CompactOptions = {
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
export type CoreSource =
  | {
      readonly keyPair: CoreKeyPair
      /** true: not offered to peers. Default false. */
      readonly isPrivate?: boolean
    }
  | { readonly key: Buffer }

/** A core that somebody else signs. */
export interface RemoteCoreSource {
  readonly key: Buffer
  /** Opens its blocks; null: they stay as they are stored (a device without keys). */
  readonly encryption: Hypercore.EncryptionProvider | null
}

/** An open store; see the file's head. */
export class Store {
  /** The store's directory. */
  readonly directory: string
  readonly #storage: CoreStorage
  readonly #corestore: Corestore
  readonly #cipher: StoreCipher
  readonly #wal: WalBarrier
  readonly #announcer: Announcer
  #closing: Promise<void> | null = null

  private constructor(options: StoreOptions, storage: CoreStorage, corestore: Corestore) {
    this.directory = options.directory
    this.#cipher = options.cipher
    this.#storage = storage
    this.#corestore = corestore
    this.#wal = new WalBarrier(storage.rocks.path)
    this.#announcer = new Announcer(() => this.barrier())
  }

  /**
   * Opens the store, making it the first time. One process at a time.
   * @throws {FsError} EBUSY when another process has it; ESTALE when it was copied or restored;
   *   EIO when it is damaged; EACCES; ENOSPC
   */
  static async open(options: StoreOptions): Promise<Store> {
    try {
      await mkdir(options.directory, { recursive: true, mode: 0o700 })
      await dropTornDeviceFile(options.directory)
      const storage = new CoreStorage(options.directory, {
        writeBufferSize: WRITE_BUFFER_BYTES,
        maxBackgroundJobs: 2,
        blobFileSize: BLOB_FILE_BYTES,
        // Or compactions rewrite the oldest quarter of all content while new content comes in
        // (measured: a tenth of an ingest's CPU); ours is collected when it pays.
        blobGarbageCollectionAgeCutOff: 0,
        skipStatsUpdateOnOpen: true
      })
      const corestore = new Corestore(storage, {
        globalCache: { maxSize: TREE_CACHE_ENTRIES, _array: [] }
      })
      try {
        await corestore.ready()
        await syncNames(options.directory)
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
    if (!('keyPair' in source)) {
      return this.openRemoteCore({ key: source.key, encryption: this.#cipher })
    }
    const { keyPair, isPrivate } = source
    const options = isPrivate === true ? { active: false } : {}
    try {
      const manifest = manifestOf(keyPair.publicKey)
      const root = this.#corestore.get({ manifest, encryption: this.#cipher, ...options })
      await root.ready()
      // A key pair given to `get` would be stored; given to a session it stays in memory.
      const session = root.session({ keyPair, ...options })
      await session.ready()
      this.#announcer.hold(session)
      await root.close()
      return new Core(session)
    } catch (cause) {
      throw openError(this.directory, cause)
    }
  }

  /**
   * Opens a core that somebody else signs. While it is open and peers are connected, its length
   * follows theirs; blocks come when they are read or downloaded. Closed before the store.
   * @throws {FsError} EIO when its state on disk is damaged
   */
  async openRemoteCore(source: RemoteCoreSource): Promise<Core> {
    const { key, encryption } = source
    try {
      const session = this.#corestore.get({ key, ...(encryption !== null && { encryption }) })
      await session.ready()
      return new Core(session)
    } catch (cause) {
      throw openError(this.directory, cause)
    }
  }

  /**
   * Opens a core whose blocks are not encrypted, so that every carrier can read them; with its key
   * pair it is ours, and only appended to through this. Closed before the store.
   * @throws {FsError} EIO when its state on disk is damaged
   */
  async openLog(
    source: { readonly keyPair: CoreKeyPair } | { readonly key: Buffer }
  ): Promise<Log> {
    if (!('keyPair' in source)) {
      return new Log(await this.openRemoteCore({ key: source.key, encryption: null }))
    }
    try {
      const root = this.#corestore.get({ manifest: manifestOf(source.keyPair.publicKey) })
      await root.ready()
      const session = root.session({ keyPair: source.keyPair })
      await session.ready()
      this.#announcer.hold(session)
      await root.close()
      return new Log(new Core(session))
    } catch (cause) {
      throw openError(this.directory, cause)
    }
  }

  /**
   * Replicates every core that is open now or later (private ones excepted) with a peer, until the
   * connection ends. Of stored cores that are not open the peer gets those that it asks for by
   * name. The connection must be end-to-end encrypted and its peer a member.
   */
  replicate(connection: Duplex): void {
    this.#corestore.replicate(connection)
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

  /**
   * Makes all that was appended or cleared before the call survive power loss, and then tells the
   * peers. Shared.
   */
  async barrier(): Promise<void> {
    const announce = this.#announcer.mark()
    await this.#wal.sync()
    announce()
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
   * Gives what was cleared back to the disk where whole blob files are dead. Rewrites tables, not
   * content: a tenth of a second, some seconds for millions of blocks. Reads and appends go on.
   */
  async dropDead(): Promise<void> {
    await this.#compact(DROP_DEAD)
  }

  /**
   * Rewrites all content without what is dead. Takes as much free space as there is live content,
   * for a while, and seconds per GiB; reads and appends go on.
   */
  async rewrite(): Promise<void> {
    await this.#compact(REWRITE)
  }

  /** Bytes of content in blob files that are needed, and that are dead between needed ones. */
  async contentBytes(): Promise<{ readonly live: number; readonly dead: number }> {
    const files = Number(await this.#storage.db.getProperty('rocksdb.live-blob-file-size'))
    const dead = Number(await this.#storage.db.getProperty('rocksdb.live-blob-file-garbage-size'))
    return { live: files - dead, dead }
  }

  /** Bytes that are free on the store's disk for us. */
  async freeBytes(): Promise<number> {
    const { bavail, bsize } = await statfs(this.directory)
    return bavail * bsize
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

  async #compact(options: CoreStorage.CompactOptions): Promise<void> {
    try {
      await this.#storage.db.flush()
      await this.#storage.compact(options)
    } catch (cause) {
      throw writeError('compact', cause)
    }
  }

  async #close(): Promise<void> {
    this.#announcer.close()
    try {
      await this.flush()
    } finally {
      await this.#wal.close()
      await this.#corestore.close()
    }
  }
}

/** What hypercore-storage knows its own directory by; it is written without a sync. */
const DEVICE_FILE = 'CORESTORE'

/**
 * Removes a device file without content, which would make the store look copied for ever. Only a
 * power loss during the first open leaves one: an open that has returned has synced it.
 */
async function dropTornDeviceFile(directory: string): Promise<void> {
  const path = join(directory, DEVICE_FILE)
  const found = await lstat(path).catch(() => null)
  if (found?.size === 0) await unlink(path)
}

/** Makes the device file and the names of the store durable; nothing to do on a later open. */
async function syncNames(directory: string): Promise<void> {
  for (const path of [join(directory, DEVICE_FILE), directory, dirname(directory)]) {
    const handle = await open(path, 'r')
    try {
      await handle.sync()
    } finally {
      await handle.close()
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
