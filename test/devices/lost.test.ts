// runner: timeout=240
/** The device that the drive began with is lost for ever: the others go on, and grow. */
import t from 'tap'
import { run } from '../support/process.js'
import { noNamespaces } from '../swarm/members.js'
import { allConnected, Network, sameTree, type Machine } from './machines.js'

t.setTimeout(220_000)

/** Waits until names are there. */
async function shows(machine: Machine, ...paths: readonly string[]): Promise<void> {
  const there = paths
    .map((path) => `test ${path.startsWith('!') ? path : `-e ${path}`}`)
    .join(' && ')
  await machine.sh(`for i in $(seq 300); do ${there} && exit 0; sleep 0.1; done; ls -lR; exit 1`)
}

const skip = noNamespaces()
const title = 'with the first device lost for ever writing, reading and pairing go on'
await t.test(title, { skip }, async (t) => {
  const network = await Network.open(t)
  const first = await network.first('first')
  await first.sh('mkdir d; echo hello > d/read; for i in 1 2 3 4; do echo $i > d/$i; done')
  const second = await network.joined(first, 'second')
  await allConnected([first, second])
  await sameTree([first, second])
  // What nobody but the first one ever has: its name comes over, its content is asked for by none.
  await first.sh('head -c 3000000 /dev/urandom > d/unread')
  await shows(second, 'd/unread')

  await first.remove()
  await run('rm', ['-rf', first.pcfs.home])
  await second.sh('echo more >> d/read; mv d e; echo new > e/new')
  t.equal(await second.sh('cat e/read e/3'), 'hello\nmore\n3\n', 'what was read here is here')

  const third = await network.joined(second, 'third')
  const rest = [second, third]
  await allConnected(rest)
  await shows(third, 'e/read', 'e/3', 'e/new')
  t.equal(await third.sh('cat e/read e/3 e/new'), 'hello\nmore\n3\nnew\n', 'from who has it')
  await third.sh('echo third > e/third; rm e/4')
  await shows(second, 'e/third', '! -e e/4')
  t.equal(await second.sh('ls e; cat e/third'), '1\n2\n3\nnew\nread\nthird\nunread\nthird\n')

  const lost = await third.run('cat', ['e/unread'], { timeoutMs: 60_000 })
  t.equal(lost.code, 1)
  t.match(
    lost.stderr,
    /No route to host|Input\/output error/,
    'nobody has it: it fails and says so'
  )
  await third.sh('rm e/unread')
  t.comment(`the same after ${(await sameTree(rest)).tookMs} ms`)
  for (const machine of rest) await machine.pcfs.stop()
})
