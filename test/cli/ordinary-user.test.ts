// runner: timeout=300
/**
 * The same for a user who is not root: mounting by fusermount3, and what such a user may not do.
 * Runs as `nobody` in a mount namespace of its own, with a /dev/fuse that is open to all as udev
 * makes it on an ordinary machine.
 */
import { execFileSync, spawnSync } from 'node:child_process'
import { chownSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import t from 'tap'

const ROOT = resolve(import.meta.dirname, '../../..')
const NOBODY = 65534
const AS_NOBODY = ['--reuid', String(NOBODY), '--regid', String(NOBODY), '--clear-groups']

function whyNot(): string | false {
  if (process.geteuid?.() !== 0) return 'needs root to become somebody else'
  const seen = spawnSync('setpriv', [...AS_NOBODY, 'test', '-x', join(ROOT, 'bin/pcfs')])
  return seen.status === 0 ? false : `nobody may not read ${ROOT}`
}

/** $1 = work directory, $2 = the command, the rest becomes another user. */
const SCRIPT = `
set -e
work=$1 pcfs=$2; shift 2
mount -t tmpfs -o mode=755,dev tmpfs "$work/dev"
mknod -m 666 "$work/dev/fuse" c 10 229
mount --bind "$work/dev/fuse" /dev/fuse
user() { env HOME="$work/user" PCFS_HOME="$work/user/home" setpriv "$@"; }
`

t.test('an ordinary user mounts, and nobody else gets in', { skip: whyNot() }, async (t) => {
  const work = mkdtempSync(join(tmpdir(), 'u.'))
  t.teardown(() => rmSync(work, { recursive: true, force: true }))
  execFileSync('mkdir', [join(work, 'user'), join(work, 'dev')])
  execFileSync('chmod', ['755', work])
  chownSync(join(work, 'user'), NOBODY, NOBODY)
  const script = `${SCRIPT}
me="$*"
pc="$work/user/pc"
user $me "$pcfs" mount "$pc" >&2
user $me sh -c 'echo mine > "$0/file"; mkdir "$0/d"; stat -c %u:%g "$0/file"' "$pc"
ls "$pc" 2>/dev/null && echo 'root got in'
pid=$(user $me "$pcfs" status --json | sed 's/.*"pid":\\([0-9]*\\).*/\\1/')
kill -9 "$pid"
for i in $(seq 30); do user $me cat "$pc/file" 2>/dev/null && break; sleep 1; done
user $me "$pcfs" doctor >&2 || cat "$work/user/home/log" >&2
user $me "$pcfs" stop >&2
user $me sh -c 'touch "$0/x" 2>/dev/null && echo writable' "$pc" || true
chmod 600 /dev/fuse
user $me "$pcfs" mount "$pc" 2>&1 || echo "code $?"
`
  const path = join(work, 'script')
  writeFileSync(path, script)
  const pcfs = join(ROOT, 'bin/pcfs')
  const args = ['-m', '--propagation', 'private', 'bash', path, work, pcfs, ...AS_NOBODY]
  const options = { encoding: 'utf8', timeout: 200_000, killSignal: 'SIGKILL' } as const
  const { stdout, stderr } = spawnSync('unshare', args, options)
  t.comment(stderr)
  t.strictSame(stdout.split('\n'), [
    `${NOBODY}:${NOBODY}`,
    'mine',
    'pcfs: you may not open /dev/fuse; as root run: chmod 666 /dev/fuse',
    'code 8',
    ''
  ])
})
