/**
 * The other devices, in the store's thread: the group that says who they are, the connections with
 * them, and what a member has to do by itself.
 */
import type { Clock } from '../base/clock.js'
import { type CloseStack, openInSteps } from '../base/close-stack.js'
import type { Logger } from '../base/log.js'
import { Mutex } from '../base/mutex.js'
import { keyBytes, type PublicKey } from '../format/group-keys.js'
import { generationNumber } from '../format/ids.js'
import type { Generation } from '../format/membership.js'
import { acknowledge, ensureEpoch, sealMissing } from '../group/duties.js'
import { Group } from '../group/group.js'
import type { EpochRing } from '../keys/epoch-ring.js'
import { openText } from '../keys/sealing.js'
import type { StoreCipher } from '../store/appender.js'
import type { Store } from '../store/store.js'
import type { NetworkOptions } from '../swarm/swarm.js'
import { DeviceNetwork, type Member } from './device-network.js'
import { groupWarnings } from './group-alarms.js'
import type { KnownGeneration, StoreEvent } from './store-events.js'
import { topicOf } from './topic.js'

/** Duties may be done by several members at once, which is superfluous: each waits a while, ms. */
const DUTY_PAUSE_MS = { least: 50, most: 500 }

/** What it works with. */
export interface StorePeersOptions {
  readonly store: Store
  readonly ring: EpochRing
  readonly cipher: StoreCipher
  /** null: no network. */
  readonly network: NetworkOptions | null
  /** Whether this device says anything in the group by itself: not where it is only looked at. */
  readonly hasDuties: boolean
  readonly tell: (event: StoreEvent) => void
  readonly clock: Clock
  readonly log: Logger
}

/** See the file's head. */
export class StorePeers {
  readonly group: Group
  readonly #options: StorePeersOptions
  readonly #stack: CloseStack
  readonly #duties = new Mutex()
  #network: DeviceNetwork | null = null
  #timer: NodeJS.Timeout | null = null
  #isClosed = false

  private constructor(options: StorePeersOptions, group: Group, stack: CloseStack) {
    this.#options = options
    this.group = group
    this.#stack = stack
  }

  /** Opens the group, then the network. @throws {FsError} as they do */
  static open(options: StorePeersOptions): Promise<StorePeers> {
    return openInSteps(async (stack) => {
      const { store, ring, cipher, clock, log, network, tell } = options
      const { keyring } = ring
      const group = await Group.open({ store, keyring, clock, log })
      stack.push(() => group.close())
      const peers = new StorePeers(options, group, stack)
      stack.push(() => peers.#end())
      await ring.adopt(group.membership.epochs)
      const opened = await DeviceNetwork.open({
        store,
        cipher,
        noise: keyring.noise,
        topic: topicOf(keyring.drive),
        network,
        role: keyring.role,
        members: () => peers.#members(),
        tell,
        clock,
        log
      })
      stack.push(() => opened.close())
      peers.#network = opened
      group.onChange(() => peers.#onChange())
      peers.#onChange()
      return peers
    })
  }

  /** The open network. */
  get network(): DeviceNetwork {
    if (this.#network === null) throw new Error('the network is not open')
    return this.#network
  }

  /** Everybody who belongs or belonged, by what this device has heard. */
  known(): KnownGeneration[] {
    return this.#generations().map((generation) => ({
      device: keyBytes(generation.device).toString('hex'),
      name: this.#nameOf(generation),
      role: generation.role,
      state: generation.state,
      generation: numberOf(generation),
      cut: cutOf(generation),
      isOwn: generation.key === this.group.me
    }))
  }

  /** Ends connections, duties and following. Idempotent. */
  async close(): Promise<void> {
    await this.#stack.close()
  }

  async #end(): Promise<void> {
    this.#isClosed = true
    if (this.#timer !== null) clearTimeout(this.#timer)
    await this.#duties.run(() => Promise.resolve())
  }

  #generations(): Generation[] {
    const all = [...this.group.membership.generations.values()]
    return all.filter(({ state }) => state !== 'void')
  }

  #members(): Member[] {
    return this.#generations().map((generation) => {
      const { cores, noise } = generation.grant
      return {
        id: keyBytes(generation.device).toString('hex'),
        name: this.#shown(generation.key),
        role: generation.role,
        noiseKey: keyBytes(noise),
        cores: cores && { db: keyBytes(cores.db), blobs: keyBytes(cores.blobs) },
        isActive: generation.state === 'active',
        isOwn: generation.key === this.group.me
      }
    })
  }

  #nameOf({ grant, key }: Generation): string | null {
    const { ring } = this.#options
    if (key === this.group.me) return ring.keyring.deviceName
    return grant.name && openText(grant.name, ring.epochs)
  }

  /** A device for people, given the key of any of its generations. */
  #shown(key: PublicKey): string {
    const generation = this.group.membership.generations.get(key)
    const name = generation && this.#nameOf(generation)
    return name ?? `device ${keyBytes(key).toString('hex').slice(0, 8)}`
  }

  /** Membership has changed: who is new can read, is followed and let in at once. */
  #onChange(): void {
    if (this.#isClosed) return
    this.#duties
      .run(async () => {
        await this.#options.ring.adopt(this.group.membership.epochs)
        await this.#network?.refresh()
      })
      .then(() => this.#tellMembers())
      .catch((err: unknown) => this.#warn(err))
    if (this.#options.hasDuties) this.#expectDuties()
  }

  #tellMembers(): void {
    const { membership, coreAlarms } = this.group
    const warnings = groupWarnings(membership, coreAlarms, (key) => this.#shown(key))
    this.#options.tell({ type: 'members', known: this.known(), warnings })
  }

  #expectDuties(): void {
    const { least, most } = DUTY_PAUSE_MS
    this.#timer ??= setTimeout(
      () => {
        this.#timer = null
        this.#duties.run(() => this.#doDuties()).catch((err: unknown) => this.#warn(err))
      },
      least + Math.random() * (most - least)
    )
  }

  async #doDuties(): Promise<void> {
    const { ring } = this.#options
    if (this.#isClosed || !this.group.isActive) return
    await ensureEpoch(this.group, ring)
    await sealMissing(this.group, ring)
    await acknowledge(this.group)
  }

  #warn(err: unknown): void {
    if (!this.#isClosed) this.#options.log.warn({ err }, 'a duty in the group could not be done')
  }
}

/** How many blocks of its db core count; null: all. */
function cutOf({ grant, cut }: Generation): number | null {
  if (cut === null || grant.cores === null) return null
  return cut.find(({ key }) => key === grant.cores?.db)?.length ?? 0
}

function numberOf({ grant }: Generation): ReturnType<typeof generationNumber> | null {
  return grant.cores && generationNumber(keyBytes(grant.cores.db))
}
