import { parseDriveKey } from '../../src/attach/drive-key.js'
import { AttachedDrive, type AttachedDriveOptions } from '../../src/attach/attached-drive.js'
import type { ForeignChange, ForeignEntry } from '../../src/attach/types.js'
import { Visitor } from '../../src/swarm/visitor.js'
import { digest, ForeignDriveServer, noise, privateDht, type Testnet } from './foreign.js'
import { createHash } from 'node:crypto'
import { mkdtemp, readdir, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type Test } from 'tap'

/** A drive as this device has it, closed with the test. */
async function attach(
  t: Test,
  server: ForeignDriveServer,
  options: Partial<AttachedDriveOptions> & { readonly testnet: Testnet | null }
): Promise<{ drive: AttachedDrive; directory: string }> {
  const { testnet, onChange } = options
  const directory = options.directory ?? (await mkdtemp(join(tmpdir(), 'pcfs-attached-')))
  const drive = await AttachedDrive.open({
    directory,
    key: server.drive.key,
    keepBytes: options.keepBytes ?? 2 ** 30,
    search:
      testnet && ((topic, onConnection) => new Visitor({ topic, network: testnet, onConnection })),
    onChange: onChange ?? (() => undefined)
  })
  t.teardown(async () => {
    await drive.close()
    await rm(directory, { recursive: true, force: true })
  })
  return { drive, directory }
}

const names = (entries: readonly ForeignEntry[]): string[] => entries.map(({ name }) => name).sort()

await test('a key is read in every form in which it is passed on', async (t) => {
  const hex = 'ab'.repeat(32)
  const z32 = 'ixs4zk7ix6xkzk7ix6xkzk7ix6xkzk7ix6xkzk7ix6xkzk7ix6xo'.slice(0, 52)
  for (const text of [hex, hex.toUpperCase(), `hyper://${hex}`, `pear://${hex}/`, ` ${hex}\n`]) {
    t.equal(parseDriveKey(text).toString('hex'), hex)
  }
  t.equal(parseDriveKey(`hyper://${hex}+12`).toString('hex'), hex)
  t.equal(parseDriveKey('y'.repeat(52)).toString('hex'), '00'.repeat(32))
  t.equal(parseDriveKey(`${'9'.repeat(51)}o`).toString('hex'), 'ff'.repeat(32))
  for (const text of ['', 'abc', hex.slice(1), `${hex}0`, z32.replace(/^./, 'l'), '9'.repeat(52)]) {
    t.throws(() => parseDriveKey(text), { code: 'EINVAL', message: /no key of a Hyperdrive/ })
  }
})

await test('a stock hyperdrive is listed, looked up and read', async (t) => {
  const testnet = await privateDht(t)
  const server = await ForeignDriveServer.create(t, testnet)
  const large = noise(20 * 2 ** 20 + 5, 1)
  await server.drive.put('/a.txt', Buffer.from('hello'))
  await server.drive.put('/a.txt-more', Buffer.from('sorts between a.txt and a.txt/'))
  await server.drive.put('/docs/deep/x', Buffer.from('x'), { executable: true })
  await server.drive.put('/docs0', Buffer.from('right behind docs/'))
  await server.drive.put('/docs/large', large)
  await server.drive.put('/empty', Buffer.alloc(0))
  await server.drive.symlink('/docs/link', '/a.txt')
  const { drive } = await attach(t, server, { testnet })

  const root = await drive.list('')
  t.same(names(root.entries), ['a.txt', 'a.txt-more', 'docs', 'docs0', 'empty'])
  const docs = await drive.list('/docs')
  t.same(names(docs.entries), ['deep', 'large', 'link'])
  t.same(names((await drive.list('/nowhere')).entries), [])
  t.match((await drive.lookup('/docs/link')).entry, { kind: 'link', target: '../a.txt' })
  t.match((await drive.lookup('/docs/deep')).entry, { kind: 'dir' })
  t.match((await drive.lookup('/docs/deep/x')).entry, { kind: 'file', size: 1, isExecutable: true })
  t.equal((await drive.lookup('/doc')).entry, null)

  const { entry } = await drive.lookup('/docs/large')
  if (!entry?.blob) throw new Error('no blob')
  t.equal(entry.size, large.length)
  const parts: Uint8Array[] = []
  for (let fileOffset = 0; fileOffset < entry.size; fileOffset += 2 ** 17) {
    parts.push(await drive.read(entry.blob, { fileOffset, length: 2 ** 17 }))
  }
  t.equal(digest(Buffer.concat(parts)), digest(large))
  const range = { fileOffset: 65_530, length: 20 }
  t.same(Buffer.from(await drive.read(entry.blob, range)), large.subarray(65_530, 65_550))
})

await test('what is written later is told and shown', async (t) => {
  const testnet = await privateDht(t)
  const server = await ForeignDriveServer.create(t, testnet)
  await server.drive.put('/a', Buffer.from('1'))
  const changes: ForeignChange[] = []
  let heard: () => void = () => undefined
  const { drive } = await attach(t, server, {
    testnet,
    onChange: (change) => {
      changes.push(change)
      heard()
    }
  })
  t.same(names((await drive.list('')).entries), ['a'])
  const told = new Promise<void>((resolve) => {
    heard = () => changes.some(({ paths }) => paths?.includes('/b/c')) && resolve()
  })
  await server.drive.put('/b/c', Buffer.from('2'))
  await told
  t.same(names((await drive.list('')).entries), ['a', 'b'])
})

await test('of a drive that is read more than its budget, less is kept', async (t) => {
  const testnet = await privateDht(t)
  const server = await ForeignDriveServer.create(t, testnet)
  const large = noise(48 * 2 ** 20, 7)
  await server.drive.put('/large', large)
  const { drive, directory } = await attach(t, server, { testnet, keepBytes: 2 ** 20 })
  const { entry } = await drive.lookup('/large')
  if (!entry?.blob) throw new Error('no blob')
  const hash = createHash('sha256')
  for (let fileOffset = 0; fileOffset < entry.size; fileOffset += 2 ** 20) {
    hash.update(await drive.read(entry.blob, { fileOffset, length: 2 ** 20 }))
  }
  t.equal(hash.digest('hex'), digest(large))
  const kept = async (): Promise<number> => {
    const found = await readdir(directory, { recursive: true })
    const sizes = found.map(async (name) => (await stat(join(directory, name))).size)
    const all = await Promise.allSettled(sizes)
    return all.reduce((sum, each) => sum + (each.status === 'fulfilled' ? each.value : 0), 0)
  }
  t.ok((await kept()) < large.length * 0.75, `${await kept()} bytes`)
})
