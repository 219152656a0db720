/** Devices for tests: each a real store and a real swarm, on a private DHT on 127.0.0.1. */
import { systemClock } from '../../src/base/clock.js'
import { silentLogger } from '../../src/base/log.js'
import { CIPHER_OVERHEAD_BYTES, createBlockCipher } from '../../src/keys/block-cipher.js'
import { epochOf } from '../../src/keys/epoch.js'
import { type KeyPair, newSigningPair } from '../../src/keys/secrets.js'
import type { Core } from '../../src/store/core.js'
import type { Replica } from '../../src/store/replica.js'
import { Store } from '../../src/store/store.js'
import { Replicas } from '../../src/swarm/replicas.js'
import { openSwarm, type Swarm, type SwarmOptions } from '../../src/swarm/swarm.js'
import createTestnet from '@hyperswarm/testnet'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Test } from 'tap'

const epoch = epochOf(Buffer.alloc(32, 1), Buffer.alloc(32, 2))

/** The cipher that all devices of a test have. */
export const cipher = createBlockCipher({ epochs: [epoch], currentEpoch: epoch })

/** A topic that all devices of a test have. */
export const topic = Buffer.alloc(32, 7)

/** A running device. */
export interface Device {
  readonly keyPair: KeyPair
  readonly store: Store
  readonly swarm: Swarm
  readonly replicas: Replicas
  /** Called at each change of a followed core. */
  onChange: (replica: Replica) => void
}

/** A directory that goes with the test. */
export async function tempDirectory(t: Test): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'pcfs-swarm-'))
  t.teardown(() => rm(directory, { recursive: true, force: true }))
  return directory
}

/** A private DHT that goes with the test. */
export async function privateDht(t: Test): Promise<Awaited<ReturnType<typeof createTestnet>>> {
  const testnet = await createTestnet(3)
  t.teardown(() => testnet.destroy())
  return testnet
}

/** A world of members on one DHT: devices that know each other by a shared list. */
export class World {
  readonly members = new Set<string>()
  readonly #t: Test
  readonly #testnet: Awaited<ReturnType<typeof createTestnet>>

  constructor(t: Test, testnet: Awaited<ReturnType<typeof createTestnet>>) {
    this.#t = t
    this.#testnet = testnet
  }

  static async create(t: Test): Promise<World> {
    return new World(t, await privateDht(t))
  }

  admit(keyPair: KeyPair): void {
    this.members.add(keyPair.publicKey.toString('hex'))
  }

  isMember = (noiseKey: Buffer): boolean => this.members.has(noiseKey.toString('hex'))

  /** A member's device, closed with the test. */
  async device(options: Partial<SwarmOptions> & { directory?: string } = {}): Promise<Device> {
    const { directory, ...rest } = options
    const keyPair = options.keyPair ?? newSigningPair()
    this.admit(keyPair)
    const network = { bootstrap: [], lan: false, dht: this.#testnet.createNode() }
    return openDevice(this.#t, {
      directory: directory ?? (await tempDirectory(this.#t)),
      options: { keyPair, network, isMember: this.isMember, ...rest }
    })
  }
}

/** Opens store, swarm and replicas; closed with the test. */
export async function openDevice(
  t: Test,
  parts: {
    readonly directory: string
    readonly options: Pick<SwarmOptions, 'keyPair' | 'network' | 'isMember'> & Partial<SwarmOptions>
  }
): Promise<Device> {
  const store = await Store.open({ directory: parts.directory, cipher })
  const { keyPair } = parts.options
  const swarm = await openSwarm({
    topic,
    store,
    clock: systemClock(),
    log: silentLogger,
    ...parts.options
  })
  const replicas = new Replicas(store, {
    onChange: (replica) => {
      device.onChange(replica)
    },
    onConflict: (key) => t.fail(`core ${key.toString('hex')} is forked`)
  })
  const device: Device = { keyPair, store, swarm, replicas, onChange: () => undefined }
  t.teardown(async () => {
    await swarm.close()
    await replicas.close()
    await store.close()
  })
  return device
}

/** Appends blocks to a core of ours and makes them durable, so that peers hear of them. */
export async function append(device: Device, core: Core, blocks: readonly Buffer[]): Promise<void> {
  await appendOnly(device, core, blocks)
  await device.store.barrier()
}

/** Appends without a barrier. */
export async function appendOnly(
  device: Device,
  core: Core,
  blocks: readonly Buffer[]
): Promise<void> {
  const room = Buffer.alloc(CIPHER_OVERHEAD_BYTES)
  const appender = await device.store.openAppender(core)
  await appender.append(blocks.map((block) => Buffer.concat([room, block])))
  await appender.close()
}

/** Waits until something holds; fails after the deadline. */
export async function until(holds: () => boolean, ms = 10_000): Promise<void> {
  const end = performance.now() + ms
  while (!holds()) {
    if (performance.now() > end) throw new Error(`did not happen in ${ms} ms: ${holds.toString()}`)
    await sleep(2)
  }
}

/** Text blocks that can be told apart. */
export function textBlocks(from: number, count: number): Buffer[] {
  return Array.from({ length: count }, (_, i) => Buffer.from(`block ${from + i}`))
}
