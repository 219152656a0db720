// runner: timeout=300
/** What once was lost by a kill or a restart. */
import t from 'tap'
import { mounted } from './mounted.js'

/** Makes a file without a name, writes to it, then names it `linked`. */
const LINK_UNNAMED = `
import os, time
fd = os.open('.', os.O_TMPFILE | os.O_RDWR, 0o644)
os.write(fd, b'A' * 200_000)
here = os.open('.', os.O_RDONLY)
os.link('/proc/self/fd/%d' % fd, 'linked', src_dir_fd=here, follow_symlinks=True)
`

const SUM = "sha256sum linked; head -c 200000 /dev/zero | tr '\\0' A | sha256sum"

function isSame(sums: string): boolean {
  const [first, second] = sums.split('\n').map((line) => line.split(' ')[0])
  return first === second
}

t.test('what was written to an O_TMPFILE file before linkat survives a restart', async (t) => {
  const { python, sh, restart } = await mounted(t)
  await python(LINK_UNNAMED)
  await restart()
  t.ok(isSame(await sh(SUM)))
})

t.test('what was written to an O_TMPFILE file before linkat survives kill -9', async (t) => {
  const { python, sh, crash } = await mounted(t)
  await python(LINK_UNNAMED)
  await crash()
  t.ok(isSame(await sh(SUM)))
})

t.test('times that were set after the last write survive kill -9', async (t) => {
  const { sh, crash } = await mounted(t)
  await sh('mkdir d; for i in 1 2 3; do echo $i > d/$i; touch -d @1000000000 d/$i; done')
  await sh('echo new > d/2')
  await crash()
  t.match(await sh('stat -c %Y d/1 d/3'), '1000000000\n1000000000\n')
  t.notMatch(await sh('stat -c %Y d/2'), '1000000000')
})
