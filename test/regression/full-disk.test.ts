// runner: timeout=300
/** What once went wrong on a full disk. */
import { spawnSync } from 'node:child_process'
import { mkdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { mountedIn } from './mounted.js'
import { makeTempFolder } from '../support/workspace.js'

/** Names and small contents until the errors outweigh; prints the errnos. */
const FILL = `
import os
errors = set()
failures = 0
for n in range(20_000):
    try:
        fd = os.open('x' * 200 + str(n), os.O_CREAT | os.O_WRONLY)
        try:
            os.write(fd, b'y' * 1000)
        finally:
            os.close(fd)
    except OSError as error:
        errors.add(error.errno)
        failures += 1
        if failures > 500:
            break
print(sorted(errors))
`

const skip = process.geteuid?.() === 0 ? false : 'mounts a tmpfs, which takes root'

t.test('a full disk is ENOSPC, the daemon lives, and room helps at once', { skip }, async (t) => {
  const folder = makeTempFolder('full')
  const disk = join(folder.path, 'disk')
  mkdirSync(disk)
  spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=260m', 'none', disk])
  t.teardown(() => {
    spawnSync('umount', ['-l', disk])
    folder[Symbol.dispose]()
  })
  const { pcfs, sh, python, crash } = await mountedIn(t, disk)
  await sh('echo safe > safe; sync safe; echo gone > gone')
  const pid = await pcfs.daemonPid()
  const hog = join(disk, 'hog')
  spawnSync('dd', ['if=/dev/zero', `of=${hog}`, 'bs=64k'])
  t.equal(await python(FILL), '[28]\n')
  await sh('rm gone')
  t.equal(await pcfs.daemonPid(), pid)
  rmSync(hog)
  t.equal(
    await sh('sleep 1; echo after > after; cat after safe; ls gone 2>&1 || :'),
    ['after\nsafe\n', "ls: cannot access 'gone': No such file or directory\n"].join('')
  )
  t.match(await pcfs.cli(['flush']), { code: 0 })
  await crash()
  t.equal(await sh('cat after safe'), 'after\nsafe\n')
})
