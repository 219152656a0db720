// runner: timeout=240
import t from 'tap'
import { FsError } from '../../src/base/errors.js'
import type { ContentStore } from '../../src/vfs/content-store.js'
import { TestVolume } from '../vfs/test-volume.js'

const BLOCK = 65_536
/** What the store does with a request for blocks. */
let fetching: 'as asked' | 'too late' | 'damaged' = 'as asked'
let fetches = 0

const volume = await TestVolume.create({
  wrapStore: (store) =>
    new Proxy(store, {
      get: (target, name) => {
        if (name !== 'fetch') {
          const value: unknown = Reflect.get(target, name)
          return value
        }
        return async (...args: Parameters<ContentStore['fetch']>) => {
          fetches++
          if (fetching === 'damaged') throw new FsError('EIO', 'block 7 does not verify')
          return fetching === 'too late' ? false : target.fetch(...args)
        }
      }
    })
})
t.teardown(() => volume.close())
const { kernel } = volume
const { ino } = await kernel.create(1, 'f', 0o644)
await kernel.write(ino, 0, Buffer.alloc(3 * BLOCK, 1))

t.test('what is not held locally is fetched once and then read natively', async (t) => {
  await volume.evict()
  fetches = 0
  t.ok((await kernel.read(ino, 0, 100)).equals(Buffer.alloc(100, 1)))
  t.equal(fetches, 1)
  kernel.replyNow(kernel.send(15, ino, readBody(BLOCK, 100)))
  t.equal(fetches, 1, 'the blocks behind came along')
})

t.test('a block that does not verify is EIO, and the mount goes on', async (t) => {
  await volume.evict()
  fetching = 'damaged'
  await t.rejects(kernel.read(ino, 0, 100), { code: 'EIO' })
  fetching = 'as asked'
  t.ok((await kernel.read(ino, 0, 100)).equals(Buffer.alloc(100, 1)), 'it is asked for again')
})

t.test('a request that can never be served is given up with EIO', async (t) => {
  await volume.evict()
  fetching = 'too late'
  fetches = 0
  await t.rejects(kernel.read(ino, 0, 100), { code: 'EIO' })
  t.ok(fetches >= 2 && fetches <= 32, `${fetches} tries`)
  fetching = 'as asked'
  t.ok((await kernel.read(ino, 0, 100)).equals(Buffer.alloc(100, 1)))
})

t.test('many reads of one range fetch it once', async (t) => {
  await volume.evict()
  fetches = 0
  await Promise.all(Array.from({ length: 20 }, () => kernel.read(ino, 0, 3 * BLOCK)))
  t.equal(fetches, 1)
})

t.test('a write to a part of a block that is not held keeps the rest of it', async (t) => {
  await volume.evict()
  await kernel.write(ino, 10, Buffer.alloc(10, 2))
  await volume.evict()
  const expected = Buffer.alloc(3 * BLOCK, 1).fill(2, 10, 20)
  t.ok((await kernel.read(ino, 0, 3 * BLOCK)).equals(expected))
})

/** `struct fuse_read_in`. */
function readBody(fileOffset: number, byteLength: number): Buffer {
  const body = Buffer.alloc(40)
  body.writeBigUInt64LE(BigInt(fileOffset), 8)
  body.writeUInt32LE(byteLength, 16)
  return body
}
