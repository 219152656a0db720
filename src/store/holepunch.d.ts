/** The part of the untyped Holepunch modules that `store/` uses, internals included. */

declare module 'hypercore' {
  import type { EventEmitter } from 'node:events'
  namespace Hypercore {
    interface KeyPair {
      readonly publicKey: Buffer
      readonly secretKey: Buffer
    }
    interface Manifest {
      readonly version: 1
      readonly signers: readonly { readonly publicKey: Buffer }[]
    }
    interface EncryptionProvider {
      padding(context: { readonly key: Buffer }, index: number): number
      encrypt(index: number, block: Buffer, fork: number, context: { readonly key: Buffer }): void
      decrypt(index: number, block: Buffer, context: { readonly key: Buffer }): void
    }
    interface GetOptions {
      /** false: null instead of waiting for a peer. */
      readonly wait?: boolean
      /** ms; rejects with code REQUEST_TIMEOUT. */
      readonly timeout?: number
      /** Filled with the requests that this read makes, for `clearRequests`. */
      readonly activeRequests?: unknown[]
    }
    interface SessionOptions {
      readonly keyPair?: KeyPair
      readonly snapshot?: boolean
      /** false: does not ask peers for anything. */
      readonly active?: boolean
    }
    interface DownloadRange {
      readonly start: number
      /** -1: with everything that is appended later. */
      readonly end: number
      readonly linear?: boolean
    }
    interface Download {
      /** Stops; what was not asked for is not. */
      destroy(): void
      done(): Promise<unknown>
    }
    interface Wire<T> {
      send(message: T): void
    }
    interface SyncMessage {
      readonly length: number
    }
    interface RangeMessage {
      readonly drop: boolean
      readonly start: number
      readonly length: number
    }
    interface DataMessage {
      readonly block: { readonly index: number; value: Buffer } | null
    }
    interface ProofMessage {
      readonly upgrade: object | null
    }
    /** A remote that replicates one core with us. */
    interface Peer {
      core: Inner
      wireSync: Wire<SyncMessage>
      wireRange: Wire<RangeMessage>
      wireData: Wire<DataMessage>
      /** Has sent what could not be verified, or could not be written. */
      readonly paused: boolean
      readonly remotePublicKey: Buffer
      readonly remoteLength: number
      sendSync: (this: Peer) => void
      signalUpgrade(): void
      broadcastRange(start: number, length: number, drop: boolean): void
      _remoteHasBlock(index: number): boolean
      _getProof: (
        this: Peer,
        batch: unknown,
        message: ProofMessage,
        isPushing: boolean
      ) => Promise<unknown>
    }
    interface Replicator {
      readonly constructor: { readonly Peer: { readonly prototype: Peer } }
      readonly peers: readonly Peer[]
      onupgrade(): void
      /** Least and most requests on their way to one peer. */
      setInflightRange(min: number, max: number): void
      cork(): void
      uncork(): void
    }
    /** What the sessions of one core share. */
    interface Inner {
      readonly closed: boolean
      readonly state: {
        readonly length: number
        readonly byteLength: number
        readonly fork: number
        readonly roots: readonly unknown[]
        readonly signature: Buffer | null
      }
      readonly replicator: Replicator
      readonly bitfield: {
        get(index: number): boolean
        /** -1: none */
        firstSet(index: number): number
        firstUnset(index: number): number
      }
    }
  }
  class Hypercore extends EventEmitter {
    static key(manifest: Hypercore.Manifest): Buffer
    readonly key: Buffer
    readonly discoveryKey: Buffer
    readonly length: number
    readonly byteLength: number
    readonly fork: number
    readonly writable: boolean
    readonly contiguousLength: number
    readonly peers: readonly Hypercore.Peer[]
    readonly core: Hypercore.Inner
    on(
      event: 'verification-error',
      listener: (
        err: unknown,
        request: unknown,
        answer: Hypercore.DataMessage,
        from: Hypercore.Peer
      ) => void
    ): this
    on(event: string, listener: (...args: never[]) => void): this
    readonly state: {
      readonly byteLength: number
      readonly storage: {
        read(): {
          /** A leaf's index is twice its block's; null where a clear has taken it. */
          getTreeNode(index: number): Promise<{ readonly size: number } | null>
          tryFlush(): void
        }
      }
    }
    /** Asks the peers for a newer length. @returns whether there was one */
    update(options: { readonly wait: boolean }): Promise<boolean>
    getUserData(key: string): Promise<Buffer | null>
    setUserData(key: string, value: Buffer): Promise<void>
    ready(): Promise<void>
    session(options?: Hypercore.SessionOptions): Hypercore
    download(range: Hypercore.DownloadRange): Hypercore.Download
    /** Rejects the requests of a read with the error. */
    clearRequests(activeRequests: unknown[], error: Error): void
    append(
      blocks: readonly Uint8Array[],
      options?: { readonly maxLength?: number }
    ): Promise<{ length: number; byteLength: number }>
    /** Of this session only. */
    setEncryption(provider: Hypercore.EncryptionProvider | null): Promise<void>
    get(index: number, options?: Hypercore.GetOptions): Promise<Buffer | null>
    has(start: number, end?: number): Promise<boolean>
    count(start: number, end: number): Promise<number>
    clear(start: number, end?: number): Promise<unknown>
    /** What a peer would be sent for one block; rejects where Merkle nodes are missing. */
    proof(options: {
      readonly block: { readonly index: number; readonly nodes: number }
      readonly upgrade: { readonly start: number; readonly length: number }
    }): Promise<unknown>
    treeHash(length?: number): Promise<Buffer>
    compact(): Promise<unknown>
    close(): Promise<void>
  }
  export = Hypercore
}

declare module 'hypercore-storage' {
  namespace CoreStorage {
    /** RocksDB's, passed through. */
    interface Options {
      readonly writeBufferSize?: number
      readonly blobFileSize?: number
      readonly maxBackgroundJobs?: number
      readonly maxOpenFiles?: number
      readonly skipStatsUpdateOnOpen?: boolean
      readonly bytesPerSync?: number
      readonly blobGarbageCollectionAgeCutOff?: number
      readonly treeCache?: { readonly maxSize: number }
    }
    interface CompactOptions {
      readonly blobGarbageCollectionPolicy?: 0 | 1 | 2
      readonly blobGarbageCollectionAgeCutoff?: number
      readonly bottommostLevelCompaction?: 0 | 1 | 2
    }
  }
  class CoreStorage {
    constructor(directory: string, options?: CoreStorage.Options)
    readonly path: string
    readonly db: {
      flush(): Promise<void>
      /** RocksDB's own figures, as text. */
      getProperty(name: string): Promise<string>
    }
    readonly rocks: { readonly path: string }
    compact(options?: CoreStorage.CompactOptions): Promise<void>
    close(): Promise<void>
  }
  export = CoreStorage
}

declare module 'corestore' {
  import type Hypercore from 'hypercore'
  import type CoreStorage from 'hypercore-storage'
  import type { Duplex } from 'node:stream'
  namespace Corestore {
    interface GetOptions {
      readonly key?: Buffer
      readonly manifest?: Hypercore.Manifest
      readonly encryption?: Hypercore.EncryptionProvider
      readonly active?: boolean
    }
  }
  class Corestore {
    constructor(
      storage: CoreStorage | string,
      options?: { readonly globalCache?: { readonly maxSize: number; readonly _array: unknown[] } }
    )
    ready(): Promise<void>
    get(options: Corestore.GetOptions): Hypercore
    /** Replicates every open core, also those that are opened later, over an encrypted stream. */
    replicate(connection: Duplex): unknown
    session(options?: { readonly active?: boolean }): Corestore
    close(): Promise<void>
  }
  export = Corestore
}

declare module 'hyperbee' {
  import type Hypercore from 'hypercore'
  namespace Hyperbee {
    interface Options {
      readonly keyEncoding: 'binary' | 'utf-8'
      readonly valueEncoding: 'binary' | 'json'
      /** Default: peers may be asked for all blocks of a walk at once. */
      readonly extension?: false
      /** false: a put of what is there already appends nothing. */
      readonly alwaysDuplicate?: boolean
      readonly metadata?: { readonly contentFeed: Buffer }
    }
    interface Range {
      readonly gt?: Uint8Array
      readonly gte?: Uint8Array
      readonly lt?: Uint8Array
      readonly lte?: Uint8Array
    }
    interface GetOptions {
      /** ms; rejects with code REQUEST_TIMEOUT. Default: waits for ever. */
      readonly timeout?: number
      /** Every block that the walk touches, before it is read. */
      readonly onseq?: (seq: number) => void
      /** false: rejects with code BLOCK_NOT_AVAILABLE instead of asking peers. */
      readonly wait?: boolean
    }
    interface StreamOptions extends GetOptions {
      /** -1: all */
      readonly limit?: number
      readonly signal?: AbortSignal
    }
    interface Entry {
      readonly seq: number
      readonly key: Buffer
      readonly value: Buffer
    }
    interface Change {
      readonly seq: number
      readonly type: 'put' | 'del'
      readonly key: Buffer
      readonly value: Buffer | null
    }
    interface Batch {
      put(key: Uint8Array, value: Uint8Array): Promise<void>
      del(key: Uint8Array): Promise<void>
      flush(): Promise<void>
      close(): Promise<void>
    }
  }
  class Hyperbee {
    constructor(core: Hypercore, options: Hyperbee.Options)
    readonly version: number
    ready(): Promise<void>
    get(key: Uint8Array, options?: Hyperbee.GetOptions): Promise<Hyperbee.Entry | null>
    batch(options?: Hyperbee.GetOptions): Hyperbee.Batch
    checkout(version: number): Hyperbee
    createReadStream(
      range?: Hyperbee.Range,
      options?: Hyperbee.StreamOptions
    ): AsyncIterable<Hyperbee.Entry>
    createHistoryStream(
      options: Hyperbee.GetOptions & { readonly gte: number; readonly lt: number }
    ): AsyncIterable<Hyperbee.Change>
    close(): Promise<void>
  }
  export = Hyperbee
}

declare module 'hyperblobs' {
  import type Hypercore from 'hypercore'
  namespace Hyperblobs {
    interface Blob {
      readonly byteOffset: number
      readonly blockOffset: number
      readonly blockLength: number
      readonly byteLength: number
      /** The blocks hold a list of the content's blocks. */
      readonly blockMap?: true
    }
    interface ReadOptions extends Hypercore.GetOptions {
      readonly start: number
      readonly length: number
    }
  }
  class Hyperblobs {
    readonly core: Hypercore
    createReadStream(blob: Hyperblobs.Blob, options: Hyperblobs.ReadOptions): AsyncIterable<Buffer>
    /** Of the content, which a list of blocks does not say. */
    getByteLength(blob: Hyperblobs.Blob): Promise<number>
  }
  export = Hyperblobs
}

declare module 'hyperdrive' {
  import type Corestore from 'corestore'
  import type Hyperblobs from 'hyperblobs'
  import type Hypercore from 'hypercore'
  namespace Hyperdrive {
    interface Entry {
      readonly key: string
      readonly value: { readonly executable: boolean; readonly linkname: string | null }
    }
  }
  class Hyperdrive {
    constructor(store: Corestore, key?: Buffer)
    readonly key: Buffer
    readonly discoveryKey: Buffer
    /** Of the `db`. */
    readonly core: Hypercore
    /** null: its key was not read yet. */
    readonly blobs: Hyperblobs | null
    ready(): Promise<void>
    /** Waits for the key, for ever. */
    getBlobs(): Promise<Hyperblobs | null>
    list(folder: string): AsyncIterable<Hyperdrive.Entry>
    entry(path: string): Promise<Hyperdrive.Entry | null>
    get(path: string): Promise<Buffer | null>
    put(
      path: string,
      content: Buffer,
      options?: { readonly executable?: boolean }
    ): Promise<unknown>
    del(path: string): Promise<unknown>
    /** Lets go of the content, not of the entry. */
    clear(path: string): Promise<unknown>
    symlink(path: string, target: string): Promise<unknown>
    createReadStream(
      path: string,
      range: { readonly start: number; readonly end: number }
    ): AsyncIterable<Buffer>
    close(): Promise<void>
  }
  export = Hyperdrive
}
