import { privateDht, tempDirectory } from './devices.js'
import { Member, untilAsked } from './members.js'
import { setTimeout as sleep } from 'node:timers/promises'
import { test } from 'tap'

/** 64 MiB: seconds of transfer. */
const BLOCKS = 1024

await test('either side is killed in the middle: nothing is sent twice, nothing forks', async (t) => {
  t.setTimeout(120_000)
  const testnet = await privateDht(t)
  const network = { bootstrap: testnet.bootstrap, lan: false }
  // Bound to loopback, as the private DHT is.
  const common = { topic: 8, members: [1, 2], relays: [], network, host: '127.0.0.1' }
  const writerHome = { ...common, seed: 1, directory: await tempDirectory(t), follow: [] }
  const follow = [{ seed: 1, isFull: true }]
  const readerHome = { ...common, seed: 2, directory: await tempDirectory(t), follow }
  const start = async (home: typeof readerHome | typeof writerHome): Promise<Member> => {
    const member = new Member(t)
    await member.ask('open', home)
    return member
  }
  let writer = await start(writerHome)
  await writer.ask('append', { count: BLOCKS, bytes: 65_000 })
  let reader = await start(readerHome)
  let received = 0
  const heldAtLeast = async (blocks: number): Promise<void> => {
    await untilAsked(async () => (await reader.progress(1)).heldBlocks >= blocks, 60_000)
  }

  await heldAtLeast(BLOCKS / 8)
  received += (await reader.progress(1)).received
  await reader.kill()
  reader = await start(readerHome)
  const kept = (await reader.progress(1)).heldBlocks
  t.ok(kept >= BLOCKS / 8, 'the reader has what it had')

  await heldAtLeast(BLOCKS / 2)
  await writer.kill()
  await sleep(100)
  writer = await start(writerHome)
  const mended = await untilAsked(
    async () => (await reader.progress(1)).heldBlocks === BLOCKS,
    60_000
  )
  t.comment(`whole ${mended} ms after the writer came back`)
  received += (await reader.progress(1)).received
  // Blocks that were on their way, or not counted yet, when a side was killed.
  t.ok(received <= BLOCKS + 128, `${received} blocks came for ${BLOCKS}`)

  await writer.ask('append', { count: 10, bytes: 100 })
  await untilAsked(async () => (await reader.progress(1)).contiguousLength === BLOCKS + 10, 20_000)
  t.match(await reader.ask('read', { seed: 1, block: BLOCKS + 9, timeoutMs: 0 }), {
    number: BLOCKS + 9
  })
  await reader.ask('close', {})
  await writer.ask('close', {})
})
