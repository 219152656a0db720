// runner: timeout=240
/**
 * Promises of `src/vfs/SEMANTICS.md` that need no mount; and that each of its promises has a test.
 */
import { readFileSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { root } from '../support/workspace.js'
import { leakedBlocks } from './blocks.js'
import { fields } from './test-kernel.js'
import { TestVolume } from './test-volume.js'

const SEEK_DATA = 3
const SEEK_HOLE = 4
const FATTR = { mode: 1, uid: 2, gid: 4, size: 8, killSuidGid: 2048 } as const
const KILL_SUIDGID = 4
const BLOCK = 65_536

const volume = await TestVolume.create()
t.teardown(() => volume.close())
const { kernel } = volume
let made = 0

async function newFile(mode = 0o644): Promise<number> {
  return (await kernel.create(1, `file-${++made}`, mode)).ino
}

t.test('every promise of SEMANTICS.md has a test of its name', async (t) => {
  const text = readFileSync(join(root, 'src/vfs/SEMANTICS.md'), 'utf8')
  const promises = [...(text.split('\n## Where')[0]?.matchAll(/^- (.*)$/gm) ?? [])].map((m) => m[1])
  const tests = readdirSync(join(root, 'test'), { recursive: true, encoding: 'utf8' })
    .filter((name) => /\.(test\.ts|py)$/.test(name))
    .map((name) => readFileSync(join(root, 'test', name), 'utf8'))
    .join('\n')
    .replaceAll("\\'", "'")
  t.ok(promises.length > 50, `${promises.length} promises`)
  t.strictSame(
    promises.filter((promise) => promise !== undefined && !tests.includes(promise)),
    []
  )
})

t.test('a name has at most 255 bytes', async (t) => {
  await kernel.mkdir(1, 'n'.repeat(255), 0o755)
  await t.rejects(kernel.mkdir(1, 'n'.repeat(256), 0o755), { code: 'ENAMETOOLONG' })
  await t.rejects(kernel.lookup(1, 'n'.repeat(256)), { code: 'ENAMETOOLONG' })
  await kernel.rmdir(1, 'n'.repeat(255))
})

t.test('two names of one file are exchanged without harm', async (t) => {
  const ino = await newFile()
  await kernel.link(ino, 1, 'second')
  await kernel.rename([1, `file-${made}`], [1, 'second'], 2)
  await volume.flush()
  t.equal((await kernel.lookup(1, 'second')).ino, ino)
  t.equal((await kernel.lookup(1, `file-${made}`)).nlink, 2)
})

t.test('an unknown flag of rename is EINVAL', async (t) => {
  await newFile()
  await t.rejects(kernel.rename([1, `file-${made}`], [1, 'x'], 4), { code: 'EINVAL' })
})

t.test('in a removed directory nothing can be made', async (t) => {
  const { ino } = await kernel.mkdir(1, 'removed', 0o755)
  await kernel.rmdir(1, 'removed')
  await t.rejects(kernel.create(ino, 'f', 0o644), { code: 'ENOENT' })
})

t.test(
  'a write by someone without privilege clears set-user-id, and set-group-id with group execute',
  async (t) => {
    const modes: string[] = []
    for (const mode of [0o6755, 0o2644]) {
      const ino = await newFile(mode)
      await kernel.write(ino, 0, Buffer.from('x'), KILL_SUIDGID)
      modes.push(((await kernel.getattr(ino)).mode & 0o7777).toString(8))
    }
    t.strictSame(modes, ['755', '2644'])
  }
)

t.test('a truncation by someone without privilege clears set-user-id', async (t) => {
  const ino = await newFile(0o4755)
  await kernel.setattr(ino, { 16: 5 }, { 0: FATTR.size | FATTR.killSuidGid })
  t.equal(((await kernel.getattr(ino)).mode & 0o7777).toString(8), '755')
})

t.test(
  'extended attributes of user, trusted and security are stored; others are EOPNOTSUPP',
  async (t) => {
    const ino = await newFile()
    for (const name of ['user.a', 'trusted.b', 'security.c']) {
      await kernel.setxattr(ino, name, Buffer.from(name), 0)
    }
    t.strictSame((await kernel.listxattr(ino)).sort(), ['security.c', 'trusted.b', 'user.a'])
    for (const name of ['system.posix_acl_access', 'other.x']) {
      await t.rejects(kernel.setxattr(ino, name, Buffer.from('x'), 0), { code: 'EOPNOTSUPP' })
    }
    await t.rejects(kernel.getxattr(ino, 'user.a', 3), { code: 'ERANGE' })
    await kernel.removexattr(ino, 'user.a')
    await t.rejects(kernel.getxattr(ino, 'user.a'), { code: 'ENODATA' })
  }
)

t.test('the extended attributes of one file take 1 MiB at most', async (t) => {
  const ino = await newFile()
  const value = Buffer.alloc(65_536, 1)
  for (let i = 0; i < 15; i++) await kernel.setxattr(ino, `user.${i}`, value, 0)
  await t.rejects(
    (async () => {
      for (let i = 15; i < 17; i++) await kernel.setxattr(ino, `user.${i}`, value, 0)
    })(),
    { code: 'ENOSPC' }
  )
  await kernel.setxattr(ino, 'user.0', Buffer.alloc(65_536, 2), 0)
  t.equal((await kernel.getxattr(ino, 'user.0'))[0], 2, 'one that is there can be replaced')
})

t.test(
  'SEEK_DATA and SEEK_HOLE tell holes, also of content that is not held locally',
  async (t) => {
    const ino = await newFile()
    await kernel.write(ino, 3 * BLOCK, Buffer.alloc(BLOCK, 1))
    const look = async (): Promise<number[]> => [
      await kernel.lseek(ino, 0, SEEK_DATA),
      await kernel.lseek(ino, 0, SEEK_HOLE),
      await kernel.lseek(ino, 3 * BLOCK, SEEK_HOLE)
    ]
    t.strictSame(await look(), [3 * BLOCK, 0, 4 * BLOCK], 'written')
    await volume.evict()
    t.strictSame(await look(), [3 * BLOCK, 0, 4 * BLOCK], 'evicted')
    await t.rejects(kernel.lseek(ino, 4 * BLOCK, SEEK_DATA), { code: 'ENXIO' })
  }
)

t.test('what was cut off is a hole, also before it is committed', async (t) => {
  const ino = await newFile()
  await kernel.write(ino, 0, Buffer.alloc(2 * BLOCK, 1))
  await volume.evict()
  await kernel.setattr(ino, { 16: 0 }, { 0: FATTR.size })
  await kernel.setattr(ino, { 16: 2 * BLOCK }, { 0: FATTR.size })
  await t.rejects(kernel.lseek(ino, 0, SEEK_DATA), { code: 'ENXIO' })
  t.ok((await kernel.read(ino, 0, 2 * BLOCK)).equals(Buffer.alloc(2 * BLOCK)))
})

t.test('a punched hole gives its blocks back after the commit', async (t) => {
  const ino = await newFile()
  await kernel.write(ino, 0, Buffer.alloc(4 * BLOCK, 1))
  await volume.evict()
  await kernel.fallocate(ino, 3, BLOCK, 2 * BLOCK)
  await volume.evict()
  t.equal((await kernel.getattr(ino)).blocks * 512, 2 * BLOCK)
  t.equal(await kernel.lseek(ino, 0, SEEK_HOLE), BLOCK)
})

t.test('fallocate with a mode other than allocate, punch and zero is EOPNOTSUPP', async (t) => {
  const ino = await newFile()
  await kernel.write(ino, 0, Buffer.alloc(BLOCK, 1))
  for (const mode of [8, 32, 64]) {
    await t.rejects(kernel.fallocate(ino, mode, 0, 4096), { code: 'EOPNOTSUPP' })
  }
})

t.test('a file ends at 8 TiB: what lies beyond is EFBIG', async (t) => {
  const ino = await newFile()
  const limit = 8 * 2 ** 40
  await t.rejects(kernel.setattr(ino, { 16: limit + 1 }, { 0: FATTR.size }), { code: 'EFBIG' })
  await t.rejects(kernel.fallocate(ino, 0, limit, 1), { code: 'EFBIG' })
})

t.test('an inode that is gone is ENOENT', async (t) => {
  await t.rejects(kernel.call(3, 2 ** 41 + 999_999, Buffer.alloc(16)), { code: 'ENOENT' })
  await t.rejects(kernel.setattr(2 ** 41 + 999_999, {}, { 0: FATTR.mode }), { code: 'ENOENT' })
})

t.test('a request that is not known is ENOSYS', async (t) => {
  await t.rejects(kernel.call(4000, 1, fields(16)), { code: 'ENOSYS' })
})

t.test('no operation of these has leaked a block', async (t) => {
  kernel.forgetAll()
  t.strictSame(await leakedBlocks(volume), [])
})
