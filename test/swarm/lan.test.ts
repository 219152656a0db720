import { tempDirectory } from './devices.js'
import { connect, keyOf, Member, noNamespaces, untilAsked } from './members.js'
import { setTimeout as sleep } from 'node:timers/promises'
import { test } from 'tap'

const skip = noNamespaces()

/** Nothing is there (TEST-NET-1), and there is no way to it. */
const nowhere = [{ host: '192.0.2.1', port: 49_737 }]

for (const bootstrap of [[], nowhere]) {
  const what = bootstrap.length === 0 ? 'no DHT' : 'a DHT that can not be reached'
  await test(
    `two machines on one cable with ${what} find each other and sync`,
    { skip },
    async (t) => {
      const a = new Member(t, true)
      const b = new Member(t, true)
      connect('lan0', [a, '10.77.0.1/24'], [b, '10.77.0.2/24'])
      const common = { topic: 5, members: [1, 2], relays: [], network: { bootstrap, lan: true } }
      await a.ask('open', { ...common, directory: await tempDirectory(t), seed: 1, follow: [] })
      await a.ask('append', { count: 100, bytes: 1000 })
      const follow = [{ seed: 1, isFull: true }]
      await b.ask('open', { ...common, directory: await tempDirectory(t), seed: 2, follow })
      const ms = await untilAsked(
        async () => (await b.progress(1)).contiguousLength === 100,
        10_000
      )
      t.comment(`in sync ${ms} ms after the second one started`)
      t.same(await b.peers(), [{ key: keyOf(1), path: 'lan' }])

      b.inside('ip', 'link', 'set', 'lan0', 'down')
      await a.ask('append', { count: 100, bytes: 1000 })
      await sleep(3000)
      t.equal((await b.progress(1)).length, 100)
      b.inside('ip', 'link', 'set', 'lan0', 'up')
      const afterCut = await untilAsked(
        async () => (await b.progress(1)).contiguousLength === 200,
        40_000
      )
      t.comment(`in sync ${afterCut} ms after the cut was mended`)
      await a.ask('close', {})
      await b.ask('close', {})
    }
  )
}
