/** Names that are hard: any bytes, as long as can be, alike but not the same. */
import t from 'tap'
import { type NodeId, ROOT_ID } from '../../src/format/ids.js'
import { World, find, plain } from './world.js'
import { MAX_NAME_BYTES } from '../../src/format/name-rules.js'
import { isUtf8 } from 'node:buffer'

const CONFLICT = / \(conflict, d\d, \d{4}-\d\d-\d\d, [0-9a-f]{4}\)/

/** Both devices make a file with these bytes as its name, apart; says which names there are. */
function clash(name: Buffer): Buffer[] {
  const world = new World()
  for (const index of [0, 1]) {
    world.do(index, (operation, device) => {
      operation.create({ parent: ROOT_ID, name }, 'file', device.ledger.newContent())
    })
  }
  world.tree()
  return namesIn(world, ROOT_ID)
}

function namesIn(world: World, dir: NodeId): Buffer[] {
  const seen = world.device(0).list()
  return seen.filter((each) => each.dir === dir).map(({ entry }) => entry.name)
}

t.test('a name that is not UTF-8 is kept to the byte, in its copy too', async (t) => {
  const name = Buffer.from([0x66, 0xff, 0xfe, 0x80, 0x2e, 0x74])
  const names = clash(name)
  t.equal(names.length, 2)
  t.ok(names.some((each) => each.equals(name)))
  const [copy] = names.filter((each) => !each.equals(name))
  t.ok(copy?.subarray(0, 4).equals(name.subarray(0, 4)), 'begins like it')
  t.ok(copy?.subarray(-2).equals(name.subarray(-2)), 'ends like it')
  t.match(copy?.toString('latin1'), CONFLICT)
})

t.test('the copy of a name of 255 bytes has 255 bytes, and keeps the extension', async (t) => {
  for (const name of [
    Buffer.from(`${'x'.repeat(251)}.txt`),
    Buffer.from(`${'ä'.repeat(125)}x.txt`),
    Buffer.from(`x${'ä'.repeat(125)}.txt`),
    Buffer.from(`${'𝄞'.repeat(62)}abc.txt`),
    Buffer.concat([Buffer.alloc(251, 0xff), Buffer.from('.txt')])
  ]) {
    t.equal(name.byteLength, MAX_NAME_BYTES)
    const names = clash(name)
    t.equal(names.length, 2)
    const [copy] = names.filter((each) => !each.equals(name))
    const length = copy?.byteLength ?? 0
    t.ok(length <= MAX_NAME_BYTES && length > MAX_NAME_BYTES - 4, `${length} bytes`)
    t.match(copy?.toString('latin1'), /\)\.txt$/)
    t.equal(copy && isUtf8(copy), isUtf8(name), 'no character is cut in two')
  }
})

t.test('names of 255 bytes that begin alike have copies of their own', async (t) => {
  const world = new World(2)
  for (const end of ['a', 'b']) {
    const name = Buffer.from(`${'x'.repeat(254)}${end}`)
    for (const index of [0, 1]) {
      world.do(index, (operation, device) => {
        operation.create({ parent: ROOT_ID, name }, 'file', device.ledger.newContent())
      })
    }
  }
  world.tree()
  const names = namesIn(world, ROOT_ID).map((name) => name.toString())
  t.equal(new Set(names).size, 4)
  t.ok(names.every((name) => name.length === MAX_NAME_BYTES))
})

t.test('names that differ by case or normalisation are different names', async (t) => {
  const world = new World()
  const names = ['Report', 'report', 'caf\u00e9', 'cafe\u0301']
  for (const [i, name] of names.entries()) world.create(i % 2, `/${name}`)
  t.equal(Object.keys(world.tree()).length, 4)
  t.notOk(Object.keys(world.tree()).some((path) => CONFLICT.test(path)))
})

t.test('a rename apart that only changes the case is a rename', async (t) => {
  const world = new World()
  world.create(0, '/report')
  world.sync()
  world.rename(0, '/report', '/Report')
  world.write(1, '/report')
  t.strictSame(world.tree(), { '/Report': 'file 2' })
})

t.test('two files renamed apart to one name are both kept', async (t) => {
  const world = new World()
  world.create(0, '/a')
  world.create(0, '/b')
  world.sync()
  world.rename(0, '/a', '/c')
  world.rename(1, '/b', '/c')
  t.strictSame(plain(world.tree()), {
    '/c': 'file 2',
    '/c (conflict, d1, 2026-11-18, HEX)': 'file 1'
  })
})

t.test('a file and a directory of one name are both kept, what is in it too', async (t) => {
  const world = new World()
  world.mkdir(0, '/c')
  world.create(0, '/c/x')
  world.create(1, '/c')
  t.strictSame(plain(world.tree()), {
    '/c': 'file 2',
    '/c (conflict, d1, 2026-11-18, HEX)': 'dir',
    '/c (conflict, d1, 2026-11-18, HEX)/x': 'file 1'
  })
})

t.test('a name of 255 bytes can be edited, renamed and removed as a copy', async (t) => {
  const world = new World()
  const name = `${'x'.repeat(251)}.txt`
  world.create(0, `/${name}`)
  world.create(1, `/${name}`)
  world.sync()
  const copy = Object.keys(world.tree()).find((path) => path !== `/${name}`) ?? ''
  world.write(0, copy)
  t.equal(world.tree()[copy], 'file 3')
  world.rename(1, copy, '/short')
  t.strictSame(world.tree(), { [`/${name}`]: 'file 2', '/short': 'file 3' })
  t.ok(find(world.device(1), '/short'))
})
