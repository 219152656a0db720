// runner: timeout=300
/**
 * A file that is removed while its last edit is on its way into the generation, and kept by another
 * device that has not heard of it: it lives with that edit, or is gone for everybody.
 */
import t, { type Test } from 'tap'
import { TestDrive, type Shown } from './drive.js'
import { Interruption, MOMENTS } from './interruption.js'
import { chmod, mkdir, rename, shows, unlink, write } from './paths.js'

/** What all devices show by now, whatever came before in the same drive. */
const shownSoFar = new Map<TestDrive, Record<string, Shown>>()

async function setUp(t: Test): Promise<{ drive: TestDrive; interruption: Interruption }> {
  const interruption = new Interruption()
  const drive = await TestDrive.create(3, {
    wrapStore: (store, device) => (device === 0 ? interruption.wrap(store) : store)
  })
  t.teardown(() => drive.close())
  shownSoFar.set(drive, {})
  return { drive, interruption }
}

/** A directory with a file "f" that everybody has. */
async function begin(drive: TestDrive, dir: string): Promise<void> {
  await mkdir(drive, 0, dir)
  await write(drive, 0, `${dir}/f`, 'base')
  await drive.exchange()
}

async function end(
  t: Test,
  drive: TestDrive,
  shown: Readonly<Record<string, Shown>>
): Promise<void> {
  await drive.exchange()
  await drive.exchange()
  await drive.settle()
  const all = { ...shownSoFar.get(drive), ...shown }
  shownSoFar.set(drive, all)
  await shows(t, drive, all)
}

/** What the second device does meanwhile, and what everybody shows in the end. */
const OTHERS: readonly {
  readonly does: string
  readonly act: (drive: TestDrive, dir: string) => Promise<void>
  readonly shows: Shown
}[] = [
  { does: 'nothing', act: async () => undefined, shows: {} },
  {
    does: 'a rename',
    act: (drive, d) => rename(drive, 1, `${d}/f`, `${d}/g`),
    shows: { g: 'edit' }
  },
  { does: 'a chmod', act: (drive, d) => chmod(drive, 1, `${d}/f`, 0o600), shows: { f: 'edit' } },
  {
    does: 'an edit',
    act: (drive, d) => write(drive, 1, `${d}/f`, 'theirs'),
    shows: { f: 'theirs' }
  },
  { does: 'a removal', act: (drive, d) => unlink(drive, 1, `${d}/f`), shows: {} }
]

const PROMISE =
  'a file is removed while its last edit is being committed: it is gone, or lives with that edit'

for (const moment of MOMENTS) {
  t.test(`${PROMISE} (after the ${moment})`, async (t) => {
    const { drive, interruption } = await setUp(t)
    for (const { does, act, shows: expected } of OTHERS) {
      for (const hearer of [null, 1, 2]) {
        const dir = `${does} elsewhere, heard by ${hearer}`
        await begin(drive, dir)
        await act(drive, dir)
        await write(drive, 0, `${dir}/f`, 'edit')
        interruption.next(moment, async () => {
          await unlink(drive, 0, `${dir}/f`)
          if (hearer !== null) await drive.shipStored(0, hearer)
        })
        await drive.at(0).fs.ingester.flush()
        t.ok(interruption.isOver, 'it was removed in the middle')
        await end(t, drive, { [dir]: expected })
      }
    }
  })
}

t.test('other things that happen while an edit is on its way', async (t) => {
  const { drive, interruption } = await setUp(t)

  await t.test('the file is removed and another one made in its place', async (t) => {
    await begin(drive, 'new')
    await rename(drive, 1, 'new/f', 'new/g')
    await write(drive, 0, 'new/f', 'edit')
    interruption.next('commit', async () => {
      await unlink(drive, 0, 'new/f')
      await write(drive, 0, 'new/f', 'new')
    })
    await drive.at(0).fs.ingester.flush()
    await end(t, drive, { new: { f: 'new', g: 'edit' } })
  })

  for (const isKept of [false, true]) {
    await t.test(`its times are set, it is removed${isKept ? ', and kept' : ''}`, async (t) => {
      const dir = isKept ? 'times kept' : 'times'
      await begin(drive, dir)
      if (isKept) await rename(drive, 1, `${dir}/f`, `${dir}/g`)
      await write(drive, 0, `${dir}/f`, 'edit')
      interruption.next('commit', async () => {
        const { kernel } = drive.at(0)
        const { ino } = await kernel.lookup((await kernel.lookup(1, dir)).ino, 'f')
        await kernel.setattr(ino, { 40: 1000 }, { 0: 32 })
        await unlink(drive, 0, `${dir}/f`)
      })
      await drive.at(0).fs.ingester.flush()
      await end(t, drive, { [dir]: isKept ? { g: 'edit' } : {} })
    })
  }

  await t.test('another device edits it upon that edit, which is no conflict', async (t) => {
    await begin(drive, 'answer')
    await write(drive, 0, 'answer/f', 'edit')
    interruption.next('barrier', async () => {
      await chmod(drive, 0, 'answer/f', 0o600)
      await drive.shipStored(0, 1)
      await write(drive, 1, 'answer/f', 'answer')
    })
    await drive.at(0).fs.ingester.flush()
    await end(t, drive, { answer: { f: 'answer' } })
  })

  await t.test('it is removed and the device is killed before the commit ends', async (t) => {
    await begin(drive, 'killed')
    await rename(drive, 1, 'killed/f', 'killed/g')
    await write(drive, 0, 'killed/f', 'edit')
    let copy = ''
    interruption.next('barrier', async () => {
      await unlink(drive, 0, 'killed/f')
      await drive.shipStored(0, 2)
      copy = drive.at(0).copyHome(1)
    })
    await drive.at(0).fs.ingester.flush()
    await drive.at(0).goOnWith(copy)
    await end(t, drive, { killed: { g: 'edit' } })
  })
})
