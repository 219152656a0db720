// runner: timeout=600
/** Inviting, as a person does it, on a private DHT: who is admitted, and what both sides see. */
import t from 'tap'
import { waitFor } from '../support/process.js'
import { comesToRead, devicesOf, DIGITS, invite, put } from '../support/devices.js'
import { joinByCode, joinWithDigits } from '../support/devices.js'
import { makeDevice, makeFirst, privateNetwork, Running, statusOf } from '../support/devices.js'
import { succeed } from '../support/devices.js'

t.test('a device joins with a code and digits, and both mounts show one tree', async (t) => {
  const laptop = await makeFirst(t, await privateNetwork(t))
  await put(laptop, 'hello', 'from the laptop')
  const desk = await joinWithDigits(t, laptop, ['--name', 'desk'])
  await succeed(desk.pcfs(['mount', desk.mount]))
  t.equal(await comesToRead(desk, 'hello', 'from the laptop'), 'from the laptop')
  await put(desk, 'reply', 'from the desk')
  t.equal(await comesToRead(laptop, 'reply', 'from the desk'), 'from the desk')
  for (const device of [laptop, desk]) {
    const list = await devicesOf(device)
    t.same(list.map(({ name }) => name).sort(), ['desk', 'laptop'])
    const other = list.find(({ isThis }) => !isThis)
    t.match(other, { role: 'personal', state: 'active', path: /^(lan|direct)$/, lastSeen: /Z$/ })
    t.match(other, { holds: 'what it uses' })
    t.match((await device.pcfs(['device', 'list'])).stdout, /^NAME +ROLE[^]*this device/)
    t.same((await statusOf(device)).alarms, [])
  }
  await succeed(desk.pcfs(['stop']))
  const isAway = async (): Promise<boolean> => {
    const list = await devicesOf(laptop)
    return list.every(({ path }) => path === null)
  }
  t.ok(await waitFor(isAway, 20_000, 200))
  const seen = (await devicesOf(laptop)).find(({ isThis }) => !isThis)?.lastSeen ?? ''
  t.ok(Date.now() - Date.parse(seen) < 60_000, 'it is remembered when it was last seen')
})

t.test(
  'other digits admit nobody, both sides are told at once, and the code is void',
  async (t) => {
    const bootstrap = await privateNetwork(t)
    const laptop = await makeFirst(t, bootstrap)
    const { running, code } = await invite(t, laptop)
    const other = makeDevice(t, bootstrap)
    const joining = new Running(t, other, ['device', 'join', code])
    const digits = (await joining.says(DIGITS)).replace(' ', '')
    running.type(String((Number(digits) + 1) % 1_000_000).padStart(6, '0'))
    t.match(await running.ended, { code: 12, stderr: /not the digits/ })
    t.match(await joining.ended, { code: 12, stderr: /ask for a new code/ })
    t.equal((await devicesOf(laptop)).length, 1)
    t.match(await other.pcfs(['status']), { code: 4 }, 'nothing half-made is a home')
    const second = makeDevice(t, bootstrap)
    const again = await second.pcfs(['device', 'join', code, '--wait', '20'])
    t.match(again, { code: 12, stderr: /used already/ })
    // And with a new code the refused one is not in its own way.
    const { code: fresh } = await laptop.json<{ code: string }>(['device', 'invite'])
    await succeed(other.pcfs(['device', 'join', fresh, '--name', 'other']))
  }
)

t.test('a bearer code admits the first who has it, and both sides show an alarm', async (t) => {
  const bootstrap = await privateNetwork(t)
  const laptop = await makeFirst(t, bootstrap)
  const before = Date.now()
  const invitation = await laptop.json<{ code: string; expires: string }>([
    'device',
    'invite',
    '--expires',
    '5'
  ])
  t.same(Object.keys(invitation).sort(), ['code', 'expires'])
  const left = Date.parse(invitation.expires) - before
  t.ok(left > 4 * 60_000 && left < 6 * 60_000, `${left} ms`)
  const phone = makeDevice(t, bootstrap)
  const joined = await succeed(
    phone.pcfs(['device', 'join', invitation.code, '--name', 'laptop', '--json'])
  )
  t.match(JSON.parse(joined.stdout), { device: 'laptop-2', role: 'personal', bearer: true })
  t.match(joined.stderr, /WARNING/)
  const second = makeDevice(t, bootstrap)
  t.match(await second.pcfs(['device', 'join', invitation.code, '--wait', '20']), {
    code: 12,
    stderr: /used already/
  })
  await succeed(phone.pcfs(['mount', phone.mount]))
  for (const device of [laptop, phone]) {
    t.match((await statusOf(device)).alarms, [{ code: 'BEARER_INVITE' }])
    t.same((await devicesOf(device)).map(({ name }) => name).sort(), ['laptop', 'laptop-2'])
  }
  await succeed(phone.pcfs(['stop']))
  await succeed(phone.pcfs(['mount', phone.mount]))
  t.same((await statusOf(phone)).alarms, [], 'told once')
})

t.test('a code that is over, taken back or for another role admits nobody', async (t) => {
  const bootstrap = await privateNetwork(t)
  const laptop = await makeFirst(t, bootstrap)
  const { running, code } = await invite(t, laptop, ['--expires', '0.1', '--role', 'cloud'])
  const device = makeDevice(t, bootstrap)
  t.match(await device.pcfs(['device', 'join', code, '--role', 'blind']), {
    code: 2,
    stderr: /admits a cloud device/
  })
  const joining = new Running(t, device, ['device', 'join', code])
  await joining.says(DIGITS)
  t.match(await joining.ended, { code: 12, stderr: /has ended/ })
  running.type('123456')
  t.match(await running.ended, { code: 10, stderr: /is over/ })

  const open = await invite(t, laptop)
  const waiting = new Running(t, device, ['device', 'join', open.code])
  await waiting.says(DIGITS)
  open.running.kill('SIGINT')
  t.match(await open.running.ended, { code: 1, stderr: /taken back/ })
  t.match(await waiting.ended, { code: 12, stderr: /has ended/ })
  const hungUp = await invite(t, laptop)
  const third = new Running(t, device, ['device', 'join', hungUp.code])
  await third.says(DIGITS)
  hungUp.running.hangUp()
  t.match(await hungUp.running.ended, { code: 1, stderr: /no digits were typed/ })
  t.match(await third.ended, { code: 12 })
  t.equal((await devicesOf(laptop)).length, 1)
})

t.test('only personal devices invite, and only with a network', async (t) => {
  const bootstrap = await privateNetwork(t)
  const laptop = await makeFirst(t, bootstrap)
  const cloud = await joinByCode(t, laptop, ['--role', 'cloud', '--name', 'cloud'])
  await succeed(cloud.pcfs(['mount', cloud.mount]))
  t.match(await cloud.pcfs(['device', 'invite']), { code: 12, stderr: /only a personal device/ })
  const alone = await makeFirst(t, '')
  t.match(await alone.pcfs(['device', 'invite']), { code: 1, stderr: /without a network/ })
  t.match(await makeDevice(t, bootstrap).pcfs(['device', 'invite']), { code: 4 })
  t.match(await laptop.pcfs(['device', 'invite', '--expires', '-1']), { code: 2 })
  t.match(await laptop.pcfs(['device', 'invite', '--role', 'king']), { code: 2 })
})
