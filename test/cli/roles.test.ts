// runner: timeout=600
/** What devices of each role do: a cloud device holds everything, a blind one can read nothing. */
import t from 'tap'
import { comesToRead, devicesOf, joinByCode, makeDevice, put } from '../support/devices.js'
import { makeFirst, privateNetwork, statusOf, succeed } from '../support/devices.js'
import type { DevicePlayground } from '../support/devices.js'
import { must, run, waitFor } from '../support/process.js'
import { join } from 'node:path'

const TEXT = 'known to three devices'

/** Bytes of the home's store on disk. */
async function storeBytes(device: DevicePlayground): Promise<number> {
  const out = await must('du', ['-sb', join(device.home, 'store')])
  return Number(out.split('\t')[0])
}

/** Writes four megabytes that do not compress, and waits until they are in the store. */
async function putLarge(device: DevicePlayground, name: string): Promise<void> {
  const target = join(device.mount, name)
  await must('dd', ['if=/dev/urandom', `of=${target}`, 'bs=1M', 'count=4', 'status=none'])
  await succeed(device.pcfs(['flush']))
}

t.test('a cloud device holds everything and hands it on when the writer is gone', async (t) => {
  const bootstrap = await privateNetwork(t)
  const laptop = await makeFirst(t, bootstrap)
  await put(laptop, 'note', TEXT)
  await putLarge(laptop, 'large')
  const cloud = await joinByCode(t, laptop, ['--role', 'cloud', '--name', 'cloud'])
  await succeed(cloud.pcfs(['mount', cloud.mount, '--role', 'cloud']))
  t.match(await statusOf(cloud), { device: { name: 'cloud', role: 'cloud' } })
  t.match(
    (await devicesOf(laptop)).find(({ name }) => name === 'cloud'),
    {
      role: 'cloud',
      holds: 'everything'
    }
  )
  t.ok(await waitFor(async () => (await storeBytes(cloud)) > 4 << 20, 60_000, 200))
  const phone = await joinByCode(t, laptop, ['--name', 'phone'])
  await succeed(phone.pcfs(['mount', phone.mount]))
  t.ok((await storeBytes(phone)) < 4 << 20, 'a personal device holds what it uses')
  t.equal(await comesToRead(phone, 'note', TEXT), TEXT)
  const sum = (await must('sha256sum', [join(laptop.mount, 'large')])).slice(0, 64)
  await succeed(laptop.pcfs(['stop']))
  const isThere = async (): Promise<boolean> => {
    const path = join(phone.mount, 'large')
    const { stdout } = await run('sha256sum', [path], { timeoutMs: 30_000 })
    return stdout.slice(0, 64) === sum
  }
  t.ok(await waitFor(isThere, 60_000, 500), 'read from the cloud device')
})

t.test('a blind device mounts nothing, holds all, reads nothing and hands it on', async (t) => {
  const bootstrap = await privateNetwork(t)
  const laptop = await makeFirst(t, bootstrap)
  await put(laptop, 'note-with-a-name', TEXT)
  await putLarge(laptop, 'large')
  const box = await joinByCode(t, laptop, ['--role', 'blind', '--name', 'box'])
  const started = await succeed(box.pcfs(['mount', box.mount, '--json']))
  t.same(JSON.parse(started.stdout), { path: null, already: false })
  t.match(await statusOf(box), { device: { name: 'box', role: 'blind' }, mounts: [] })
  t.ok(await waitFor(async () => (await storeBytes(box)) > 4 << 20, 60_000, 200))
  const grep = ['-rlaE', `${TEXT}|note-with-a-name|laptop`, box.home]
  t.same((await run('grep', grep)).stdout, '', 'no name and no content in its home')
  t.match(await box.pcfs(['mount', box.mount]), { code: 0, stdout: /runs already/ })
  t.match(await box.pcfs(['device', 'invite']), { code: 12, stderr: /ask a personal one/ })
  t.equal((await devicesOf(box)).length, 2)
  t.match(await box.pcfs(['doctor']), { code: 0, stdout: /holds \d+ of \d+ blocks/ })
  const phone = await joinByCode(t, laptop, ['--name', 'phone'])
  await succeed(laptop.pcfs(['stop']))
  await succeed(phone.pcfs(['mount', phone.mount]))
  t.equal(await comesToRead(phone, 'note-with-a-name', TEXT), TEXT, 'from the blind device')
  const { pid } = await statusOf(box)
  process.kill(pid, 'SIGKILL')
  const isBack = async (): Promise<boolean> => {
    const next = await statusOf(box).catch(() => null)
    return next !== null && next.pid !== pid
  }
  t.ok(await waitFor(isBack, 20_000, 200), 'it is started again')
  t.match(await box.pcfs(['stop']), { code: 0, stdout: 'stopped\n' })
  t.match(await box.pcfs(['status']), { code: 3 })
})

t.test('a role that a device has not is refused', async (t) => {
  const bootstrap = await privateNetwork(t)
  const laptop = await makeFirst(t, bootstrap)
  t.match(await laptop.pcfs(['mount', laptop.mount, '--role', 'cloud']), {
    code: 1,
    stderr: /this is a personal device/
  })
  const fresh = makeDevice(t, bootstrap)
  t.match(await fresh.pcfs(['mount', fresh.mount, '--role', 'cloud']), {
    code: 4,
    stderr: /device invite --role cloud/
  })
  // The code says the role; nobody has to repeat it.
  const invitation = ['device', 'invite', '--role', 'cloud']
  const { code } = await laptop.json<{ code: string }>(invitation)
  const joined = await succeed(fresh.pcfs(['device', 'join', code, '--name', 'c', '--json']))
  t.match(JSON.parse(joined.stdout), { role: 'cloud' })
})
