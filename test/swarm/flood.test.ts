import { newSigningPair } from '../../src/keys/secrets.js'
import { append, cipher as encryption, privateDht, textBlocks, until, World } from './devices.js'
import { execFile } from 'node:child_process'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import { test } from 'tap'

await test('a thousand strangers at once are all refused and stall nothing', async (t) => {
  const testnet = await privateDht(t)
  const world = new World(t, testnet)
  let asked = 0
  const isMember = (noiseKey: Buffer): boolean => {
    asked++
    return world.isMember(noiseKey)
  }
  const dht = testnet.createNode()
  const a = await world.device({ isMember, network: { bootstrap: [], lan: false, dht } })
  const b = await world.device()
  await until(() => a.swarm.peers().length === 1 && b.swarm.peers().length === 1)
  const own = await a.store.openCore({ keyPair: newSigningPair() })
  await append(a, own, textBlocks(0, 1))
  const options = { key: own.key, encryption, kind: 'records', isFull: true } as const
  const { core } = await b.replicas.follow(options)

  const delay = monitorEventLoopDelay({ resolution: 5 })
  delay.enable()
  const child = new URL('flood-child.js', import.meta.url).pathname
  const ports = [testnet.bootstrap[0]?.port, dht.localAddress()?.port].map(String)
  const args = [child, ...ports, a.keyPair.publicKey.toString('hex'), '1000']
  const flood = promisify(execFile)(process.execPath, args)
  const over = new AbortController()
  const watching = flood.finally(() => {
    over.abort()
  })
  const waits: number[] = []
  for (let i = 1; !over.signal.aborted; i++) {
    const startedMs = performance.now()
    await append(a, own, textBlocks(i, 1))
    await until(() => core.contiguousLength === i + 1)
    waits.push(performance.now() - startedMs)
    await sleep(50)
  }
  const { stdout } = await watching
  delay.disable()
  const { opened }: { opened: number } = JSON.parse(stdout)
  waits.sort((x, y) => x - y)
  const longest = Math.round(waits.at(-1) ?? 0)
  const stallMs = Math.round(delay.max / 1e6)
  t.comment(`loop delayed ${stallMs} ms at most, an append seen by the peer in ${longest} ms`)
  t.ok(asked >= 1000, 'all of them came as far as the handshake')
  t.equal(opened, 0)
  t.equal(a.swarm.peers().length, 1)
  // A second is what a person would call a stall; measured is a twentieth of it.
  t.ok(stallMs < 1000 && longest < 2000)
})
