// runner: timeout=300
/** What happens to laptops: no internet, another address, sleep. */
import { setTimeout as sleep } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { signal } from '../support/pcfs.js'
import { noNamespaces } from '../swarm/members.js'
import { allConnected, Network, NOWHERE, sameTree, type Machine } from './machines.js'

t.setTimeout(280_000)
const SLEEP_MS = 30_000
const skip = noNamespaces()

async function pair(t: Test, bootstrap?: string): Promise<readonly [Machine, Machine]> {
  const network = await Network.open(t, bootstrap === undefined)
  const machines = await network.addPaired(['laptop', 'desktop'], bootstrap)
  const [laptop, desktop] = machines
  if (laptop === undefined || desktop === undefined) throw new Error('two machines')
  t.comment(`connected after ${await allConnected(machines)} ms`)
  return [laptop, desktop]
}

async function stop(machines: readonly Machine[]): Promise<void> {
  for (const machine of machines) await machine.pcfs.stop()
}

await t.test('two machines on one link sync without a DHT to be reached', { skip }, async (t) => {
  const both = await pair(t, NOWHERE)
  const [laptop, desktop] = both
  await laptop.sh('echo hello > f; mkdir d; echo inside > d/g')
  t.comment(`the same after ${(await sameTree(both)).tookMs} ms`)
  t.equal(await desktop.sh('cat f d/g'), 'hello\ninside\n')
  t.match((await desktop.status())?.peers, [{ device: 'laptop', path: 'lan' }])
  await stop(both)
})

await t.test('after a change of address and a sleep nothing is sent again', { skip }, async (t) => {
  const both = await pair(t)
  const [laptop, desktop] = both
  const MB = 1_000_000
  await laptop.sh(`head -c ${20 * MB} /dev/urandom > large; sync large`)
  await sameTree(both)
  const all = await desktop.receivedBytes()
  t.ok(all > 20 * MB, `it came over the cable: ${all} bytes`)

  await laptop.ip('addr', 'flush', 'dev', 'eth0')
  await laptop.ip('addr', 'add', '10.88.0.77/24', 'dev', 'eth0')
  await laptop.sh('echo moved > moved')
  t.comment(`the same ${(await sameTree(both)).tookMs} ms after the address changed`)
  const moved = (await desktop.receivedBytes()) - all

  const asleep = await laptop.pcfs.daemonPid()
  signal(asleep, 'SIGSTOP')
  await desktop.sh(`head -c ${2 * MB} /dev/urandom > meanwhile; echo changed > moved; mkdir new`)
  await sleep(SLEEP_MS)
  const before = await laptop.receivedBytes()
  signal(asleep, 'SIGCONT')
  t.comment(`the same ${(await sameTree(both)).tookMs} ms after it woke up`)
  t.equal(await laptop.sh('cat moved'), 'changed\n')
  const woken = (await laptop.receivedBytes()) - before
  t.ok(moved < MB, `moving cost ${moved} bytes`)
  t.ok(woken > 2 * MB && woken < 4 * MB, `what was new came once: ${woken} bytes`)
  await stop(both)
})
