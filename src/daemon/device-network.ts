/**
 * The other devices, as the store's thread has them: connections with members, the cores of their
 * generations that are followed, and their records as far as they have come.
 */
import type { Clock } from '../base/clock.js'
import { FsError } from '../base/errors.js'
import type { Logger } from '../base/log.js'
import { generationNumber, type GenerationNumber, type NodeId } from '../format/ids.js'
import { ForeignRecords, type ForeignCursor, type ForeignPage } from '../generation/foreign.js'
import type { NodeEntry } from '../generation/types.js'
import type { StoreCipher } from '../store/appender.js'
import type { Replica, ReplicaProgress } from '../store/replica.js'
import type { Store } from '../store/store.js'
import { keepsInFull, Replicas, type DeviceRole } from '../swarm/replicas.js'
import { openSwarm, type NetworkOptions, type Swarm } from '../swarm/swarm.js'

/** A generation of a member, this device's own included. */
export interface Member {
  /** The device's id, hexadecimal. */
  readonly id: string
  readonly name: string
  readonly role: DeviceRole
  readonly noiseKey: Buffer
  /** null: it writes nothing. */
  readonly cores: { readonly db: Buffer; readonly blobs: Buffer } | null
  /** Whether it is still written to, and connections with it are let in. */
  readonly isActive: boolean
  readonly isOwn: boolean
}

/** What the network has to tell. */
export type NetworkEvent =
  | { readonly type: 'grown'; readonly generation: GenerationNumber }
  /** So many members are connected now, and the ids of their devices. */
  | { readonly type: 'peers'; readonly count: number; readonly ids: readonly string[] }
  | { readonly type: 'conflict'; readonly core: string }

/** What it is made of. */
export interface DeviceNetworkOptions {
  readonly store: Store
  readonly cipher: StoreCipher
  readonly noise: { readonly publicKey: Buffer; readonly secretKey: Buffer }
  /** 32 bytes that only the drive's devices have. */
  readonly topic: Buffer
  /** null: no network. */
  readonly network: NetworkOptions | null
  readonly role: DeviceRole
  /** Who belongs now; asked at each `refresh` and in each handshake. */
  readonly members: () => readonly Member[]
  readonly tell: (event: NetworkEvent) => void
  readonly clock: Clock
  readonly log: Logger
}

/** Another device's generation as it is followed here. */
interface Followed {
  readonly member: Member
  readonly records: ForeignRecords
  readonly db: Replica
  readonly blobs: Replica
}

/** A generation of another device, for `status`. */
export interface FollowedStatus {
  readonly device: string
  readonly generation: GenerationNumber
  readonly db: ReplicaProgress
  readonly blobs: ReplicaProgress
}

/** A connected device, for `status`. */
export interface ConnectedPeer {
  readonly device: string
  /** The device's id, hexadecimal. */
  readonly id: string
  readonly path: 'lan' | 'direct' | 'relay'
}

/** See the file's head. */
export class DeviceNetwork {
  readonly #options: DeviceNetworkOptions
  readonly #replicas: Replicas
  readonly #followed = new Map<GenerationNumber, Followed>()
  #swarm: Swarm | null = null
  #refreshing: Promise<void> = Promise.resolve()
  #isClosed = false

  private constructor(options: DeviceNetworkOptions) {
    this.#options = options
    this.#replicas = new Replicas(options.store, {
      onChange: (replica) => this.#onChange(replica),
      onConflict: (key) => options.tell({ type: 'conflict', core: key.toString('hex') })
    })
  }

  /** Follows whom it knows and starts to look for them. @throws {FsError} as `openSwarm` */
  static async open(options: DeviceNetworkOptions): Promise<DeviceNetwork> {
    const network = new DeviceNetwork(options)
    await network.refresh()
    network.#swarm = await openSwarm({
      keyPair: options.noise,
      topic: options.topic,
      network: options.network,
      isMember: (noiseKey) => network.#isMember(noiseKey),
      relays: () =>
        options
          .members()
          .filter(isRelay)
          .map(({ noiseKey }) => noiseKey),
      isRelay: options.role === 'cloud',
      onPeers: () => network.#tellPeers(),
      store: options.store,
      clock: options.clock,
      log: options.log
    })
    return network
  }

  /** Membership has changed: follows who is new, drops who does not belong any more. */
  refresh(): Promise<void> {
    this.#refreshing = this.#refreshing.then(() => this.#refresh())
    return this.#refreshing
  }

  /** Members that are connected now. */
  peers(): ConnectedPeer[] {
    const members = this.#options.members()
    const memberOf = (noiseKey: Buffer): Member | undefined =>
      members.find((member) => member.noiseKey.equals(noiseKey))
    const peers = this.#swarm?.peers() ?? []
    return peers.map(({ noiseKey, path }) => {
      const { name = 'unknown', id = '' } = memberOf(noiseKey) ?? {}
      return { device: name, id, path }
    })
  }

  /** The generations that are followed. */
  async followed(): Promise<FollowedStatus[]> {
    const all = [...this.#followed]
    return Promise.all(
      all.map(async ([generation, { member, db, blobs }]) => ({
        device: member.name,
        generation,
        db: await db.progress(),
        blobs: await blobs.progress()
      }))
    )
  }

  /**
   * Records of another device's generation, from a cursor on.
   * @throws {FsError} ENOENT when it is not followed; EIO; ETIMEDOUT
   */
  async read(generation: GenerationNumber, cursor: ForeignCursor): Promise<ForeignPage> {
    return this.#followedOf(generation).records.read(cursor)
  }

  /**
   * Records of what claims a name in a directory, by another device's generation; see
   * `listForeign`.
   * @throws {FsError} ENOENT when it is not followed; EIO; ETIMEDOUT
   */
  async list(
    generation: GenerationNumber,
    parent: NodeId,
    name: Buffer | null
  ): Promise<NodeEntry[]> {
    return this.#followedOf(generation).records.list(parent, name)
  }

  /** Ends all connections, closes what is followed. Idempotent. */
  async close(): Promise<void> {
    if (this.#isClosed) return
    this.#isClosed = true
    await this.#swarm?.close()
    await this.#refreshing.catch(() => undefined)
    for (const { records } of this.#followed.values()) await records.close()
    this.#followed.clear()
    await this.#replicas.close()
  }

  #followedOf(generation: GenerationNumber): Followed {
    const followed = this.#followed.get(generation)
    if (followed) return followed
    throw new FsError('ENOENT', `generation ${generation} is not followed`)
  }

  #tellPeers(): void {
    const ids = this.peers().map(({ id }) => id)
    this.#options.tell({ type: 'peers', count: ids.length, ids })
  }

  #isMember(noiseKey: Buffer): boolean {
    const isThem = (member: Member): boolean =>
      member.isActive && !member.isOwn && member.noiseKey.equals(noiseKey)
    return this.#options.members().some(isThem)
  }

  async #refresh(): Promise<void> {
    if (this.#isClosed) return
    const wanted = new Set<GenerationNumber>()
    for (const member of this.#options.members()) {
      if (member.isOwn || member.cores === null) continue
      const generation = generationNumber(member.cores.db)
      wanted.add(generation)
      await this.#follow(generation, member)
    }
    for (const [generation, followed] of this.#followed) {
      if (!wanted.has(generation)) await this.#unfollow(generation, followed)
    }
    this.#swarm?.refresh()
  }

  async #follow(generation: GenerationNumber, member: Member): Promise<void> {
    const known = this.#followed.get(generation)
    if (known || member.cores === null) {
      if (known) this.#followed.set(generation, { ...known, member })
      return
    }
    const { cipher, role } = this.#options
    const { db: dbKey, blobs: blobsKey } = member.cores
    const source = { encryption: role === 'blind' ? null : cipher }
    const isFull = keepsInFull(role, 'content')
    const db = await this.#replicas.follow({
      ...source,
      key: dbKey,
      kind: 'records',
      isFull: true
    })
    const blobs = await this.#replicas.follow({ ...source, key: blobsKey, kind: 'content', isFull })
    const records = new ForeignRecords(db.core, blobsKey)
    this.#followed.set(generation, { member, records, db, blobs })
    this.#options.tell({ type: 'grown', generation })
  }

  async #unfollow(generation: GenerationNumber, followed: Followed): Promise<void> {
    this.#followed.delete(generation)
    await followed.records.close()
    await this.#replicas.unfollow(followed.db.core.key)
    await this.#replicas.unfollow(followed.blobs.core.key)
  }

  #onChange(replica: Replica): void {
    for (const [generation, { db }] of this.#followed) {
      if (db === replica) this.#options.tell({ type: 'grown', generation })
    }
  }
}

function isRelay({ role, isActive, isOwn }: Member): boolean {
  return role === 'cloud' && isActive && !isOwn
}
