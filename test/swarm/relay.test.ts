import { tempDirectory } from './devices.js'
import { connect, keyOf, Member, noNamespaces, untilAsked } from './members.js'
import { test } from 'tap'

// Device 1, the relay, is the only one that both others can reach; its machine runs the DHT too.
await test(
  'two machines that can not reach each other sync through a cloud device',
  { skip: noNamespaces() },
  async (t) => {
    t.setTimeout(120_000)
    const hub = new Member(t, true)
    const a = new Member(t, true)
    const b = new Member(t, true)
    connect('net-a', [hub, '10.98.1.1/24'], [a, '10.98.1.2/24'])
    connect('net-b', [hub, '10.98.2.1/24'], [b, '10.98.2.2/24'])
    hub.inside('ip', 'addr', 'add', '10.99.0.1/32', 'dev', 'lo')
    hub.inside('sysctl', '-qw', 'net.ipv4.ip_forward=0')
    a.inside('ip', 'route', 'add', 'default', 'via', '10.98.1.1')
    b.inside('ip', 'route', 'add', 'default', 'via', '10.98.2.1')
    const dht = { host: '10.99.0.1', port: 40_000 }
    await hub.ask('dht', dht)
    const network = { bootstrap: [dht], lan: false }
    const common = { topic: 6, members: [1, 2, 3], relays: [1], network }
    await hub.ask('open', {
      ...common,
      directory: await tempDirectory(t),
      seed: 1,
      follow: [],
      host: dht.host
    })
    const follow = [{ seed: 2, isFull: true }]
    await a.ask('open', { ...common, directory: await tempDirectory(t), seed: 2, follow: [] })
    await b.ask('open', { ...common, directory: await tempDirectory(t), seed: 3, follow })
    await a.ask('append', { count: 1000, bytes: 65_000 })
    const connected = await untilAsked(
      async () => (await b.peers()).some(({ key }) => key === keyOf(2)),
      60_000
    )
    const synced = await untilAsked(
      async () => (await b.progress(2)).contiguousLength === 1000,
      60_000
    )
    t.comment(`connected ${connected} ms after the append; its 65 MB there ${synced} ms later`)
    const paths = new Map((await b.peers()).map(({ key, path }) => [key, path]))
    t.equal(paths.get(keyOf(2)), 'relay')
    t.not(paths.get(keyOf(1)), 'relay', 'the relay itself is reached directly')
  }
)
