// runner: timeout=300
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync
} from 'node:fs'
import { join, resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import type { StatusReport } from '../../src/control/operations.js'
import { isRunning, makePlayground, parentOf } from '../support/cli.js'

t.test('init makes a private home and shows 24 words once', async (t) => {
  const { home, pcfs } = makePlayground(t)
  const { code, stdout } = await pcfs(['init', '--name', 'laptop'])
  t.equal(code, 0)
  t.equal(stdout.match(/^( +\d+ [a-z]+){4}$/gm)?.length, 6)
  t.equal(statSync(home).mode & 0o777, 0o700)
  t.equal(statSync(join(home, 'keyring')).mode & 0o777, 0o600)
  t.match(readFileSync(join(home, 'store/CACHEDIR.TAG'), 'utf8'), /^Signature: 8a477f597d28d172/)
  const again = await pcfs(['init'])
  t.match(again, { code: 1, stderr: /^pcfs: there is a home at .* already\n$/ })
})

t.test('init --json gives its stable fields and writes the phrase where it is told', async (t) => {
  const { directory, pcfs, json } = makePlayground(t)
  const phraseFile = join(directory, 'phrase')
  const made = await json(['init', '--name', 'laptop', '--phrase-file', phraseFile])
  t.match(made, { drive: /^[0-9a-f]{64}$/, device: 'laptop', phraseFile })
  t.strictSame(Object.keys(made).sort(), ['device', 'drive', 'phraseFile'])
  t.match(readFileSync(phraseFile, 'utf8'), /^([a-z]+ ){23}[a-z]+\n$/)
  t.equal(statSync(phraseFile).mode & 0o777, 0o600)
  const other = { PCFS_HOME: join(directory, 'other') }
  const refused = await pcfs(['init', '--phrase-file', phraseFile], other)
  t.match(refused, { code: 1, stderr: /is there already/ })
  t.notOk(existsSync(join(other.PCFS_HOME, 'keyring')))
})

t.test('mount makes a home if there is none, status tells, stop ends it', async (t) => {
  const { home, mount, pcfs, json } = makePlayground(t)
  const first = await pcfs(['mount', mount])
  t.match(first, { code: 0, stdout: /recovery phrase[^]* is mounted\n$/ })
  const status = await json<StatusReport>(['status'])
  t.match(status, {
    version: /^\d/,
    pid: Number,
    drive: String,
    device: { name: String, role: 'personal' },
    mounts: [{ path: mount }],
    peers: [],
    generations: [],
    backlog: { spoolBytes: 0, records: 0, uploadBytes: 0 },
    tier: { state: String, bytes: 0 },
    alarms: []
  })
  t.match(await json(['mount', mount]), { path: mount, already: true })
  t.equal((await json<StatusReport>(['status'])).pid, status.pid, 'still the same daemon')
  t.match(await json(['unmount', `${mount}-other`]), { unmounted: [] })
  const supervisor = parentOf(status.pid)
  t.match(await pcfs(['stop']), { code: 0, stdout: 'stopped\n' })
  t.notOk(isRunning(status.pid), 'the daemon has ended')
  for (let tries = 0; isRunning(supervisor) && tries < 50; tries++) await sleep(20)
  t.notOk(isRunning(supervisor), 'its supervisor too')
  t.notOk(existsSync(join(home, 'control.sock')))
  t.match(await pcfs(['stop']), { code: 0, stdout: 'pcfs is not running\n' })
  t.match(await pcfs(['unmount', mount]), { code: 0, stdout: /is not mounted/ })
  t.match(await pcfs(['status']), { code: 3, stderr: /^pcfs: .*'pcfs mount' starts it\n$/ })
})

t.test('two mounts started at once end in one daemon', async (t) => {
  const { home, mount, pcfs, json } = makePlayground(t)
  await pcfs(['init'])
  const results = await Promise.all([json(['mount', mount]), json(['mount', mount])])
  t.strictSame(
    results.map(({ path }) => path),
    [mount, mount]
  )
  const { pid } = await json<StatusReport>(['status'])
  t.equal(readFileSync(join(home, 'lock'), 'utf8'), `${pid}\n`)
})

t.test('a daemon that is killed is started again, one that is stopped is not', async (t) => {
  const { mount, pcfs, json } = makePlayground(t)
  await pcfs(['mount', mount])
  const { pid } = await json<StatusReport>(['status'])
  process.kill(pid, 'SIGKILL')
  let next: Partial<StatusReport> = {}
  for (let tries = 0; tries < 100 && (next.pid ?? pid) === pid; tries++) {
    await sleep(100)
    next = await json<StatusReport>(['status']).catch(() => ({}))
  }
  t.type(next.pid, 'number')
  t.not(next.pid, pid)
  process.kill(parentOf(next.pid ?? 0), 'SIGTERM')
  for (let tries = 0; isRunning(next.pid ?? 0) && tries < 100; tries++) await sleep(50)
  t.equal((await pcfs(['status'])).code, 3)
  await sleep(500)
  t.equal((await pcfs(['status'])).code, 3, 'and stays down')
})

t.test('a mount in the foreground stays until it is told to end', async (t) => {
  const { home, mount, pcfs } = makePlayground(t)
  await pcfs(['init'])
  const script = resolve(import.meta.dirname, '../../../bin/pcfs')
  const child = spawn(script, ['mount', mount, '--foreground', '--home', home], {
    stdio: ['ignore', 'pipe', 'inherit']
  })
  const [said] = await once(child.stdout, 'data')
  t.match(String(said), / is mounted/)
  t.equal((await pcfs(['status'])).code, 0)
  child.kill('SIGTERM')
  t.strictSame(await once(child, 'exit'), [0, null])
  t.equal((await pcfs(['status'])).code, 3)
})

t.test('what cannot be mounted on is refused with the reason', async (t) => {
  const { directory, home, mount, pcfs } = makePlayground(t)
  await pcfs(['init'])
  mkdirSync(mount)
  writeFileSync(join(mount, 'forgotten'), '')
  t.match(await pcfs(['mount', mount]), { code: 7, stderr: /is not empty \(forgotten\)/ })
  const file = join(directory, 'file')
  writeFileSync(file, '')
  t.match(await pcfs(['mount', file]), { code: 7, stderr: /is not a directory/ })
  t.match(await pcfs(['mount', join(file, 'below')]), { code: 7 })
  t.match(await pcfs(['mount', directory]), { code: 7, stderr: /may not lie in each other/ })
  t.match(await pcfs(['mount', join(home, 'spool')]), { code: 7 })
  t.equal((await pcfs(['status'])).code, 3, 'nothing runs')
})

t.test('an unused mount point cannot be written to', async (t) => {
  const { mount, pcfs } = makePlayground(t)
  await pcfs(['mount', mount])
  await pcfs(['stop'])
  t.equal(statSync(mount).mode & 0o777, 0o555)
  t.match(await pcfs(['mount', mount]), { code: 0 }, 'and can be mounted on again')
})

t.test('a home that is not private is refused', async (t) => {
  const { home, mount, pcfs } = makePlayground(t)
  await pcfs(['init'])
  chmodSync(home, 0o755)
  t.match(await pcfs(['mount', mount]), { code: 6, stderr: /chmod 700/ })
  t.match(await pcfs(['status']), { code: 6 })
  chmodSync(home, 0o700)
})

t.test('a damaged state file is told of, and doctor says the mend', async (t) => {
  const { home, mount, pcfs } = makePlayground(t)
  await pcfs(['init'])
  writeFileSync(join(home, 'state.json'), '{')
  t.match(await pcfs(['mount', mount]), { code: 11, stderr: /state\.json is damaged/ })
  t.match(await pcfs(['doctor']), { code: 11, stdout: /bad {3}state[^]*delete/ })
  rmSync(join(home, 'state.json'))
  t.match(await pcfs(['mount', mount]), { code: 0 })
})

t.test('doctor finds a healthy home healthy, and names what is not', async (t) => {
  const { home, mount, pcfs, json } = makePlayground(t)
  t.match(await json(['doctor']), { ok: false, findings: [{ check: 'home', state: 'bad' }] })
  await pcfs(['mount', mount])
  t.match(await json(['doctor']), { ok: true })
  t.match(await pcfs(['doctor', '--rebuild-index']), { code: 5, stderr: /pcfs stop/ })
  await pcfs(['stop'])
  t.match(await json(['doctor']), { ok: true })
  chmodSync(join(home, 'keyring'), 0o644)
  const { code, stdout } = await pcfs(['doctor'])
  t.equal(code, 11)
  t.match(stdout, /bad {3}keyring: .*read by others/)
  t.match(stdout, /ok {4}home/)
})

t.test('mistakes on the command line are explained', async (t) => {
  const { pcfs } = makePlayground(t)
  t.match(await pcfs([]), { code: 2, stderr: /pcfs --help/ })
  t.match(await pcfs(['statsu']), { code: 2, stderr: /Did you mean status\?/ })
  t.match(await pcfs(['status', '--jsn']), { code: 2, stderr: /Unknown argument: jsn/ })
  t.match(await pcfs(['mount'], { PCFS_FAULT: 'a b' }), { code: 2, stderr: /PCFS_FAULT/ })
  t.match(await pcfs(['mount'], { PCFS_LOG: 'loud' }), { code: 2, stderr: /PCFS_LOG is 'loud'/ })
  t.match(await pcfs(['--help']), { code: 0, stdout: /pcfs mount \[directory\]/ })
  t.match(await pcfs(['--version']), { code: 0, stdout: /^\d+\.\d+\.\d+\n$/ })
})

t.test('the shell can complete commands', async (t) => {
  const { pcfs } = makePlayground(t)
  t.match(await pcfs(['completion'], { SHELL: '/bin/bash' }), { code: 0, stdout: /complete -o/ })
  t.match(await pcfs(['completion'], { SHELL: '/bin/zsh' }), { code: 0, stdout: /#compdef pcfs/ })
  t.match(await pcfs(['--get-yargs-completions', 'pcfs', 'st']), {
    stdout: /status[^]*stop|stop[^]*status/
  })
})
