// runner: timeout=120
/** Another generation's records: by history, and where that was cleared by its head. */
import { rm } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import createTestnet from '@hyperswarm/testnet'
import t, { type Test } from 'tap'
import { systemClock } from '../../src/base/clock.js'
import { silentLogger } from '../../src/base/log.js'
import { DeviceNetwork, type Member } from '../../src/daemon/device-network.js'
import { generationNumber } from '../../src/format/ids.js'
import { FOREIGN_START, type ForeignPage } from '../../src/generation/foreign.js'
import { createBlockCipher } from '../../src/keys/block-cipher.js'
import type { Keyring } from '../../src/keys/keyring.js'
import { nodeOf } from './crash-support.js'
import { type Home, closeHome, newHome, openHome } from './support.js'

const OTHER = generationNumber(Buffer.alloc(32, 9))
const DEADLINE_MS = 30_000

/** Two homes of one drive that will find each other. */
class Pair {
  readonly #networks: DeviceNetwork[] = []

  private constructor(
    readonly homes: readonly [Home, Home],
    private readonly testnet: Awaited<ReturnType<typeof createTestnet>>
  ) {}

  static async create(t: Test): Promise<Pair> {
    const first = await newHome()
    const second = await newHome()
    const { drive, epochs, currentEpoch } = first.keyring
    const keyring: Keyring = { ...second.keyring, drive, epochs, currentEpoch }
    const one = await openHome(first.directory, first.keyring)
    const two = await openHome(second.directory, keyring)
    const pair = new Pair([one, two], await createTestnet(3))
    t.teardown(async () => {
      for (const network of pair.#networks) await network.close()
      for (const home of pair.homes) await closeHome(home)
      for (const { directory } of [first, second]) {
        await rm(directory, { recursive: true, force: true })
      }
      await pair.testnet.destroy()
    })
    return pair
  }

  async connect(): Promise<DeviceNetwork> {
    for (const home of this.homes) {
      this.#networks.push(
        await DeviceNetwork.open({
          store: home.store,
          cipher: createBlockCipher(home.keyring),
          noise: home.keyring.noise,
          topic: Buffer.alloc(32, 7),
          network: { bootstrap: [], lan: false, dht: this.testnet.createNode() },
          role: 'personal',
          members: () => this.homes.map((each) => memberOf(each, each === home)),
          tell: () => undefined,
          clock: systemClock(),
          log: silentLogger
        })
      )
    }
    const [, second] = this.#networks
    if (!second) throw new Error('two networks')
    return second
  }
}

function memberOf({ keyring, generation }: Home, isOwn: boolean): Member {
  const { dbKey: db, blobsKey: blobs } = generation.info()
  const noiseKey = keyring.noise.publicKey
  return {
    id: db.toString('hex'),
    name: 'a device',
    role: 'personal',
    noiseKey,
    cores: { db, blobs },
    isActive: true,
    isOwn
  }
}

/** Reads until so many nodes are known; what each says, and what was said to be seen. */
async function readAll(
  network: DeviceNetwork,
  home: Home,
  isEnough: (known: ReadonlyMap<string, string>) => boolean
): Promise<{ known: Map<string, string>; seen: number[] }> {
  const known = new Map<string, string>()
  const seen: number[] = []
  const { generation } = home.generation.info()
  let cursor = FOREIGN_START
  const endMs = performance.now() + DEADLINE_MS
  while (!isEnough(known)) {
    if (performance.now() > endMs) throw new Error('it did not come')
    const page: ForeignPage = await network.read(generation, cursor)
    for (const { id, record } of page.records) known.set(id, Buffer.from(record ?? '').toString())
    seen.push(...(page.seen ?? []).map(({ length }) => length))
    cursor = page.next
    if (page.isComplete) await sleep(20)
  }
  return { known, seen }
}

for (const isSwept of [false, true]) {
  const title = isSwept
    ? 'who comes when history was cleared reads the head'
    : 'records and reports come in the order of history'
  t.test(title, async (t) => {
    const pair = await Pair.create(t)
    const [home] = pair.homes
    const { generation } = home
    const texts = ['old', 'newer', 'newest']
    for (const [round, text] of texts.entries()) {
      const nodes = [1, 2, 3].map((n) => ({ id: nodeOf(n), record: Buffer.from(text) }))
      const seen = [{ generation: OTHER, length: 10 * (round + 1) }]
      await generation.commit({ nodes, dirents: [], seen })
    }
    const keepFrom = generation.info().dbLength
    if (isSwept) t.ok((await generation.sweepRecords({ keepFrom, isForced: true })) > 5)
    await generation.barrier()
    const network = await pair.connect()
    const isNewest = (known: ReadonlyMap<string, string>): boolean =>
      [1, 2, 3].every((n) => known.get(nodeOf(n)) === 'newest')
    const { known, seen } = await readAll(network, home, isNewest)
    t.equal(known.size, 3)
    t.equal(seen.at(-1), 30)

    const later = [{ id: nodeOf(4), record: Buffer.from('later') }]
    await generation.commit({ nodes: later, dirents: [] })
    await generation.barrier()
    const again = await readAll(network, home, (all) => all.get(nodeOf(4)) === 'later')
    t.equal(again.known.size, 4)
  })
}
