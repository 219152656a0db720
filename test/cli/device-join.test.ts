// runner: timeout=600
/** Joining where something is in the way: a home, a kill, no network, nobody there. */
import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { devicesOf, DIGITS, invite, joinByCode, makeDevice } from '../support/devices.js'
import { makeFirst, privateNetwork, Running, succeed } from '../support/devices.js'

t.test('a join that is killed goes on with the same code, and shows the same digits', async (t) => {
  const bootstrap = await privateNetwork(t)
  const laptop = await makeFirst(t, bootstrap)
  const { running, code } = await invite(t, laptop)
  const phone = makeDevice(t, bootstrap)
  const first = new Running(t, phone, ['device', 'join', code, '--name', 'phone'])
  const digits = await first.says(DIGITS)
  first.kill('SIGKILL')
  await first.ended
  t.notOk(existsSync(join(phone.home, 'keyring')), 'it is no home yet')
  t.match(await phone.pcfs(['mount', phone.mount]), { code: 1, stderr: /device join' was begun/ })
  const second = new Running(t, phone, ['device', 'join', code])
  t.equal(await second.says(DIGITS), digits)
  await running.says(/The six digits/)
  running.type(digits)
  await succeed(running.ended)
  await succeed(second.ended)
  t.notOk(existsSync(join(phone.home, 'joining')))
  await succeed(phone.pcfs(['mount', phone.mount]))
  t.same((await devicesOf(phone)).map(({ name }) => name).sort(), ['laptop', 'phone'])
})

t.test('one that is killed while it is admitted is a member when it goes on', async (t) => {
  const bootstrap = await privateNetwork(t)
  const laptop = await makeFirst(t, bootstrap)
  const { running, code } = await invite(t, laptop)
  const phone = makeDevice(t, bootstrap)
  const first = new Running(t, phone, ['device', 'join', code, '--name', 'phone'])
  const digits = await first.says(DIGITS)
  await running.says(/The six digits/)
  first.kill('SIGKILL')
  await first.ended
  running.type(digits)
  await succeed(running.ended)
  const again = await succeed(phone.pcfs(['device', 'join', code]))
  t.match(again.stdout, /device +phone/)
  t.equal((await devicesOf(laptop)).length, 2)
})

t.test('a home that is there is not joined over', async (t) => {
  const bootstrap = await privateNetwork(t)
  const laptop = await makeFirst(t, bootstrap)
  const { code } = await laptop.json<{ code: string }>(['device', 'invite'])
  const other = makeDevice(t, bootstrap)
  await succeed(other.pcfs(['init']))
  t.match(await other.pcfs(['device', 'join', code]), { code: 1, stderr: /there is a home at/ })
  t.match(await laptop.pcfs(['device', 'join', code]), { code: 1, stderr: /there is a home at/ })
  const third = makeDevice(t, bootstrap)
  await succeed(third.pcfs(['device', 'join', code, '--name', 'third']))
  t.match(await third.pcfs(['init']), { code: 1, stderr: /there is a home at/ })
})

t.test('what can not be joined leaves nothing, and says so', async (t) => {
  const bootstrap = await privateNetwork(t)
  const device = makeDevice(t, bootstrap)
  const joining = (...args: string[]): ReturnType<typeof device.pcfs> =>
    device.pcfs(['device', 'join', ...args])
  t.match(await joining('hello'), { code: 2, stderr: /no invitation code/ })
  t.match(await joining('hello', '--name', 'a/b'), { code: 2, stderr: /device name/ })
  t.match(await joining('hello', '--role', 'king'), { code: 2 })
  t.match(await joining(), { code: 2 })
  t.notOk(existsSync(device.home))
  const laptop = await makeFirst(t, bootstrap)
  const { code } = await laptop.json<{ code: string }>(['device', 'invite'])
  const alone = await device.pcfs(['device', 'join', code], { PCFS_BOOTSTRAP: '' })
  t.match(alone, { code: 1, stderr: /no network/ })
  await succeed(laptop.pcfs(['stop']))
  t.match(await joining(code, '--wait', '3'), { code: 10, stderr: /did not answer for 3 s/ })
  t.notOk(existsSync(join(device.home, 'keyring')))
  // A restart cancels an invitation; a new code begins anew in the same place.
  await succeed(laptop.pcfs(['mount', laptop.mount]))
  t.match(await joining(code, '--wait', '3'), { code: 10 })
  const { code: fresh } = await laptop.json<{ code: string }>(['device', 'invite'])
  await succeed(joining(fresh, '--name', 'phone'))
  t.notOk(readdirSync(device.home).includes('joining'))
})

t.test('two joins in one place do not get in each other way', async (t) => {
  const bootstrap = await privateNetwork(t)
  const laptop = await makeFirst(t, bootstrap)
  const { running, code } = await invite(t, laptop)
  const device = makeDevice(t, bootstrap)
  const first = new Running(t, device, ['device', 'join', code])
  const digits = await first.says(DIGITS)
  t.match(await device.pcfs(['device', 'join', code]), { code: 5 })
  running.type(digits)
  await succeed(running.ended)
  await succeed(first.ended)
})

t.test('devices without a DHT find each other on the local network', async (t) => {
  // Nobody answers there; beacons stay on this machine, as the DHT would be on it.
  const laptop = await makeFirst(t, '127.0.0.1:9')
  const phone = await joinByCode(t, laptop, ['--name', 'phone'])
  await succeed(phone.pcfs(['mount', phone.mount]))
  t.equal((await devicesOf(phone)).length, 2)
})
