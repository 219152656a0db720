import assert from 'node:assert'
import { chmodSync, mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import fc from 'fast-check'
import t, { type Test } from 'tap'
import { FsError } from '../../src/base/errors.js'
import { silentLogger } from '../../src/base/log.js'
import { callDaemon } from '../../src/control/client.js'
import { Failure, fromFailureRecord } from '../../src/control/failure.js'
import type { Operations, StatusReport } from '../../src/control/operations.js'
import { encodeLine, LineReader } from '../../src/control/protocol.js'
import { ControlServer } from '../../src/control/server.js'
import { openSocketPath } from '../../src/control/socket-path.js'

const STATUS: StatusReport = {
  version: '0.1.0',
  pid: 1,
  drive: '00',
  device: { name: 'test', role: 'personal' },
  mounts: [],
  peers: [],
  generations: [],
  backlog: { spoolBytes: 0, records: 0, uploadBytes: 0 },
  tier: { url: null, state: 'off', bytes: 0 },
  alarms: [],
  home: '/x',
  uptimeS: 0
}

function makeHome(t: Test, name = 'home'): string {
  const home = join(mkdtempSync(join(tmpdir(), 'c.')), name)
  mkdirSync(home, { mode: 0o700 })
  t.teardown(() => rmSync(join(home, '..'), { recursive: true }))
  return home
}

const OPERATIONS: Operations = {
  status: async () => STATUS,
  flush: async () => ({}),
  stop: async () => ({ unmounted: [], pids: [] }),
  doctor: async () => ({ findings: [] }),
  devices: async () => ({ devices: [] }),
  invite: async () => ({ code: 'pcfs1', expires: '2026-11-23T00:00:00.000Z' }),
  inviteAnswered: async () => ({ name: 'phone', role: 'personal' }),
  inviteConfirm: async () => ({ name: 'phone', role: 'personal' }),
  inviteCancel: async () => ({}),
  conflicts: async () => ({ conflicts: [] }),
  attach: async ({ key }) => ({ key, path: '/there', isShown: true, version: 1, peers: 1 }),
  detach: async ({ which }) => ({ key: which, path: '/there' }),
  attached: async () => ({ attached: [] })
}

async function listen(t: Test, home: string, more: Partial<Operations> = {}): Promise<void> {
  const operations = { ...OPERATIONS, ...more }
  const server = await ControlServer.listen({ home, operations, log: silentLogger })
  t.teardown(async () => server.close())
}

/** Sends raw bytes and gives all that comes back until the other end closes or a line has come. */
async function raw(home: string, bytes: string | Buffer): Promise<string> {
  using path = openSocketPath(home)
  const socket = connect(path.path)
  return new Promise((resolve, reject) => {
    let text = ''
    socket.on('error', reject)
    socket.on('data', (chunk) => {
      text += chunk.toString()
      if (text.endsWith('\n')) socket.destroy()
    })
    socket.on('close', () => resolve(text))
    socket.write(bytes)
  })
}

t.test('an operation is asked for and answered', async (t) => {
  const home = makeHome(t)
  await listen(t, home)
  t.strictSame(await callDaemon('status', {}, { home, deadlineMs: 1000 }), STATUS)
  t.equal(statSync(join(home, 'control.sock')).mode & 0o777, 0o600)
})

t.test('a home with a very long path has a socket too', async (t) => {
  const home = makeHome(t, 'x'.repeat(200))
  await listen(t, home)
  t.strictSame(await callDaemon('status', {}, { home, deadlineMs: 1000 }), STATUS)
})

t.test('a stale socket is replaced, and a closed server leaves none', async (t) => {
  const home = makeHome(t)
  writeFileSync(join(home, 'control.sock'), '')
  const server = await ControlServer.listen({ home, operations: OPERATIONS, log: silentLogger })
  await server.close()
  t.throws(() => statSync(join(home, 'control.sock')), { code: 'ENOENT' })
})

t.test('without a daemon the asker hears that it is not running', async (t) => {
  const home = makeHome(t)
  await t.rejects(callDaemon('status', {}, { home, deadlineMs: 1000 }), {
    kind: 'not-running',
    message: /pcfs mount/
  })
  await t.rejects(callDaemon('status', {}, { home: `${home}-not`, deadlineMs: 1000 }), {
    kind: 'no-home',
    code: 'ENOENT'
  })
})

t.test('a home that others can enter is refused', async (t) => {
  const home = makeHome(t)
  chmodSync(home, 0o750)
  await t.rejects(callDaemon('status', {}, { home, deadlineMs: 1000 }), {
    kind: 'home-unsafe',
    code: 'EPERM'
  })
  await t.rejects(listen(t, home), { kind: 'home-unsafe', code: 'EPERM' })
  chmodSync(home, 0o700)
})

t.test('progress arrives while an operation runs', async (t) => {
  const home = makeHome(t)
  await listen(t, home, {
    flush: async (_, { progress }) => {
      progress({ done: 1, total: 2, unit: 'bytes' })
      await sleep(5)
      progress({ done: 2, total: 2, unit: 'bytes' })
      return {}
    }
  })
  const seen: number[] = []
  const onProgress = ({ done }: { done: number }): void => void seen.push(done)
  await callDaemon('flush', { remote: false }, { home, deadlineMs: 1000, onProgress })
  t.strictSame(seen, [1, 2])
})

t.test('failures keep their kind, code and message', async (t) => {
  const home = makeHome(t)
  let next: Error = new Failure('mount-busy', 'files are open', { code: 'EBUSY' })
  await listen(t, home, {
    flush: async () => {
      throw next
    }
  })
  const flush = async (): Promise<unknown> =>
    callDaemon('flush', { remote: true }, { home, deadlineMs: 1000 })
  await t.rejects(flush(), { kind: 'mount-busy', code: 'EBUSY', message: 'files are open' })
  next = new FsError('ENOSPC', 'the disk is full')
  await t.rejects(flush(), { kind: 'failed', code: 'ENOSPC', message: 'the disk is full' })
  next = new TypeError('bug')
  await t.rejects(flush(), { kind: 'failed', code: 'EIO', message: 'bug' })
})

t.test('an asker that gives up or goes away ends its operation', async (t) => {
  const home = makeHome(t)
  const ended: string[] = []
  await listen(t, home, {
    flush: async (_, { signal }) =>
      new Promise((_resolve, reject) => {
        signal.addEventListener('abort', () => {
          ended.push('flush')
          reject(new Error('aborted'))
        })
      })
  })
  await t.rejects(callDaemon('flush', { remote: false }, { home, deadlineMs: 30 }), {
    kind: undefined,
    code: 'ETIMEDOUT'
  })
  const signal = AbortSignal.timeout(30)
  await t.rejects(callDaemon('flush', { remote: false }, { home, deadlineMs: 5000, signal }))
  for (let tries = 0; ended.length < 2 && tries < 100; tries++) await sleep(10)
  t.equal(ended.length, 2)
})

t.test('what is no request gets an error and harms nobody', async (t) => {
  const home = makeHome(t)
  await listen(t, home)
  t.match(await raw(home, 'GET / HTTP/1.1\n'), /"EPROTO"/)
  t.match(await raw(home, '{"id":1,"op":"toString"}\n'), /does not know the operation toString/)
  t.match(await raw(home, '{"id":1,"op":"flush","args":{"remote":"yes"}}\n'), /true or false/)
  t.match(await raw(home, '{"id":1,"op":"stop","args":{"path":"here"}}\n'), /absolute path/)
  t.match(await raw(home, Buffer.alloc(70_000, 'x')), /"EMSGSIZE"/)
  t.match(await callDaemon('status', {}, { home, deadlineMs: 1000 }), { pid: 1 })
})

t.test('a record that makes no sense still becomes a failure', async (t) => {
  for (const record of [null, 1, {}, { kind: 'odd', code: 'EODD', message: 5 }]) {
    t.match(fromFailureRecord(record), { kind: 'failed', code: 'EIO' })
  }
})

t.test('lines come out whole however the stream is cut', async () => {
  const objects = fc.array(fc.dictionary(fc.string(), fc.string({ unit: 'grapheme' })))
  fc.assert(
    fc.property(objects, fc.integer({ min: 1, max: 20 }), (messages, step) => {
      const bytes = Buffer.concat(messages.map((message) => encodeLine(message)))
      const reader = new LineReader(100_000)
      const seen: object[] = []
      for (let at = 0; at < bytes.length; at += step) {
        seen.push(...reader.push(bytes.subarray(at, at + step)))
      }
      assert.deepEqual(JSON.parse(JSON.stringify(seen)), JSON.parse(JSON.stringify(messages)))
    })
  )
})
