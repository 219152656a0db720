// runner: timeout=240
/** Whoever knows the place where the devices meet, and has no key of the drive, gets nothing. */
import { join } from 'node:path'
import t from 'tap'
import { pathsOf } from '../../src/daemon/home.js'
import { topicOf } from '../../src/daemon/topic.js'
import { openKeyring } from '../../src/keys/keyring.js'
import { hashParts } from '../../src/keys/secrets.js'
import { must } from '../support/process.js'
import { root } from '../support/workspace.js'
import { noNamespaces } from '../swarm/members.js'
import { allConnected, Network, sameTree } from './machines.js'

t.setTimeout(220_000)
const CALLS = 1000
/** What a person would call a mount that hangs, ms, on a machine that is busy. */
const HANG_MS = 10_000

const skip = noNamespaces()
const title = 'a thousand strangers at the right place get nothing and do not stall the mount'
await t.test(title, { skip }, async (t) => {
  const network = await Network.open(t)
  const machines = await network.addPaired(['laptop', 'desktop'])
  const [laptop, desktop] = machines
  if (laptop === undefined || desktop === undefined) throw new Error('two machines')
  await allConnected(machines)

  const { drive } = await openKeyring(pathsOf(laptop.pcfs.home).keyring)
  const announced = hashParts('pcfs dht topic', [topicOf(drive)]).toString('hex')
  const child = join(root, 'dist', 'test', 'devices', 'stranger-child.js')
  const [dht = ''] = network.bootstrap.split(',')
  const args = [
    '-t',
    String(network.pid),
    '-n',
    process.execPath,
    child,
    dht,
    announced,
    `${CALLS}`
  ]
  const over = new AbortController()
  const flood = must('nsenter', args, { timeoutMs: 120_000 }).finally(() => {
    over.abort()
  })
  let slowest = 0
  let rounds = 0
  for (let i = 0; !over.signal.aborted; i++) {
    const pulse = await laptop.agent('pulse', { ms: 1000 })
    slowest = Math.max(slowest, pulse.slowestMs)
    rounds += pulse.rounds
    await laptop.sh(`echo ${i} > note`)
    const { tookMs } = await sameTree(machines, 30_000)
    t.comment(`${pulse.rounds} rounds, the slowest ${pulse.slowestMs} ms; the other ${tookMs} ms`)
  }
  const got: { devices: number; opened: number; bytes: number } = JSON.parse(await flood)
  t.ok(got.devices >= 1, 'they found the devices')
  t.same({ opened: got.opened, bytes: got.bytes }, { opened: 0, bytes: 0 }, 'and got nothing')
  t.ok(rounds > 0 && slowest < HANG_MS, `the mount went on: ${rounds} rounds, ${slowest} ms`)
  for (const machine of machines) {
    const status = await machine.status()
    t.equal(status?.peers.length, 1, 'the devices are connected with each other and nobody else')
  }
  for (const machine of machines) await machine.pcfs.stop()
})
