import { equal, match, ok } from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { accessSync, constants, mkdtempSync, readFileSync, rmdirSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { test, type Test } from 'tap'

const host = fileURLToPath(new URL('tiny-host.js', import.meta.url))

/** Why real mounts cannot be tried here, or false. */
function whyNot(): string | false {
  if (process.getuid?.() !== 0) return 'needs root for a mount namespace of its own'
  try {
    accessSync('/dev/fuse', constants.R_OK | constants.W_OK)
    return false
  } catch {
    return 'no /dev/fuse'
  }
}
const skip = whyNot()

interface Result {
  readonly out?: string
  readonly failed?: unknown
  readonly unmount?: string
  readonly listing?: string
  readonly statfs?: string
  readonly stats: Record<string, number>
}

/** Runs a script on a mount of its own, in a mount namespace of its own. */
async function onMount(t: Test, script: string, mode = ''): Promise<Result> {
  const mountpoint = mkdtempSync(join(tmpdir(), 'pcfs-mount-'))
  t.teardown(() => {
    rmdirSync(mountpoint)
  })
  // Mode 'full': the local files are on a disk of 72 MiB, of which the journal takes 64.
  const disk = 'mount -t tmpfs -o size=72m none /var/tmp && export TMPDIR=/var/tmp; exec "$@"'
  const shell = mode === 'full' ? ['sh', '-c', disk, 'sh'] : []
  const command = [...shell, process.execPath, host, mountpoint, script, mode]
  const { stdout } = await promisify(execFile)(
    'unshare',
    ['-m', '--propagation', 'private', ...command],
    { timeout: 40_000, killSignal: 'SIGKILL' }
  )
  ok(!readFileSync('/proc/self/mountinfo', 'utf8').includes(mountpoint))
  const result: Result = JSON.parse(stdout)
  return result
}

await test(
  'a real mount: create, write, list, rename-free edits, large files, unlink',
  { skip },
  async (t) => {
    const script = `set -e; cd "$1"
    echo hello > a; cat a; mkdir d; for i in $(seq 200); do echo $i > d/f$i; done
    ls d | wc -l; cat d/f7
    head -c 20000000 /dev/urandom > /tmp/$$.bin; cp /tmp/$$.bin big; cmp /tmp/$$.bin big
    printf X | dd of=big bs=1 seek=1234567 conv=notrunc,fsync status=none
    dd if=big bs=1 skip=1234567 count=1 status=none; echo
    truncate -s 100 big; stat -c %s big; truncate -s 5000 big; tail -c 10 big | od -An -tx1
    rm /tmp/$$.bin a; ls; test ! -e a; sync -f big`
    const result = await onMount(t, script)
    equal(result.failed, undefined)
    equal(result.out, 'hello\n200\n7\nX\n100\n 00 00 00 00 00 00 00 00 00 00\nbig\nd\n')
    equal(result.unmount, 'ok')
    // The requests that need no decision never reached JavaScript.
    ok((result.stats['toJs'] ?? 0) < (result.stats['requests'] ?? 0) / 2)
  }
)

await test(
  'a process that touches its own mount is refused or served, never stuck',
  { skip },
  async (t) => {
    const result = await onMount(t, 'true', 'self')
    equal(result.listing, 'ok')
    match(result.statfs ?? '', /EDEADLK|-35/) // libuv has no name for it
    equal(result.unmount, 'ok')
  }
)

await test(
  'while JavaScript stalls native calls go on and the others fail in time',
  { skip },
  async (t) => {
    const script = `cd "$1"; echo x > f; exec 3<f; sleep 1
    for i in $(seq 50); do cat f; stat -c %s f; done | sort | uniq -c
    stat -f . 2>&1`
    const result = await onMount(t, script, 'stalled')
    match(JSON.stringify(result.failed), /50 2.*50 x.*Input\/output error/)
  }
)

await test('opening, reading and closing a cached file asks nobody', { skip }, async (t) => {
  const script = `cd "$1"; echo x > f; cat $(yes f | head -500) | wc -l`
  const result = await onMount(t, script)
  equal(result.out, '500\n')
  ok((result.stats['requests'] ?? 500) < 100)
})

await test('open files make unmount EBUSY; lazily it goes', { skip }, async (t) => {
  const result = await onMount(t, 'cd "$1"; echo x > f; (exec 3<f; sleep 2) > /dev/null 2>&1 &')
  match(result.unmount ?? '', /EBUSY/)
})

await test('abort frees a client that waits for an answer', { skip }, async (t) => {
  const script = '(stat -f "$1") >/dev/null 2>&1 & sleep 0.3; echo waiting'
  const result = await onMount(t, script, 'abort')
  equal(result.out, 'waiting\n')
})

await test('close without unmount leaves no mount behind', { skip }, async (t) => {
  const result = await onMount(t, 'cd "$1"; echo x > f; cat f; cat /proc/self/mountinfo', 'close')
  match(result.out ?? '', / fuse\.pcfs tiny /)
  match(result.out ?? '', /nosuid,nodev/)
})

await test(
  'a full disk is ENOSPC, keeps what was written, and is usable after room came',
  { skip },
  async (t) => {
    const script = `cd "$1"; echo kept > a; dd if=/dev/zero of=big bs=64k count=400 2>&1 | head -1
    size=$(stat -c %s big); test $size -gt 1000000; test $size -lt 9000000; echo $?
    cat a; cat big | tr -d '\\0' | wc -c; rm big; rm /var/tmp/pcfs-native-*/file-3
    cat a; sync -f a`
    const result = await onMount(t, script, 'full')
    match(result.out ?? '', /No space left on device\n0\nkept\n0\nkept\n/)
  }
)

await test(
  'what changes elsewhere is seen at once, whatever the kernel had cached',
  { skip },
  async (t) => {
    const script = `cd "$1"; echo hello > a; for i in 1 2; do cat a; ls; test -e b; echo $?; done
    exec 3<a; sleep 1.5; ls; cat b; echo; stat -c %s b; test -e a; echo $?; cat <&3`
    const result = await onMount(t, script, 'elsewhere')
    equal(result.out, 'hello\na\n1\nhello\na\n1\nb\nhel\n3\n1\nhel')
  }
)
