import { bootstrapOf, ForeignDriveServer, noise, privateDht } from './foreign.js'
import { mounted, output, sh } from './mounted.js'
import Hyperbee from 'hyperbee'
import type Hyperdrive from 'hyperdrive'
import { test } from 'tap'

/** Puts entries as they are, which a hyperdrive would not. */
async function putRaw(
  drive: Hyperdrive,
  entries: Iterable<readonly [path: string | Buffer, value: unknown]>
): Promise<void> {
  const encoding = { keyEncoding: 'binary', valueEncoding: 'binary' } as const
  const bee = new Hyperbee(drive.core.session(), encoding)
  const batch = bee.batch()
  for (const [path, value] of entries) {
    const bytes = Buffer.isBuffer(value) ? value : Buffer.from(JSON.stringify(value))
    await batch.put(Buffer.concat([Buffer.from('files\0'), Buffer.from(path)]), bytes)
  }
  await batch.flush()
  await bee.close()
}

const file = (blob: unknown): object => ({ executable: false, linkname: null, blob })
const link = (linkname: string): object => ({ executable: false, linkname, blob: null })
const empty = file(null)

await test('names, links, sizes and values that no file can have are left out or made safe', async (t) => {
  const testnet = await privateDht(t)
  const { drive, key } = await ForeignDriveServer.create(t, testnet)
  await drive.put('/good', Buffer.from('good'))
  const content = noise(100_000, 3)
  await drive.put('/content', content)
  await putRaw(drive, [
    ['/..', empty],
    ['/.', empty],
    ['/../outside', empty],
    ['/dir/../../outside', empty],
    ['/dir//empty-name', empty],
    ['//', empty],
    ['no-slash', empty],
    ['/nul\0name', empty],
    [`/${'n'.repeat(256)}`, empty],
    [`/${'l'.repeat(255)}`, empty],
    [Buffer.concat([Buffer.from('/latin-'), Buffer.of(0xe9, 0xff)]), empty],
    ['/both', empty],
    ['/both/inside', empty],
    ['/no-json', Buffer.from('{')],
    ['/no-object', 7],
    ['/no-fields', {}],
    ['/size-negative', file({ byteOffset: 0, blockOffset: 0, blockLength: 1, byteLength: -1 })],
    ['/size-absurd', file({ byteOffset: 0, blockOffset: 0, blockLength: 1, byteLength: 1e18 })],
    [
      '/size-of-few-blocks',
      file({ byteOffset: 0, blockOffset: 0, blockLength: 1, byteLength: 1e9 })
    ],
    ['/size-text', file({ byteOffset: 0, blockOffset: 0, blockLength: 1, byteLength: '5' })],
    ['/links/absolute', link('/etc/passwd')],
    ['/links/up', link('../../../../../../../etc/passwd')],
    ['/links/self', link('self')],
    ['/links/a', link('b')],
    ['/links/b', link('/links/a')],
    ['/links/good', link('/good')],
    ['/links/top', link('../..')],
    ['/links/nul', link('a\0b')],
    ['/links/long', link('x/'.repeat(4000))]
  ])
  const pcfs = await mounted(t, bootstrapOf(testnet))
  await pcfs.json(['attach', key, '/drive'])
  const listed = await output(pcfs, 'find . -mindepth 1 | LC_ALL=C sort', 'drive')
  t.equal(
    listed.replace('l'.repeat(255), 'L'),
    [
      './both',
      './both/inside',
      './content',
      './dir',
      './good',
      './latin-\ufffd\ufffd',
      './links',
      ...['a', 'absolute', 'b', 'good', 'self', 'top', 'up'].map((name) => `./links/${name}`),
      './L',
      ''
    ].join('\n')
  )
  t.match(await output(pcfs, 'stat -c %F both', 'drive'), 'directory')
  t.equal(await output(pcfs, 'cat good links/good', 'drive'), 'goodgood')
  t.equal(
    await output(pcfs, 'readlink absolute up top', 'drive/links'),
    '../etc/passwd\n../etc/passwd\n..\n'
  )
  for (const [command, message] of [
    ['cat links/absolute', /No such file/],
    ['cat links/up', /No such file/],
    ['cat links/self', /Too many levels/],
    ['cat links/a', /Too many levels/],
    ['cat size-absurd', /No such file/]
  ] as const) {
    t.match((await sh(pcfs, command, 'drive')).stderr, message, command)
  }
  t.equal(
    await output(pcfs, 'ls -a top/', 'drive/links').then((text) => text.includes('good')),
    true
  )
  await pcfs.stop()
})

await test('content that is not as its entry says is an error, and soon', async (t) => {
  const testnet = await privateDht(t)
  const { drive, key } = await ForeignDriveServer.create(t, testnet)
  const content = noise(100_000, 4)
  await drive.put('/content', content)
  const blob = { byteOffset: 0, blockOffset: 0, blockLength: 2, byteLength: 100_000 }
  await putRaw(drive, [
    ['/too-long', file({ ...blob, byteLength: 131_072 })],
    ['/much-too-long', file({ ...blob, byteLength: 2 ** 21 })],
    ['/beyond', file({ ...blob, blockOffset: 1000, byteOffset: 2 ** 30 })],
    ['/map', file({ ...blob, blockMap: true })]
  ])
  const pcfs = await mounted(t, bootstrapOf(testnet))
  await pcfs.json(['attach', key, '/drive'])
  for (const name of ['too-long', 'much-too-long', 'beyond']) {
    const result = await sh(pcfs, `tail -c +70001 ${name} | head -c 40000 | wc -c`, 'drive')
    t.match(result.stderr, /Input\/output error|timed out/, name)
    t.equal(result.timedOut, false)
  }
  t.equal((await output(pcfs, 'wc -c < content', 'drive')).trim(), '100000')
  await pcfs.stop()
})

await test('what is no drive at all is an error, and the mount goes on', async (t) => {
  const testnet = await privateDht(t)
  const { drive, key } = await ForeignDriveServer.create(t, testnet)
  await drive.core.append([Buffer.from('no hyperbee'), Buffer.alloc(100, 0xff), Buffer.alloc(0)])
  const pcfs = await mounted(t, bootstrapOf(testnet))
  await pcfs.json(['attach', key, '/drive'])
  const result = await sh(pcfs, 'ls drive; stat drive/x')
  t.not(result.code, 0)
  t.match(result.stderr, /Input\/output error/)
  t.equal(await output(pcfs, 'echo works > own && cat own && ls'), 'works\ndrive\nown\n')
  await pcfs.json(['detach', key])
  await pcfs.stop()
})
