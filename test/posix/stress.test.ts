/**
 * Content under load: our own verifier (`exercise.c`: every way to move bytes against a copy in
 * memory), fio with verification, and a short run of stress-ng's file-system class. Seeds are
 * printed; PCFS_EXERCISE_SEED repeats one, PCFS_EXERCISE_SECONDS makes it longer.
 */
import { join } from 'node:path'
import t from 'tap'
import { describe, must, run } from '../support/process.js'
import { targetUnderTest } from '../support/target.js'
import { compileHelper, makeTempFolder } from '../support/workspace.js'

const SECONDS = Number(process.env['PCFS_EXERCISE_SECONDS'] ?? 6)
const SEED = Number(process.env['PCFS_EXERCISE_SEED'] ?? Date.now() % 1_000_000)

/** What stress-ng does here; each is in its class "filesystem" and checks its own results. */
const STRESSORS = [
  'access chmod chown copy-file dentry dir dirdeep dirmany fallocate fiemap file-ioctl filename',
  'flock fpunch fsize fstat getdent hdd lease link lockf mknod open rename seek symlink touch',
  'utime xattr'
].flatMap((line) => line.split(' '))

t.setTimeout(600_000)
const target = targetUnderTest()
const onStuck = (): Promise<void> => target.abort()
t.teardown(() => target.stop())
await target.start()

await t.test('random operations on a file give what a copy in memory has', async (tt) => {
  const program = await compileHelper('test/posix/exercise.c')
  for (const [index, maxBytes] of [60_000, 1_000_000, 5_000_000].entries()) {
    const seed = String(SEED + index)
    const file = join(target.dir, `exercise${index}`)
    const args = [file, seed, String(SECONDS), String(maxBytes)]
    const result = await run(program, args, { timeoutMs: (SECONDS + 60) * 1000, onStuck })
    tt.equal(result.code, 0, `seed ${seed}, ${maxBytes} bytes: ${describe(result)}`)
  }
})

await t.test('three exercisers at once do not disturb each other', async (tt) => {
  const program = await compileHelper('test/posix/exercise.c')
  const jobs = [0, 1, 2].map((index) => {
    const args = [join(target.dir, `together${index}`), String(SEED + 10 + index), '5', '700000']
    return run(program, args, { timeoutMs: 60_000, onStuck })
  })
  for (const [index, result] of (await Promise.all(jobs)).entries()) {
    tt.equal(result.code, 0, `seed ${SEED + 10 + index}: ${describe(result)}`)
  }
})

await t.test('content is the same after a remount', async (tt) => {
  const sums = (): Promise<string> =>
    must('sh', ['-c', 'sha256sum exercise* together*'], { cwd: target.dir, onStuck })
  const before = await sums()
  await target.remount()
  tt.equal(await sums(), before)
})

await t.test('fio verifies what it wrote', async (tt) => {
  for (const [name, ...options] of [
    ['random', '--rw=randwrite', '--bs=4k', '--size=48m', '--io_size=24m'],
    ['unaligned', '--rw=randwrite', '--bsrange=512-64k', '--bs_unaligned', '--size=24m'],
    ['mapped', '--rw=randwrite', '--bs=8k', '--size=16m', '--ioengine=mmap'],
    ['synced', '--rw=write', '--bs=16k', '--size=4m', '--fsync=16', '--numjobs=2']
  ]) {
    const args = [`--name=${name}`, `--directory=${target.dir}`, '--verify=crc32c', ...options]
    const fixed = [
      '--do_verify=1',
      '--verify_fatal=1',
      '--verify_state_save=0',
      '--randseed=7',
      '--output-format=terse'
    ]
    const result = await run('fio', [...args, ...fixed], { timeoutMs: 120_000, onStuck })
    tt.equal(result.code, 0, `${name}: ${describe(result)}`)
    tt.notMatch(result.stderr, /verify/i, `${name}: nothing to say about verification`)
  }
  await run('sh', ['-c', 'rm -f *.[0-9]*.0'], { cwd: target.dir, onStuck })
})

await t.test('stress-ng finds nothing wrong and nothing hangs', async (tt) => {
  using temp = makeTempFolder('stress')
  const work = join(target.dir, 'stress')
  await must('mkdir', ['-m', '777', work], { onStuck })
  for (const name of STRESSORS) {
    const args = [`--${name}`, '1', '--timeout', '1s', '--verify', '--temp-path', work]
    const options = { cwd: temp.path, timeoutMs: 60_000, onStuck }
    const result = await run('stress-ng', [...args, '--oom-avoid', '--no-rand-seed'], options)
    // 2 = failed; 3 and 4: not possible on this file system or kernel.
    const complaint = /fail:.*/.exec(result.stderr)?.[0] ?? ''
    tt.equal(complaint, '', name)
    tt.notOk(result.timedOut || result.code === 2, `${name}: ${describe(result)}`)
  }
  const left = await must('find', [work, '-mindepth', '1'], { onStuck })
  tt.equal(left, '', 'stress-ng leaves nothing behind')
})
