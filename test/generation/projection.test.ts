import { type ProjectedEntry, Projection, projectedPath } from '../../src/generation/projection.js'
import { createBlockCipher } from '../../src/keys/block-cipher.js'
import { BLOCK, closeHome, frozenOf, newHome, noise, openHome, wholeFile } from './support.js'
import Corestore from 'corestore'
import Hyperdrive from 'hyperdrive'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'tap'

const path = (...names: string[]): Buffer[] => names.map((name) => Buffer.from(name))

await test('a stock hyperdrive lists and reads the files at their paths', async (t) => {
  const { directory, keyring } = await newHome()
  t.teardown(() => rm(directory, { recursive: true, force: true }))
  const home = await openHome(directory, keyring)
  const { generation } = home
  const contents = new Map([
    ['/docs/a.txt', Buffer.from('hello')],
    ['/docs/large.bin', noise(3 * BLOCK + 5, 1)],
    ['/empty', Buffer.alloc(0)],
    ['/run.sh', noise(BLOCK, 2)]
  ])
  await generation.ingest([wholeFile(noise(1234, 9))])
  const results = await generation.ingest([...contents.values()].map(wholeFile))
  const edited = noise(2 * BLOCK, 3)
  const [base] = await generation.ingest([wholeFile(edited)])
  if (!base) throw new Error('no result')
  const frozen = frozenOf([{ at: 5, bytes: Buffer.from('edit') }])
  const request = { base: base.map, baseEnd: edited.length, size: edited.length, frozen }
  const [inPlace] = await generation.ingest([request])
  if (!inPlace) throw new Error('no result')

  const file = (map: Uint8Array, size: number, isExecutable = false): ProjectedEntry => {
    return { type: 'file', map, size, isExecutable }
  }
  const projection = await Projection.open(home.store, keyring)
  const changes = [...contents].map(([name, bytes], at) => ({
    path: path(...name.slice(1).split('/')),
    entry: file(results[at]?.map ?? Buffer.of(), bytes.length, name === '/run.sh')
  }))
  const target = { type: 'link', target: 'docs/a.txt' } as const
  t.same(
    await projection.update([
      ...changes,
      { path: path('link'), entry: target },
      { path: path('edited'), entry: file(base.map, edited.length) },
      { path: path('gone'), entry: target }
    ]),
    { omitted: 0 }
  )
  const update = [
    { path: path('edited'), entry: file(inPlace.map, edited.length) },
    { path: path('gone'), entry: null }
  ]
  t.same(await projection.update(update), { omitted: 1 })
  t.same(await projection.update(update), { omitted: 1 })
  const { key } = projection
  await projection.close()
  await closeHome(home)

  const stock = new Corestore(join(directory, 'store'))
  const cipher = createBlockCipher(keyring)
  const get = stock.get.bind(stock)
  stock.get = (options) => get({ ...options, encryption: cipher })
  const drive = new Hyperdrive(stock, key)
  await drive.ready()
  const names: string[] = []
  for await (const { key: name } of drive.list('/')) names.push(name)
  t.same(names.sort(), [...contents.keys(), '/link'].sort())
  for (const [name, bytes] of contents) {
    t.ok((await drive.get(name))?.equals(bytes), name)
  }
  t.equal((await drive.entry('/run.sh'))?.value.executable, true)
  t.equal((await drive.entry('/link'))?.value.linkname, 'docs/a.txt')
  const large = contents.get('/docs/large.bin') ?? Buffer.of()
  const part: Buffer[] = []
  const range = { start: BLOCK - 10, end: 2 * BLOCK + 10 }
  for await (const chunk of drive.createReadStream('/docs/large.bin', range)) part.push(chunk)
  t.ok(Buffer.concat(part).equals(large.subarray(range.start, range.end + 1)), 'by byte range')
  await drive.close()
})

await test('names that a hyperdrive key can not hold are escaped', async (t) => {
  t.equal(projectedPath(path('a b', 'ä€')), '/a b/ä€')
  t.equal(projectedPath(path('50%', 'a\\b')), '/50%25/a%5cb')
  t.equal(projectedPath([Buffer.of(0x61, 0xff, 0x25)]), '/a%ff%25')
})
