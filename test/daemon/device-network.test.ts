// runner: timeout=120
/**
 * Two generations of one drive in this process, connected by a private DHT: what one commits, the
 * other reads as records, page by page, and as content.
 */
import { rm } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import createTestnet from '@hyperswarm/testnet'
import t, { type Test } from 'tap'
import { systemClock } from '../../src/base/clock.js'
import { silentLogger } from '../../src/base/log.js'
import { DeviceNetwork, type Member } from '../../src/daemon/device-network.js'
import { Following } from '../../src/daemon/following.js'
import { generationNumber, sequentialId, type GenerationNumber } from '../../src/format/ids.js'
import { FOREIGN_START, type ForeignCursor } from '../../src/generation/foreign.js'
import { createBlockCipher } from '../../src/keys/block-cipher.js'
import type { Keyring } from '../../src/keys/keyring.js'
import { BLOCK, closeHome, contentOf, frozenOf, newHome, noise } from '../generation/support.js'
import { openHome, wholeFile, type Home, type Piece } from '../generation/support.js'

const TOPIC = Buffer.alloc(32, 7)
const DEADLINE_MS = 30_000

/** Two keyrings of one drive: the same epoch, other keys. */
async function pair(t: Test): Promise<readonly [Home, Home]> {
  const first = await newHome()
  const second = await newHome()
  const { drive, epochs, currentEpoch } = first.keyring
  const keyring: Keyring = { ...second.keyring, drive, epochs, currentEpoch, deviceName: 'second' }
  t.teardown(async () => {
    for (const { directory } of [first, second]) {
      await rm(directory, { recursive: true, force: true })
    }
  })
  return [await openHome(first.directory, first.keyring), await openHome(second.directory, keyring)]
}

function memberOf({ keyring, generation }: Home, isOwn: boolean): Member {
  const { dbKey: db, blobsKey: blobs } = generation.info()
  const noiseKey = keyring.noise.publicKey
  const cores = { db, blobs }
  const id = noiseKey.toString('hex')
  return { id, name: keyring.deviceName, role: 'personal', noiseKey, cores, isActive: true, isOwn }
}

const idAt = (home: Home, counter: number): ReturnType<typeof sequentialId> =>
  sequentialId(home.generation.info().generation, counter)

async function until(isTrue: () => boolean): Promise<void> {
  const end = performance.now() + DEADLINE_MS
  while (!isTrue()) {
    if (performance.now() > end) throw new Error('it did not happen')
    await sleep(10)
  }
}

t.test("what one device commits is followed by the other: each node's newest record", async (t) => {
  const [one, two] = await pair(t)
  const testnet = await createTestnet(3)
  const heard = new Map<string, string>()
  const cursors = new Map<GenerationNumber, ForeignCursor>()
  let network: DeviceNetwork | null = null
  const following = new Following({
    read: async (generation, cursor) => {
      if (!network) throw new Error('not open yet')
      return network.read(generation, cursor)
    },
    cursorOf: (generation) => cursors.get(generation) ?? FOREIGN_START,
    takeIn: (generation, { records, next }) => {
      for (const { id, record } of records) heard.set(id, Buffer.from(record ?? '').toString())
      cursors.set(generation, next)
      return Promise.resolve()
    },
    log: silentLogger
  })
  const open = (home: Home, other: Home, tell: (generation: GenerationNumber) => void) =>
    DeviceNetwork.open({
      store: home.store,
      cipher: createBlockCipher(home.keyring),
      noise: home.keyring.noise,
      topic: TOPIC,
      network: { bootstrap: [], lan: false, dht: testnet.createNode() },
      role: 'personal',
      members: () => [memberOf(home, true), memberOf(other, false)],
      tell: (event) => {
        if (event.type === 'grown') tell(event.generation)
      },
      clock: systemClock(),
      log: silentLogger
    })
  const writing = await open(one, two, () => undefined)
  network = await open(two, one, (generation) => following.note(generation))
  t.teardown(async () => {
    await following.close()
    await network?.close()
    await writing.close()
    await closeHome(one)
    await closeHome(two)
    await testnet.destroy()
  })

  const bytes = noise(200_000, 5)
  const [result] = await one.generation.ingest([wholeFile(bytes)])
  if (!result) throw new Error('no result')
  for (const text of ['old', 'new']) {
    const nodes = [1, 2, 3].map((counter) => {
      return { id: idAt(one, counter), record: Buffer.from(`${text} ${counter}`) }
    })
    await one.generation.commit({ nodes, dirents: [] })
  }
  await one.generation.barrier()
  await until(() => heard.get(idAt(one, 3)) === 'new 3')
  t.strictSame([...heard.values()].sort(), ['new 1', 'new 2', 'new 3'])
  const { generation } = one.generation.info()
  t.equal(generation, generationNumber(one.generation.info().dbKey))
  t.equal(cursors.get(generation)?.version, one.generation.info().dbLength)
  t.strictSame(await contentOf(two.generation, result.map, bytes.length), bytes)

  await one.generation.commit({
    nodes: [{ id: idAt(one, 2), record: Buffer.from('later') }],
    dirents: []
  })
  await one.generation.barrier()
  await until(() => heard.get(idAt(one, 2)) === 'later')
  await until(() => following.isIdle)
  t.strictSame(
    network.peers().map(({ device }) => device),
    [one.keyring.deviceName]
  )
  const [followed] = await network.followed()
  t.match(followed, { generation, db: { length: one.generation.info().dbLength } })
})

t.test(
  'a large head is scanned in pages, and a crash in between repeats no more than a page',
  async (t) => {
    const [one, two] = await pair(t)
    const testnet = await createTestnet(3)
    const count = 6000
    for (let at = 0; at < count; at += 2000) {
      const nodes = Array.from({ length: 2000 }, (_, i) => ({
        id: idAt(one, at + i + 1),
        record: Buffer.from(`record ${at + i + 1}`)
      }))
      await one.generation.commit({ nodes, dirents: [] })
    }
    await one.generation.barrier()
    const open = (home: Home, other: Home) =>
      DeviceNetwork.open({
        store: home.store,
        cipher: createBlockCipher(home.keyring),
        noise: home.keyring.noise,
        topic: TOPIC,
        network: { bootstrap: [], lan: false, dht: testnet.createNode() },
        role: 'personal',
        members: () => [memberOf(home, true), memberOf(other, false)],
        tell: () => undefined,
        clock: systemClock(),
        log: silentLogger
      })
    const writing = await open(one, two)
    const reading = await open(two, one)
    t.teardown(async () => {
      await reading.close()
      await writing.close()
      await closeHome(one)
      await closeHome(two)
      await testnet.destroy()
    })
    const { generation, dbLength } = one.generation.info()
    const lengthThere = async (): Promise<number> =>
      (await reading.followed())[0]?.db.contiguousLength ?? 0
    const end = performance.now() + DEADLINE_MS
    while ((await lengthThere()) < dbLength && performance.now() < end) await sleep(20)
    const seen = new Set<string>()
    let cursor = FOREIGN_START
    let pages = 0
    for (let isComplete = false; !isComplete; pages++) {
      const page = await reading.read(generation, cursor)
      // What was read once is read the same again.
      t.strictSame(await reading.read(generation, cursor), page)
      for (const { id } of page.records) seen.add(id)
      cursor = page.next
      isComplete = page.isComplete
    }
    t.equal(seen.size, count)
    t.ok(pages > 1, `${pages} pages`)
    t.strictSame(cursor, { version: dbLength, scanned: null })
  }
)

/** Two homes, each of which follows the other. */
async function connected(t: Test): Promise<{
  readonly homes: readonly [Home, Home]
  /** Content blocks of the first one that the second one holds. */
  readonly heldThere: () => Promise<number>
}> {
  const homes = await pair(t)
  const [one, two] = homes
  const testnet = await createTestnet(3)
  const open = (home: Home, other: Home) =>
    DeviceNetwork.open({
      store: home.store,
      cipher: createBlockCipher(home.keyring),
      noise: home.keyring.noise,
      topic: TOPIC,
      network: { bootstrap: [], lan: false, dht: testnet.createNode() },
      role: 'personal',
      members: () => [memberOf(home, true), memberOf(other, false)],
      tell: () => undefined,
      clock: systemClock(),
      log: silentLogger
    })
  const writing = await open(one, two)
  const reading = await open(two, one)
  t.teardown(async () => {
    await reading.close()
    await writing.close()
    await closeHome(one)
    await closeHome(two)
    await testnet.destroy()
  })
  const heldThere = async (): Promise<number> =>
    (await reading.followed())[0]?.blobs.heldBlocks ?? 0
  return { homes, heldThere }
}

t.test('an append to a long file of another device costs its block and a leaf', async (t) => {
  const { homes, heldThere } = await connected(t)
  const [one, two] = homes
  // Over five leaves, with more runs in each than a root could hold: every other block is a hole.
  const spans = [0, 1, 2, 3, 4].map((span) => span * 2048)
  const pieces: Piece[] = spans.flatMap((start) =>
    Array.from({ length: 40 }, (_, i) => {
      return { at: (start + 2 * i) * BLOCK, bytes: noise(BLOCK, start + i + 1) }
    })
  )
  const end = (spans.at(-1) ?? 0) * BLOCK + 79 * BLOCK
  const whole = { base: null, baseEnd: 0, size: end, frozen: frozenOf(pieces) }
  const [first] = await one.generation.ingest([whole])
  if (!first) throw new Error('no result')
  await one.generation.barrier()
  const { blobsLength } = one.generation.info()
  t.equal(blobsLength, pieces.length + spans.length, 'blocks and leaves')
  t.equal(await heldThere(), 0, 'none of it is where it was not read')

  const added = Buffer.from('appended elsewhere')
  const append = {
    base: first.map,
    baseEnd: end,
    size: end + added.length,
    frozen: frozenOf([{ at: end, bytes: added }])
  }
  const [second] = await two.generation.ingest([append])
  if (!second) throw new Error('no result')
  await two.generation.barrier()
  t.equal(second.appended, 2, 'the block and the leaf that it is in')
  t.equal(two.generation.info().blobsLength, 2)
  t.strictSame(second.superseded, [], 'nothing of the other device is given up here')
  t.ok((await heldThere()) <= 2, 'at most the last leaf and block came')

  for (const { generation } of [two, one]) {
    for (const piece of [pieces[0], pieces.at(-1)]) {
      if (!piece || !('bytes' in piece)) continue
      const [block] = await generation.read(second.map, piece.at / BLOCK, 1)
      t.ok(block?.equals(piece.bytes), 'a block of the first device')
    }
    const [block] = await generation.read(second.map, end / BLOCK, 1)
    t.ok(block?.subarray(0, added.length).equals(added), 'the block of the second one')
  }

  const edit = {
    base: second.map,
    baseEnd: append.size,
    size: append.size,
    frozen: frozenOf([{ at: 7, bytes: Buffer.from('an edit in the first block') }])
  }
  const [third] = await one.generation.ingest([edit])
  t.equal(third?.appended, 2, 'an edit back there costs its block and its leaf')
  t.equal(one.generation.info().blobsLength, blobsLength + 2)
})

t.test('a file of 10 GiB costs another device its record until it is read', async (t) => {
  const { homes, heldThere } = await connected(t)
  const [one, two] = homes
  const size = 10 * 2 ** 30
  const pieces = Array.from({ length: 160 }, (_, i) => {
    return { at: i * 1024 * BLOCK, bytes: noise(BLOCK, i + 1) }
  })
  const whole = { base: null, baseEnd: 0, size, frozen: frozenOf(pieces) }
  const [result] = await one.generation.ingest([whole])
  if (!result) throw new Error('no result')
  const id = idAt(one, 1)
  await one.generation.commit({ nodes: [{ id, record: result.map }], dirents: [] })
  await one.generation.barrier()
  t.ok(result.map.length < 16_384, `a map of ${result.map.length} bytes`)
  t.equal(await heldThere(), 0)
  t.equal(two.generation.info().blobsLength, 0)
  const last = 159
  const [block] = await two.generation.read(result.map, last * 1024, 1)
  t.ok(block?.equals(noise(BLOCK, last + 1)))
  t.ok((await heldThere()) < pieces.length / 2, 'what was read came, and not the file')
})
