/**
 * The mount never hangs for good: whatever the daemon or its clients do, processes can be ended,
 * the next `pcfs mount` works, and no content is lost. Every look into the mount is a child process
 * with a kill timer; a mount that is stuck is aborted before anything waits for it.
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import t from 'tap'
import type { ChildProcess } from 'node:child_process'
import { findMount } from '../support/mounts.js'
import { Pcfs, signal } from '../support/pcfs.js'
import { describe, killGroup, must, run, sleep, start, waitFor } from '../support/process.js'
import { makeTempFolder, root } from '../support/workspace.js'

/** Time in which a process must be gone after what should have ended it. */
const SOON_MS = 4_000
const STALL_MS = 3_000

t.setTimeout(300_000)
const folder = makeTempFolder('hang')
const probe = join(folder.path, 'probe')
const preload = pathToFileURL(join(root, 'dist', 'test', 'hang', 'probe.js')).href
const pcfs = new Pcfs({
  folder: folder.path,
  env: { PCFS_TEST_PROBE: probe, NODE_OPTIONS: `--import=${preload}` }
})
const onStuck = (): Promise<void> => pcfs.abort()
t.teardown(async () => {
  await pcfs.destroy()
  folder[Symbol.dispose]()
})

function inMount(script: string, timeoutMs = 20_000): ReturnType<typeof run> {
  return run('sh', ['-c', script], { cwd: pcfs.dir, timeoutMs, onStuck })
}

async function mustInMount(script: string): Promise<string> {
  return must('sh', ['-c', script], { cwd: pcfs.dir, timeoutMs: 20_000, onStuck })
}

/** A client that starts now and that the test ends or waits for. */
function client(script: string): ChildProcess {
  return start('sh', ['-c', `cd '${pcfs.dir}' && ${script}`], { stdio: 'ignore' })
}

function hasEnded(child: ChildProcess): boolean {
  return child.exitCode !== null || child.signalCode !== null
}

/** Makes the daemon do something by the probe. */
async function act(action: string): Promise<void> {
  const pid = await pcfs.daemonPid()
  writeFileSync(probe, action)
  writeFileSync(`${probe}.result`, '')
  signal(pid, 'SIGUSR2')
}

function probeResult(): string {
  return existsSync(`${probe}.result`) ? readFileSync(`${probe}.result`, 'utf8') : ''
}

async function fresh(): Promise<void> {
  await pcfs.destroy()
  await pcfs.mountUnsupervised()
}

await pcfs.mountUnsupervised()
await mustInMount(
  'echo kept >file; mkdir folder; head -c 3000000 /dev/urandom >big; sha256sum big >sum'
)

await t.test('after kill -9 the next pcfs mount cleans up and works', async (tt) => {
  signal(await pcfs.daemonPid(), 'SIGKILL')
  tt.ok(await pcfs.waitEnded(SOON_MS), 'the daemon is gone')
  tt.ok(findMount(pcfs.dir), 'its mount is still in the table')
  const look = await inMount('cat file', 5_000)
  tt.not(look.code, 0, 'the dead mount gives errors')
  tt.notOk(look.timedOut, 'and does not hang')
  tt.ok(await pcfs.mountUnsupervised(), 'pcfs mount works')
  tt.equal(await mustInMount('cat file; sha256sum -c --quiet sum'), 'kept\n')
})

await t.test('clients that wait when the daemon is killed end with an error', async (tt) => {
  const pid = await pcfs.daemonPid()
  signal(pid, 'SIGSTOP')
  const clients = ['ls folder', 'mkdir new', 'cat big'].map(client)
  await sleep(500)
  signal(pid, 'SIGKILL')
  for (const child of clients) tt.ok(await waitFor(() => hasEnded(child), SOON_MS), 'it ended')
  await fresh()
})

await t.test('while the daemon is stopped, clients can be interrupted and killed', async (tt) => {
  const pid = await pcfs.daemonPid()
  signal(pid, 'SIGSTOP')
  const interrupted = client('exec cat big')
  const killed = client('exec mkdir another')
  await sleep(300)
  killGroup(interrupted, 'SIGINT')
  killGroup(killed, 'SIGKILL')
  tt.ok(await waitFor(() => hasEnded(interrupted), SOON_MS), 'Ctrl-C ends a read')
  tt.ok(await waitFor(() => hasEnded(killed), SOON_MS), 'SIGKILL ends a mkdir')
  signal(pid, 'SIGCONT')
  tt.equal(await mustInMount('cat file'), 'kept\n', 'it goes on when the daemon does')
})

await t.test(
  'while JavaScript stalls, what is known is answered and the rest waits',
  async (tt) => {
    await mustInMount('stat file folder >/dev/null; cat big >/dev/null')
    await act(`stall ${STALL_MS}`)
    await waitFor(() => probeResult() === 'stalling', 2_000)
    const began = performance.now()
    const known = await inMount('stat -c %s big; cat big | wc -c; cat file')
    tt.equal(known.stdout, '3000000\n3000000\nkept\n', describe(known))
    tt.ok(performance.now() - began < STALL_MS - 500, 'known attributes and content do not wait')
    const waits = await inMount('mkdir made-in-stall && echo done')
    tt.equal(waits.stdout, 'done\n', describe(waits))
    await waitFor(() => probeResult() === 'stalled', STALL_MS + 2_000)
    tt.match(await mustInMount('ls'), /made-in-stall/)
  }
)

await t.test('clients of a daemon that never answers end when it is killed', async (tt) => {
  await act('stall 600000')
  await waitFor(() => probeResult() === 'stalling', 2_000)
  const clients = ['exec mkdir never', 'exec mv file other', 'exec touch fresh'].map(client)
  await sleep(500)
  for (const child of clients) killGroup(child)
  await sleep(500)
  const began = performance.now()
  await pcfs.kill9()
  for (const child of clients) tt.ok(await waitFor(() => hasEnded(child), SOON_MS), 'it ended')
  tt.ok(performance.now() - began < 15_000, 'soon')
  await fresh()
  tt.equal(await mustInMount('cat file 2>/dev/null || cat other'), 'kept\n')
  await inMount('mv -n other file 2>/dev/null')
})

await t.test('the daemon cannot lock itself up by touching its own mount', async (tt) => {
  for (const how of ['sync', 'async']) {
    await act(`${how} ${pcfs.dir}/folder/unknown-${how}`)
    tt.ok(await waitFor(() => probeResult() !== '', 8_000), `${how}: it got an answer`)
    // 35 is EDEADLK, for which libuv has no name.
    tt.match(probeResult(), /-35|EDEADLK/, how)
    tt.equal(await mustInMount('cat file'), 'kept\n', 'others are served')
  }
})

await t.test('unmount with open files says so, and works when they are closed', async (tt) => {
  const holder = client('exec sleep 60 <file')
  await sleep(500)
  const refused = await pcfs.cli(['unmount', pcfs.dir], 30_000)
  tt.notOk(refused.timedOut, 'the command ends')
  tt.not(refused.code, 0, `it is refused: ${refused.stderr}`)
  tt.equal(await mustInMount('cat file'), 'kept\n', 'the mount still works')
  killGroup(holder)
  await waitFor(() => hasEnded(holder), SOON_MS)
  const done = await pcfs.cli(['unmount', pcfs.dir], 60_000)
  tt.equal(done.code, 0, describe(done))
  tt.equal(findMount(pcfs.dir), null, 'it is unmounted')
  await pcfs.cli(['stop'])
  await fresh()
})

await t.test('a hundred readers of one file, and a writer, all get through', async (tt) => {
  const script =
    'for i in $(seq 100); do cat big | cmp - big & done; for i in $(seq 50); do echo $i >w$i & done; wait; ls w* | wc -l'
  const result = await inMount(script, 60_000)
  tt.equal(result.stdout, '50\n', describe(result))
})

await t.test('a supervised daemon that is killed comes back by itself', async (tt) => {
  await pcfs.destroy()
  await pcfs.mount()
  const before = await pcfs.daemonPid()
  signal(before, 'SIGKILL')
  const back = await waitFor(
    async () => {
      const look = await run('cat', [join(pcfs.dir, 'file')], { timeoutMs: 5_000, onStuck })
      return look.stdout === 'kept\n'
    },
    20_000,
    200
  )
  tt.ok(back, 'the files are there again')
  tt.not(await pcfs.daemonPid(), before, 'by another daemon')
  await pcfs.stop()
  tt.same(pcfs.processes(), [], 'and stop ends all of it')
})
