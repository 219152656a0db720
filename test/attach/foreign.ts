/** Somebody else's drive: a stock hyperdrive that a stock swarm serves, on a private DHT. */
import createTestnet from '@hyperswarm/testnet'
import Corestore from 'corestore'
import type HyperDHT from 'hyperdht'
import Hyperdrive from 'hyperdrive'
import Hyperswarm from 'hyperswarm'
import { createCipheriv, createHash } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Test } from 'tap'

/** A private DHT. */
export type Testnet = Awaited<ReturnType<typeof createTestnet>>

/**
 * A private DHT that goes with the test; with fewer nodes nobody finds out how others can call it.
 */
export async function privateDht(t: Test): Promise<Testnet> {
  const testnet = await createTestnet(6)
  t.teardown(() => testnet.destroy())
  return testnet
}

/** What `PCFS_BOOTSTRAP` says of a private DHT. */
export function bootstrapOf(testnet: Testnet): string {
  return testnet.bootstrap.map(({ host, port }) => `${host}:${port}`).join(',')
}

/** A drive and who serves it. */
export class ForeignDriveServer {
  #swarm: Hyperswarm | null = null

  private constructor(
    readonly drive: Hyperdrive,
    private readonly store: Corestore,
    private readonly testnet: Testnet
  ) {}

  /** Makes an empty drive that is served until the test ends. */
  static async create(t: Test, testnet: Testnet): Promise<ForeignDriveServer> {
    const directory = await mkdtemp(join(tmpdir(), 'pcfs-foreign-'))
    const store = new Corestore(directory)
    const drive = new Hyperdrive(store.session())
    await drive.ready()
    const server = new ForeignDriveServer(drive, store, testnet)
    t.teardown(async () => {
      await server.leave()
      await drive.close()
      await store.close()
      await rm(directory, { recursive: true, force: true })
    })
    await server.serve()
    return server
  }

  /** Hexadecimal. */
  get key(): string {
    return this.drive.key.toString('hex')
  }

  /** Connections that are open. */
  get connections(): Iterable<HyperDHT.Connection> {
    return this.#swarm?.connections ?? []
  }

  /** Goes onto the network. */
  async serve(): Promise<void> {
    const swarm = new Hyperswarm({ dht: this.testnet.createNode() })
    this.#swarm = swarm
    swarm.on('connection', (connection: HyperDHT.Connection) => {
      connection.on('error', () => undefined)
      this.store.replicate(connection)
    })
    swarm.join(this.drive.discoveryKey, { server: true, client: false })
    await swarm.flush()
  }

  /** Leaves the network. */
  async leave(): Promise<void> {
    await this.#swarm?.destroy()
    this.#swarm = null
  }
}

/** Bytes that repeat nowhere: a stream cipher's, of zeros. */
export function noise(length: number, seed: number): Buffer {
  const key = createHash('sha256').update(String(seed)).digest()
  return createCipheriv('chacha20', key, Buffer.alloc(16)).update(Buffer.alloc(length))
}

/** SHA-256, hexadecimal. */
export function digest(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex')
}
