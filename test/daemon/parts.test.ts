import assert from 'node:assert'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import t, { type Test } from 'tap'
import { decodeConfig, homeOf, makeConfig } from '../../src/daemon/config.js'
import { makeFaultPoint, parseFault } from '../../src/daemon/fault-point.js'
import { lockHome } from '../../src/daemon/home-lock.js'
import { createHome, openHome } from '../../src/daemon/home.js'
import { openLog } from '../../src/daemon/logger.js'
import { prepareMountPoint } from '../../src/daemon/mount-point.js'
import { parseMountInfo } from '../../src/daemon/mount-table.js'
import { unitText, unitPlace, installService, uninstallService } from '../../src/daemon/service.js'
import { decideTrust, readState, writeState, type HomeState } from '../../src/daemon/state.js'

function makeDirectory(t: Test): string {
  const directory = mkdtempSync(join(tmpdir(), 'd.'))
  t.teardown(() => rmSync(directory, { recursive: true, force: true }))
  return directory
}

t.test('the home is where the option, PCFS_HOME or XDG_DATA_HOME says', async (t) => {
  t.equal(homeOf('/a', { PCFS_HOME: '/b' }), '/a')
  t.equal(homeOf(undefined, { PCFS_HOME: '/b', XDG_DATA_HOME: '/c' }), '/b')
  t.equal(homeOf(undefined, { PCFS_HOME: '', XDG_DATA_HOME: '/c' }), '/c/pcfs')
  t.equal(homeOf(undefined, { HOME: '/h' }), '/h/.local/share/pcfs')
  t.throws(() => homeOf(undefined, {}), { code: 'EIO', message: /HOME is not set/ })
})

t.test('a configuration survives the way to the daemon', async (t) => {
  const options = { directory: '/m', allowOther: true, suid: true, dev: true, numericIds: true }
  const config = makeConfig('/h', options, { PCFS_LOG: 'debug', PCFS_FAULT: 'a:2' })
  t.strictSame(decodeConfig(JSON.stringify(config)), config)
  t.match(makeConfig('/h', {}, { HOME: '/u' }), { mountPoint: '/u/pc', allowOther: false })
  for (const text of [undefined, '{}', '{"home":"h","mountPoint":"/m","logLevel":"info"}']) {
    t.throws(() => decodeConfig(text), { message: /started by pcfs mount/ })
  }
})

t.test('a mount and its home may not lie in each other', async (t) => {
  for (const directory of ['/a/h', '/a', '/a/h/spool', '/']) {
    t.throws(() => makeConfig('/a/h', { directory }, {}), { message: /lie in each other/ })
  }
  t.match(makeConfig('/a/h', { directory: '/a/hm' }, {}), { mountPoint: '/a/hm' })
})

t.test('a store is appended to unless somebody may have seen more than is here', async (t) => {
  const state: HomeState = {
    version: 1,
    bootId: 'b1',
    homeId: 'h1',
    hasSent: true,
    hasSentSinceBarrier: true
  }
  const now = { bootId: 'b1', homeId: 'h1' }
  const append = { kind: 'append' } as const
  t.strictSame(decideTrust(null, now), append, 'a new home')
  t.strictSame(decideTrust(state, now), append, 'the same boot: the kernel kept what was written')
  t.strictSame(
    decideTrust({ ...state, hasSentSinceBarrier: false }, { ...now, bootId: 'b2' }),
    append
  )
  t.strictSame(
    decideTrust(
      { ...state, hasSent: false, hasSentSinceBarrier: false },
      { bootId: 'b2', homeId: 'h2' }
    ),
    append,
    'nobody has ever seen anything'
  )
  t.match(decideTrust(state, { ...now, bootId: 'b2' }), { reason: 'power-loss' })
  t.match(decideTrust(state, { ...now, homeId: 'h2' }), { reason: 'copied-home' })
  t.match(decideTrust({ ...state, hasSentSinceBarrier: false }, { ...now, homeId: 'h2' }), {
    reason: 'copied-home'
  })
})

t.test('the state is read as it was written, or not at all', async () => {
  const directory = mkdtempSync(join(tmpdir(), 's.'))
  const path = join(directory, 'state.json')
  const states = fc.record({
    version: fc.constant(1 as const),
    bootId: fc.string(),
    homeId: fc.string(),
    hasSent: fc.boolean(),
    hasSentSinceBarrier: fc.boolean()
  })
  assert.equal(readState(path), null)
  fc.assert(
    fc.property(states, fc.nat(), (state, cut) => {
      writeState(path, state)
      assert.deepEqual(readState(path), state)
      const text = readFileSync(path)
      writeFileSync(path, text.subarray(0, cut % (text.length - 2)))
      assert.throws(() => readState(path), { kind: 'damaged' })
    }),
    { numRuns: 50 }
  )
  rmSync(directory, { recursive: true })
})

t.test('a fault point strikes at its count and only there', async (t) => {
  t.strictSame(parseFault('ingest.blocks:3'), { name: 'ingest.blocks', countdown: 3 })
  t.strictSame(parseFault('write.data'), { name: 'write.data', countdown: 1 })
  for (const text of ['', 'a:0', 'a:b', 'a b', ':1']) {
    t.throws(() => parseFault(text), { message: /NAME\[:COUNT\]/ })
  }
  const deaths: number[] = []
  let call = 0
  const fault = makeFaultPoint({ name: 'a', countdown: 2 }, () => deaths.push(call))
  for (const name of ['a', 'b', 'a', 'a']) {
    call++
    fault(name)
  }
  t.strictSame(deaths, [3])
  makeFaultPoint(null)('a')
})

t.test('a home is made once, private, and only in an empty directory', async (t) => {
  const root = join(makeDirectory(t), 'deep/home')
  const paths = createHome(root, 'init')
  t.equal(statSync(root).mode & 0o777, 0o700)
  t.throws(() => openHome(root), { kind: 'no-home', code: 'ENOENT' })
  writeFileSync(`${paths.keyring}.0a1b2c`, '')
  createHome(root, 'init')
  writeFileSync(paths.keyring, '')
  openHome(root)
  t.throws(() => createHome(root, 'init'), { code: 'EEXIST' })
  chmodSync(root, 0o710)
  t.throws(() => openHome(root), { kind: 'home-unsafe', code: 'EPERM' })
  const other = join(makeDirectory(t), 'other')
  mkdirSync(other, { mode: 0o700 })
  writeFileSync(join(other, 'diary'), '')
  t.throws(() => createHome(other, 'init'), { code: 'ENOTEMPTY', message: /diary/ })
})

t.test('a home is locked by one at a time, and free when its holder ends', async (t) => {
  const path = join(makeDirectory(t), 'lock')
  const lock = lockHome(path)
  t.throws(() => lockHome(path), { code: 'EBUSY', message: new RegExp(`process ${process.pid}`) })
  lock[Symbol.dispose]()
  lockHome(path)[Symbol.dispose]()
  const holder = spawn('flock', ['--no-fork', path, 'sh', '-c', 'echo held; exec sleep 60'])
  await once(holder.stdout, 'data')
  t.throws(() => lockHome(path), { code: 'EBUSY' })
  holder.kill('SIGKILL')
  await once(holder, 'exit')
  lockHome(path)[Symbol.dispose]()
})

t.test('the log is bounded', async (t) => {
  const path = join(makeDirectory(t), 'log')
  const file = openLog(path, 'info', 1000)
  for (let n = 0; n < 100; n++) file.log.info({ op: 'test', n }, 'a line of some length')
  file.log.debug({}, 'not this one')
  t.ok(statSync(path).size < 1200)
  t.ok(statSync(`${path}.1`).size < 1200)
  const last = readFileSync(path, 'utf8').trim().split('\n').at(-1) ?? ''
  t.match(JSON.parse(last), { level: 30, op: 'test', n: 99, msg: 'a line of some length' })
  file[Symbol.dispose]()
  file.log.error({}, 'after the end nothing happens')
})

t.test('mountinfo is read with optional fields and escapes', async (t) => {
  const text =
    '36 35 98:0 / /mnt\\040a rw,noatime master:1 shared:2 - fuse.pcfs /home/x\\011y rw\n' +
    '37 35 0:5 / / rw - ext4 /dev/root rw\n' +
    'nonsense\n'
  t.strictSame(parseMountInfo(text), [
    { path: '/mnt a', type: 'fuse.pcfs', source: '/home/x\ty' },
    { path: '/', type: 'ext4', source: '/dev/root' }
  ])
})

t.test('a mount point is made, checked, and covered', async (t) => {
  const directory = makeDirectory(t)
  const point = await prepareMountPoint(join(directory, 'a/b'))
  t.equal(point.path, join(directory, 'a/b'))
  point.cover()
  point[Symbol.dispose]()
  t.equal(statSync(point.path).mode & 0o777, 0o555)
  const again = await prepareMountPoint(point.path)
  again[Symbol.dispose]()
  writeFileSync(join(directory, 'file'), '')
  await t.rejects(prepareMountPoint(join(directory, 'file')), { message: /not a directory/ })
  await t.rejects(prepareMountPoint(join(directory, 'a')), { code: 'ENOTEMPTY' })
})

t.test('a unit quotes what systemd would change', async (t) => {
  const config = makeConfig('/h o/100%', { directory: '/m"$x', allowOther: true }, {})
  const text = unitText(config, 'personal', { target: 'default.target', scope: ['--user'] })
  t.match(text, /ExecStart=\S+node\S* \S+index\.js mount "\/m\\"\$\$x" --foreground --home/)
  t.match(text, '--home "/h o/100%%"')
  t.match(text, 'RequiresMountsFor=/h\\x20o/100%%')
  t.match(text, 'WantedBy=default.target')
  t.notMatch(text, /@[A-Z_]+@/)
})

t.test('a service is installed and taken away again', async (t) => {
  const directory = makeDirectory(t)
  const env = { DESTDIR: directory, XDG_CONFIG_HOME: directory, HOME: directory }
  const config = makeConfig('/h', { directory: '/m' }, {})
  const { unit, todo } = installService(config, 'personal', env)
  installService(config, 'personal', env)
  t.match(readFileSync(unit, 'utf8'), /ExecStart=.* mount \/m --foreground --home \/h/)
  t.ok(existsSync(unitPlace(env).link))
  t.match(todo.join('\n'), /systemctl .*start pcfs\.service/)
  installService(config, 'cloud', env)
  const cloud = readFileSync(unit, 'utf8')
  t.match(cloud, /always-on cloud device[^]*ExecStart=.* --role cloud\n[^]*Restart=always/)
  t.notMatch(cloud, /@[A-Z_]+@/)
  t.match(uninstallService(env), { unit })
  t.notOk(existsSync(unit))
  t.equal(uninstallService(env), null)
})
