/** Serves a drive of one file of 8 MiB until it is killed. Argument: where the DHT is. */
import HyperDHT from 'hyperdht'
import { parseBootstrap } from '../../src/swarm/swarm.js'
import { noise } from './foreign.js'
import Corestore from 'corestore'
import Hyperdrive from 'hyperdrive'
import Hyperswarm from 'hyperswarm'

const [, , directory = '', bootstrap = ''] = process.argv
const store = new Corestore(directory)
const drive = new Hyperdrive(store.session())
await drive.ready()
await drive.put('/held', Buffer.from('held'))
await drive.put('/large', noise(8 * 2 ** 20, 5))
const swarm = new Hyperswarm({ dht: new HyperDHT({ bootstrap: parseBootstrap(bootstrap) }) })
swarm.on('connection', (connection: HyperDHT.Connection) => {
  connection.on('error', () => undefined)
  store.replicate(connection)
})
swarm.join(drive.discoveryKey, { server: true, client: false })
await swarm.flush()
process.stdout.write(`${drive.key.toString('hex')}\n`)
