// runner: timeout=120
/** A log that programs on two devices have open: what one appends the other does not overwrite. */
import t from 'tap'
import { noNamespaces } from '../swarm/members.js'
import { allConnected, Network, sameTree } from './machines.js'

t.setTimeout(110_000)

/**
 * Appends, and again when the other device's line is here; it looks at another name to know that,
 * for a look at the file itself would tell the kernel its size.
 */
const PROGRAM = `
import os, time
fd = os.open('log', os.O_WRONLY | os.O_APPEND | os.O_CREAT)
os.write(fd, b'first\\n')
os.close(os.open('begun', os.O_CREAT | os.O_WRONLY))
end = time.monotonic() + 50
while not os.path.exists('there') and time.monotonic() < end:
    time.sleep(0.02)
os.write(fd, b'third\\n')
os.write(fd, b'fourth\\n')
print(open('log').read(), end='')
`

const skip = noNamespaces()
await t.test('a program appends to a file that another device made longer', { skip }, async (t) => {
  const network = await Network.open(t)
  const machines = await network.addPaired(['laptop', 'desktop'])
  const [laptop, desktop] = machines
  if (laptop === undefined || desktop === undefined) throw new Error('two machines')
  await allConnected(machines)
  const program = laptop.run('python3', ['-c', PROGRAM], { timeoutMs: 60_000 })
  await desktop.sh('for i in $(seq 300); do test -e begun && break; sleep 0.1; done; cat log')
  await desktop.sh('echo second >> log; sync log; echo > there')
  const lines = 'first\nsecond\nthird\nfourth\n'
  t.match(await program, { code: 0, stdout: lines })
  await sameTree(machines)
  t.equal(await desktop.sh('cat log*'), lines)
  for (const machine of machines) await machine.pcfs.stop()
})
