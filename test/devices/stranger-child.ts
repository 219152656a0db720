/**
 * Strangers who know where the drive's devices meet and have no key of it: they look the devices up
 * and call them, again and again, so many at a time. Prints what they got, as JSON. Arguments: the
 * DHT's `host:port`, what is announced (hex), how many calls in all.
 */
import HyperDHT from 'hyperdht'
import { randomBytes } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'

const NODES = 10
const AT_ONCE = 250
/** A refused call is retried by its caller until it gives up, which takes longer. */
const WAIT_MS = 5000

const [address = '', topic = '', count = ''] = process.argv.slice(2)
const [host = '', port = ''] = address.split(':')
const bootstrap = [{ host, port: Number(port) }]
const nodes = Array.from({ length: NODES }, () => new HyperDHT({ bootstrap }))
await Promise.all(nodes.map((node) => node.fullyBootstrapped()))

const devices = new Map<string, readonly HyperDHT.Address[]>()
const [first] = nodes
if (first === undefined) throw new Error('no node')
for await (const { peers } of first.lookup(Buffer.from(topic, 'hex'))) {
  for (const { publicKey, relayAddresses } of peers) {
    devices.set(publicKey.toString('hex'), relayAddresses)
  }
}
let opened = 0
let bytes = 0
for (let done = 0; done < Number(count); done += AT_ONCE) {
  const calls = Array.from({ length: AT_ONCE }, (_, i) => {
    const known = [...devices]
    const [key = '', relayAddresses = []] = known[i % known.length] ?? []
    const connection = nodes[i % NODES]?.connect(Buffer.from(key, 'hex'), {
      keyPair: HyperDHT.keyPair(randomBytes(32)),
      relayAddresses
    })
    connection?.on('error', () => undefined)
    connection?.on('open', () => opened++)
    connection?.on('data', (part: Buffer) => (bytes += part.length))
    return connection
  })
  await sleep(WAIT_MS)
  for (const call of calls) call?.destroy()
}
console.log(JSON.stringify({ devices: devices.size, opened, bytes }))
await Promise.all(nodes.map((node) => node.destroy({ force: true })))
