// runner: timeout=120
import Corestore from 'corestore'
import Hyperdrive from 'hyperdrive'
import t from 'tap'
import { createBlockCipher } from '../../src/keys/block-cipher.js'
import { openKeyring } from '../../src/keys/keyring.js'
import { Posix } from './posix.js'
import { TestVolume } from './test-volume.js'

/** What a stock hyperdrive with the home's keys lists, and the size of each file. */
async function stockListing(volume: TestVolume): Promise<Record<string, number | string>> {
  const { projection } = await volume.store.call('info')
  const cipher = createBlockCipher(await openKeyring(volume.home.keyring))
  return volume.offline(async (home) => {
    const store = new Corestore(home.store)
    const get = store.get.bind(store)
    store.get = (options) => get({ ...options, encryption: cipher })
    const drive = new Hyperdrive(store, Buffer.from(projection))
    await drive.ready()
    const listing: Record<string, number | string> = {}
    for await (const { key, value } of drive.list('/')) {
      listing[key] = value.linkname ?? (await drive.get(key))?.length ?? -1
    }
    await drive.close()
    await store.close()
    return listing
  })
}

t.test(
  'the plain projection follows writes, renames and removals, also after a crash',
  async (t) => {
    const volume = await TestVolume.create()
    t.teardown(() => volume.close())
    const posix = new Posix(volume.kernel, 1)
    for (const path of ['d', 'd/sub']) await posix.run({ op: 'mkdir', path, mode: 0o755 })
    for (const path of ['d/a', 'd/sub/b', 'gone', 'kept']) {
      await posix.run({ op: 'create', path, mode: 0o644 })
      await posix.run({ op: 'write', path, at: 0, length: 70_000, byte: 3 })
    }
    await posix.run({ op: 'symlink', path: 'link', target: 'd/a' })
    await volume.flush()
    await volume.fs.projector.settle()
    await volume.kernel.rename([1, 'd'], [1, 'moved'], 0)
    await volume.kernel.unlink(1, 'gone')
    await volume.flush()
    // Its second block lies elsewhere now, which a stock hyperdrive cannot show.
    await posix.run({ op: 'write', path: 'kept', at: 70_000, length: 1_000, byte: 4 })
    // What was not projected yet when it died is done by the next life.
    await volume.crash()
    await posixOf(volume).run({ op: 'create', path: 'new', mode: 0o644 })
    await posixOf(volume).run({ op: 'write', path: 'new', at: 0, length: 10, byte: 5 })
    await volume.flush()
    await volume.fs.projector.settle()
    t.strictSame(await stockListing(volume), {
      '/link': 'd/a',
      '/moved/a': 70_000,
      '/moved/sub/b': 70_000,
      '/new': 10
    })
  }
)

function posixOf(volume: TestVolume): Posix {
  return new Posix(volume.kernel, 1)
}
