// runner: timeout=300
/**
 * A file that is written to while its last edit is on its way into the generation, and what another
 * device did to it is heard at that moment: what was written stays.
 */
import t from 'tap'
import { TestDrive } from './drive.js'
import { Interruption, MOMENTS } from './interruption.js'
import { chmod, contents, rename, walk, write } from './paths.js'

/** What the second device has done, and the first one hears in the middle of its commit. */
const NEWS: readonly {
  readonly does: string
  readonly act: (drive: TestDrive) => Promise<void>
}[] = [
  { does: 'nothing', act: async () => undefined },
  { does: 'an edit', act: (drive) => write(drive, 1, 'd/f', 'edited') },
  { does: 'a chmod', act: (drive) => chmod(drive, 1, 'd/f', 0o600) },
  { does: 'a name that is taken there', act: (drive) => write(drive, 1, 'd/x', 'theirs') },
  { does: 'a rename', act: (drive) => rename(drive, 1, 'd/f', 'd/g') },
  {
    does: 'another file of that name',
    act: async (drive) => {
      await rename(drive, 1, 'd/f', 'd/g')
      await write(drive, 1, 'd/f', 'another')
    }
  }
]

/** How the file stands before it is written to: the names that both devices make apart. */
const BEFORE: readonly { readonly is: string; readonly apart: readonly string[] }[] = [
  { is: 'a plain file', apart: [] },
  { is: 'a file of a conflict', apart: ['d/f'] }
]

for (const moment of MOMENTS) {
  for (const { is, apart } of BEFORE) {
    for (const { does, act } of NEWS) {
      t.test(`what is appended to ${is} stays (after the ${moment}, heard: ${does})`, async (t) => {
        const interruption = new Interruption()
        const drive = await TestDrive.create(2, {
          wrapStore: (store, device) => (device === 0 ? interruption.wrap(store) : store)
        })
        t.teardown(() => drive.close())
        const { kernel, fs } = drive.at(0)
        await kernel.mkdir(1, 'd', 0o755)
        await drive.exchange()
        for (const path of apart) await write(drive, 1, path, 'theirs')
        for (const path of new Set([...apart, 'd/f'])) await write(drive, 0, path, 'mine')
        await drive.exchange()
        await write(drive, 0, 'd/x', 'mine')
        await act(drive)
        await fs.ingester.flush()

        const { dir, name } = await walk(drive, 0, 'd/f')
        const { ino } = await kernel.lookup(dir, name)
        await kernel.write(ino, 0, Buffer.from('MINE!!'))
        interruption.next(moment, async () => {
          await kernel.write(ino, 6, Buffer.from(' and more'))
          await drive.ship(1, 0)
        })
        await fs.ingester.flush()
        t.ok(interruption.isOver)
        await drive.exchange()
        await drive.settle()
        await drive.exchange()
        for (const device of [0, 1]) {
          const shown = (await drive.look(device))['d']
          const all = typeof shown === 'object' ? contents(shown) : []
          t.ok(all.includes('MINE!! and more'), all.join(' | '))
        }
        t.strictSame(await drive.look(1), await drive.look(0))
      })
    }
  }
}
