// runner: timeout=300
/** Copies that wait for a person: made by two real devices that were apart. */
import { chmodSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import type { ConflictReport } from '../../src/control/operations.js'
import { comesToRead, joinByCode, makeFirst, privateNetwork, put } from '../support/devices.js'
import { succeed, type DevicePlayground } from '../support/devices.js'
import { must, waitFor } from '../support/process.js'

function conflictsOf(device: DevicePlayground): Promise<ConflictReport[]> {
  return device.json<ConflictReport[]>(['conflicts'])
}

t.test(
  'a file that was changed on two devices apart is listed on both, until decided',
  async (t) => {
    const laptop = await makeFirst(t, await privateNetwork(t))
    await must('mkdir', [join(laptop.mount, 'work')])
    await put(laptop, 'work/plan.txt', 'first')
    const desk = await joinByCode(t, laptop, ['--name', 'desk'])
    // A program of that name stands for the desktop.
    const programs = join(desk.directory, 'bin')
    mkdirSync(programs)
    const notify = join(programs, 'notify-send')
    const told = join(desk.directory, 'told')
    writeFileSync(notify, `#!/bin/sh\nprintf '%s\\n' "$*" >> '${told}'\n`)
    chmodSync(notify, 0o755)
    const path = { PATH: `${programs}:${process.env['PATH']}` }
    await succeed(desk.pcfs(['mount', desk.mount], path))
    t.equal(await comesToRead(desk, 'work/plan.txt', 'first'), 'first')
    t.same(await conflictsOf(desk), [])
    t.match((await desk.pcfs(['conflicts'])).stdout, /there are no conflict copies/)

    await succeed(laptop.pcfs(['stop']))
    await put(desk, 'work/plan.txt', 'by the desk')
    await succeed(desk.pcfs(['flush']))
    await succeed(desk.pcfs(['stop']))
    await succeed(laptop.pcfs(['mount', laptop.mount]))
    await put(laptop, 'work/plan.txt', 'by the laptop')
    await succeed(laptop.pcfs(['flush']))
    await succeed(desk.pcfs(['mount', desk.mount], path))

    const hasOne = (device: DevicePlayground) => async (): Promise<boolean> =>
      (await conflictsOf(device)).length === 1
    for (const device of [laptop, desk]) t.ok(await waitFor(hasOne(device), 30_000, 200))
    const [one] = await conflictsOf(laptop)
    t.match(one, {
      path: /^work\/plan \(conflict, (laptop|desk), \d{4}-\d\d-\d\d, [0-9a-f]{4}\)\.txt$/,
      of: 'plan.txt',
      device: /^(laptop|desk)$/,
      date: /^\d{4}-\d\d-\d\d$/
    })
    t.same(await conflictsOf(desk), [one], 'the same on both')
    t.match((await desk.pcfs(['conflicts'])).stdout, /the version of 'plan.txt' that/)
    t.ok(await waitFor(() => existsSync(told), 20_000), 'the desktop is told')
    t.match(readFileSync(told, 'utf8'), /pcfs conflicts/)

    const copy = one?.path ?? ''
    await must('mv', [join(desk.mount, copy), join(desk.mount, 'work/old plan.txt')])
    const isOver = (device: DevicePlayground) => async (): Promise<boolean> =>
      (await conflictsOf(device)).length === 0
    for (const device of [desk, laptop]) t.ok(await waitFor(isOver(device), 30_000, 200))
  }
)
