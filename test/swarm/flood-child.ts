/**
 * Strangers that call a device all at once, from ten nodes; prints how many got through. They know
 * the device's address, so that nothing slows them down. Arguments: the DHT's port, the device's
 * port and Noise key in hex, number of strangers.
 */
import HyperDHT from 'hyperdht'
import { setTimeout as sleep } from 'node:timers/promises'

const NODES = 10

/** A refused call is retried by its caller until it gives up, which takes longer. */
const WAIT_MS = 6000

const [dhtPort = '', port = '', key = '', count = ''] = process.argv.slice(2)
const host = '127.0.0.1'
const bootstrap = [{ host, port: Number(dhtPort) }]
const nodes = Array.from({ length: NODES }, () => new HyperDHT({ bootstrap, host }))
await Promise.all(nodes.map((node) => node.fullyBootstrapped()))
let opened = 0
const calls = Array.from({ length: Number(count) }, (_, i) => {
  const seed = Buffer.alloc(32)
  seed.writeUInt32BE(i)
  const connection = nodes[i % NODES]?.connect(Buffer.from(key, 'hex'), {
    keyPair: HyperDHT.keyPair(seed),
    relayAddresses: [{ host, port: Number(port) }]
  })
  connection?.on('error', () => undefined)
  connection?.on('open', () => opened++)
  return connection
})
await sleep(WAIT_MS)
console.log(JSON.stringify({ opened }))
for (const call of calls) call?.destroy()
await Promise.all(nodes.map((node) => node.destroy({ force: true })))
