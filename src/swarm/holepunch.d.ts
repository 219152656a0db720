/** The part of the untyped Holepunch modules that `swarm/` uses, internals included. */

declare module 'hyperdht' {
  import type { EventEmitter } from 'node:events'
  import type { Duplex } from 'node:stream'
  namespace HyperDHT {
    interface KeyPair {
      readonly publicKey: Buffer
      readonly secretKey: Buffer
    }
    interface Address {
      readonly host: string
      readonly port: number
    }
    interface Options {
      /** Default: the public nodes; []: none. */
      readonly bootstrap?: readonly Address[]
      /** First port to be tried for the server's socket. */
      readonly port?: number
      readonly host?: string
      /** false: other nodes may be told of this one. */
      readonly ephemeral?: boolean
      readonly firewalled?: boolean
    }
    interface RawStream {
      readonly remoteHost: string
      readonly remotePort: number
      /** ms, smoothed; 0: not known */
      readonly rtt: number
    }
    /** An end-to-end encrypted stream to the owner of a key. */
    interface Connection extends Duplex {
      readonly publicKey: Buffer
      readonly remotePublicKey: Buffer
      readonly isInitiator: boolean
      readonly rawStream: RawStream | null
      readonly rawBytesRead: number
      /** The protocol multiplexer, once something replicates over the stream. */
      readonly userData: unknown
      /** Destroys the stream when nothing comes for so long, ms. */
      setTimeout(ms: number): void
      sendKeepAlive(): void
    }
    interface Server {
      listen(keyPair: KeyPair): Promise<unknown>
      close(): Promise<void>
    }
    interface ConnectOptions {
      readonly keyPair?: KeyPair
      /** Where the owner of the key, or a node that knows it, answers. */
      readonly relayAddresses?: readonly Address[]
    }
    /** Who has announced a topic, as one node of the DHT knows it. */
    interface Announced {
      readonly peers: readonly {
        readonly publicKey: Buffer
        readonly relayAddresses: readonly Address[]
      }[]
    }
  }
  class HyperDHT extends EventEmitter {
    constructor(options: HyperDHT.Options)
    static keyPair(seed: Buffer): HyperDHT.KeyPair
    /** What `connect` and relay connections introduce themselves with. */
    defaultKeyPair: HyperDHT.KeyPair
    connect(remotePublicKey: Buffer, options?: HyperDHT.ConnectOptions): HyperDHT.Connection
    lookup(topic: Buffer): AsyncIterable<HyperDHT.Announced>
    createServer(
      options: {
        /** true refuses */
        readonly firewall: (remotePublicKey: Buffer) => boolean
        readonly shareLocalAddress?: boolean
      },
      onConnection: (connection: HyperDHT.Connection) => void
    ): HyperDHT.Server
    createRawStream(options: object): unknown
    bind(): Promise<void>
    fullyBootstrapped(): Promise<void>
    /** null before it is bound */
    localAddress(): HyperDHT.Address | null
    destroy(options?: { readonly force?: boolean }): Promise<void>
  }
  export = HyperDHT
}

declare module 'hyperswarm' {
  import type HyperDHT from 'hyperdht'
  import type { EventEmitter } from 'node:events'
  namespace Hyperswarm {
    interface PeerInfo {
      readonly publicKey: Buffer
      ban(isBanned: boolean): void
    }
    interface Options {
      readonly dht: HyperDHT
      /** Default: a new one. */
      readonly keyPair?: HyperDHT.KeyPair
      /** true refuses */
      readonly firewall?: (remotePublicKey: Buffer) => boolean
      readonly relayThrough?: (isForced: boolean) => Buffer | null
      readonly maxPeers?: number
      /** Attempts at a time. */
      readonly maxParallel?: number
    }
    interface Discovery {
      /** Announces and looks up again; never rejects. */
      refresh(): Promise<unknown>
    }
  }
  class Hyperswarm extends EventEmitter {
    constructor(options: Hyperswarm.Options)
    readonly connections: Set<HyperDHT.Connection>
    /** By the key in hex. */
    readonly peers: Map<string, Hyperswarm.PeerInfo>
    /** Attempts too. */
    readonly _allConnections: Iterable<HyperDHT.Connection>
    join(
      topic: Buffer,
      options: { readonly server: boolean; readonly client: boolean }
    ): Hyperswarm.Discovery
    /** Resolves when all searches and the calls that follow from them are over. */
    flush(): Promise<boolean>
    listen(): Promise<unknown>
    suspend(): Promise<void>
    resume(): Promise<void>
    destroy(options?: { readonly force?: boolean }): Promise<void>
    _connect(peerInfo: Hyperswarm.PeerInfo, isQueued: boolean): void
    _maybeRelayConnection(isForced: boolean): Buffer | null
    _handleServerConnection(connection: HyperDHT.Connection): void
  }
  export = Hyperswarm
}
