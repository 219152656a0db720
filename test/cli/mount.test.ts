// runner: timeout=300
/** The life of a real mount. The mount is only touched from child processes with a time limit. */
import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import type { StatusReport } from '../../src/control/operations.js'
import { isRunning, makePlayground, parentOf, type Playground } from '../support/cli.js'
import { listMounts } from '../support/leftovers.js'

/** Runs a shell script with the mount as its first argument. */
async function shell(mount: string, script: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const options = { timeout: 20_000, killSignal: 'SIGKILL' } as const
    execFile('sh', ['-ec', script, 'sh', mount], options, (error, stdout, stderr) => {
      if (error === null) resolve(stdout)
      else reject(new Error(stderr, { cause: error }))
    })
  })
}

const isMounted = (path: string): boolean => listMounts().some((entry) => entry.path === path)

/** Waits until a condition holds, some seconds at most. */
async function until(condition: () => boolean | Promise<boolean>): Promise<boolean> {
  for (let tries = 0; tries < 100; tries++) {
    if (await condition()) return true
    await sleep(100)
  }
  return false
}

async function daemonOf({ json }: Playground): Promise<{ pid: number; supervisor: number }> {
  const { pid } = await json<StatusReport>(['status'])
  return { pid, supervisor: parentOf(pid) }
}

t.test('what was written is there again after stop and mount', async (t) => {
  const { mount, pcfs } = makePlayground(t)
  t.match(await pcfs(['mount', mount]), { code: 0 })
  await shell(mount, 'cd "$1"; mkdir -p a/b; echo hello > a/b/file; ln -s b a/link')
  t.match(await pcfs(['flush']), { code: 0, stdout: 'flushed\n' })
  t.match(await pcfs(['stop']), { code: 0 })
  t.notOk(isMounted(mount))
  t.match(await pcfs(['mount', mount]), { code: 0 })
  t.equal(await shell(mount, 'cat "$1/a/link/file"'), 'hello\n')
  t.match(await pcfs(['doctor']), { code: 0, stdout: new RegExp(`ok +mount: ${mount} answers`) })
})

t.test('a killed daemon comes back by itself with what was written', async (t) => {
  const playground = makePlayground(t)
  const { mount, pcfs } = playground
  await pcfs(['mount', mount])
  await shell(mount, 'echo precious > "$1/file"')
  const { pid } = await daemonOf(playground)
  process.kill(pid, 'SIGKILL')
  const isBack = await until(async () => {
    return (await shell(mount, 'cat "$1/file"').catch(() => '')) === 'precious\n'
  })
  t.ok(isBack)
  const { pid: next } = await daemonOf(playground)
  t.not(next, pid)
})

t.test('a dead mount is cleared away by the next mount, and by unmount', async (t) => {
  const playground = makePlayground(t)
  const { mount, pcfs, json } = playground
  const killAll = async (): Promise<void> => {
    const { pid, supervisor } = await daemonOf(playground)
    process.kill(supervisor, 'SIGKILL')
    process.kill(pid, 'SIGKILL')
    await until(() => !isRunning(pid))
  }
  await pcfs(['mount', mount])
  await killAll()
  t.ok(isMounted(mount), 'a dead mount is left')
  await t.rejects(shell(mount, 'ls "$1"'))
  t.match(await pcfs(['doctor']), { code: 11, stdout: /is a dead mount[^]*pcfs unmount/ })
  t.match(await pcfs(['mount', mount]), { code: 0 })
  t.equal(await shell(mount, 'ls "$1"'), '')
  t.equal(listMounts().filter(({ path }) => path === mount).length, 1, 'not two of them')
  await killAll()
  t.match(await json(['unmount', mount]), { unmounted: [mount] })
  t.notOk(isMounted(mount))
})

t.test('open files keep a mount, unless it is a lazy unmount', async (t) => {
  const { mount, pcfs } = makePlayground(t)
  await pcfs(['mount', mount])
  const user = spawn('sh', ['-c', 'exec 3> "$0/open"; echo ready; read x; echo more >&3', mount])
  await once(user.stdout, 'data')
  t.match(await pcfs(['stop']), { code: 9, stderr: /are open.*--lazy/ })
  t.match(await pcfs(['status']), { code: 0 }, 'and the daemon goes on')
  t.equal(await shell(mount, 'ls "$1"'), 'open\n')
  t.match(await pcfs(['unmount', mount, '--lazy']), { code: 0 })
  t.notOk(isMounted(mount))
  user.stdin.end('go\n')
  await once(user, 'exit')
})

t.test('an unmount by somebody else ends the daemon in good order', async (t) => {
  const playground = makePlayground(t)
  const { mount, pcfs } = playground
  await pcfs(['mount', mount])
  await shell(mount, 'echo kept > "$1/file"')
  const { pid, supervisor } = await daemonOf(playground)
  await shell(mount, 'umount "$1" || fusermount3 -u "$1"')
  t.ok(await until(() => !isRunning(pid) && !isRunning(supervisor)))
  await pcfs(['mount', mount])
  t.equal(await shell(mount, 'cat "$1/file"'), 'kept\n')
})

t.test('two homes do not mount on each other', async (t) => {
  const { mount, pcfs, directory } = makePlayground(t)
  await pcfs(['mount', mount])
  const other = { PCFS_HOME: join(directory, 'other') }
  t.match(await pcfs(['mount', mount], other), {
    code: 7,
    stderr: /mounted already, from the home/
  })
  t.match(await pcfs(['unmount', mount], other), { code: 7, stderr: /give --home/ })
  t.ok(isMounted(mount), "another home's live mount is left alone")
})
