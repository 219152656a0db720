import { tempDirectory } from './devices.js'
import { connect, keyOf, Member, noNamespaces, untilAsked } from './members.js'
import { setTimeout as sleep } from 'node:timers/promises'
import { type Test, test } from 'tap'

const skip = noNamespaces()

/** Nothing is there (TEST-NET-1), and there is no way to it. */
const nowhere = [{ host: '192.0.2.1', port: 49_737 }]

async function pair(
  t: Test,
  bootstrap: readonly { host: string; port: number }[]
): Promise<{ a: Member; b: Member }> {
  const a = new Member(t, true)
  const b = new Member(t, true)
  connect('lan0', [a, '10.77.0.1/24'], [b, '10.77.0.2/24'])
  const common = { topic: 5, members: [1, 2], relays: [], network: { bootstrap, lan: true } }
  await a.ask('open', { ...common, directory: await tempDirectory(t), seed: 1, follow: [] })
  await a.ask('append', { count: 100, bytes: 1000 })
  const follow = [{ seed: 1, isFull: true }]
  await b.ask('open', { ...common, directory: await tempDirectory(t), seed: 2, follow })
  return { a, b }
}

/** Waits until b has so many blocks of a; says how long it took. */
async function inSync(t: Test, b: Member, blocks: number, what: string): Promise<void> {
  const isThere = async (): Promise<boolean> => (await b.progress(1)).contiguousLength === blocks
  t.comment(`in sync ${await untilAsked(isThere, 20_000)} ms after ${what}`)
}

await test(
  'two machines on one cable without a DHT sync, after a cut and a move too',
  { skip },
  async (t) => {
    const { a, b } = await pair(t, [])
    await inSync(t, b, 100, 'the second one started')
    t.same(await b.peers(), [{ key: keyOf(1), path: 'lan' }])

    b.inside('ip', 'link', 'set', 'lan0', 'down')
    await a.ask('append', { count: 100, bytes: 1000 })
    await sleep(3000)
    t.equal((await b.progress(1)).length, 100)
    b.inside('ip', 'link', 'set', 'lan0', 'up')
    await inSync(t, b, 200, 'the cut was mended')

    b.inside('ip', 'addr', 'flush', 'dev', 'lan0')
    b.inside('ip', 'addr', 'add', '10.77.0.3/24', 'dev', 'lan0')
    await a.ask('append', { count: 100, bytes: 1000 })
    await inSync(t, b, 300, 'the address changed')
    await a.ask('close', {})
    await b.ask('close', {})
  }
)

await test(
  'a DHT that can not be reached delays nothing on the local network',
  { skip },
  async (t) => {
    const { b } = await pair(t, nowhere)
    await inSync(t, b, 100, 'the second one started')
    t.same(await b.peers(), [{ key: keyOf(1), path: 'lan' }])
  }
)
