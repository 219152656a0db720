/**
 * Which cores of other devices are kept here, and how much of each.
 *
 * Records are kept in full everywhere: every listing needs them. Content is kept in full on devices
 * that are always on; elsewhere a core of content is open so that its length is known and what is
 * read can be fetched, and holds what was read, pinned or evicted here.
 */
import { FsError } from '../base/errors.js'
import { Replica, type ReplicaProgress } from '../store/replica.js'
import type { RemoteCoreSource, Store } from '../store/store.js'

/** Followed cores at most: 100 generations with three cores each, and room. */
const FOLLOW_LIMIT = 1024

/** What is in a core. */
export type CoreKind = 'records' | 'content'

/** Roles of devices as the group has them. */
export type DeviceRole = 'personal' | 'cloud' | 'blind'

/** Whether a device of a role keeps all blocks of a core. */
export function keepsInFull(role: DeviceRole, kind: CoreKind): boolean {
  return kind === 'records' || role !== 'personal'
}

/** A core to be followed. */
export interface FollowOptions extends RemoteCoreSource {
  readonly kind: CoreKind
  /** Whether all of its blocks are fetched, now and as it grows. */
  readonly isFull: boolean
}

/** What happens to followed cores. */
export interface ReplicaEvents {
  /** A core has grown or blocks have come; at most every 5 ms for each core. */
  readonly onChange: (replica: Replica) => void
  /** Two signed heads of a core disagree; it is closed and no longer followed. */
  readonly onConflict: (key: Buffer) => void
}

/** The followed cores of a store; see the file's head. */
export class Replicas {
  readonly #store: Pick<Store, 'openRemoteCore'>
  readonly #events: ReplicaEvents
  readonly #byKey = new Map<string, Promise<Replica>>()

  /** @param store open; closed after `close` */
  constructor(store: Pick<Store, 'openRemoteCore'>, events: ReplicaEvents) {
    this.#store = store
    this.#events = events
  }

  /**
   * Follows a core; one that is followed already only changes how much is kept.
   * @throws {FsError} EMFILE when too many are followed; EIO when its state on disk is damaged
   */
  async follow(options: FollowOptions): Promise<Replica> {
    const name = options.key.toString('hex')
    const known = this.#byKey.get(name)
    if (known !== undefined) {
      const replica = await known
      replica.setFull(options.isFull)
      return replica
    }
    if (this.#byKey.size >= FOLLOW_LIMIT) {
      throw new FsError('EMFILE', `more than ${FOLLOW_LIMIT} cores of other devices`)
    }
    const opening = this.#open(name, options)
    this.#byKey.set(name, opening)
    opening.catch(() => this.#byKey.delete(name))
    return opening
  }

  /** The replica of a followed core, or null. */
  async get(key: Buffer): Promise<Replica | null> {
    return (await this.#byKey.get(key.toString('hex'))) ?? null
  }

  /** Stops following: nothing more is fetched; what is here stays on disk. */
  async unfollow(key: Buffer): Promise<void> {
    const name = key.toString('hex')
    const known = this.#byKey.get(name)
    this.#byKey.delete(name)
    await (await known?.catch(() => null))?.close()
  }

  /** How far each followed core is. */
  async progress(): Promise<ReplicaProgress[]> {
    const all = await Promise.all(this.#byKey.values())
    return Promise.all(all.map((replica) => replica.progress()))
  }

  /** Closes all cores that are followed. */
  async close(): Promise<void> {
    const all = [...this.#byKey.values()]
    this.#byKey.clear()
    for (const opening of all) await (await opening.catch(() => null))?.close()
  }

  async #open(name: string, options: FollowOptions): Promise<Replica> {
    const core = await this.#store.openRemoteCore(options)
    const replica: Replica = new Replica(core, {
      blocks: options.kind === 'records' ? 'small' : 'large',
      isFull: options.isFull,
      onChange: () => {
        this.#events.onChange(replica)
      },
      onConflict: () => {
        this.#byKey.delete(name)
        this.#events.onConflict(core.key)
      }
    })
    return replica
  }
}
