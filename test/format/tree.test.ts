import t from 'tap'
import { Device, Ledger, contentOf } from './drive-model.js'
import { START_MS, World, find, placeOf, plain } from './world.js'
import { ROOT_ID } from '../../src/format/ids.js'
import { attrWinner } from '../../src/format/winner.js'
import { materialise } from '../../src/format/tree.js'
import { withAttr } from '../../src/format/edit.js'

t.test(
  'two edits of one file made apart are both kept, the later one under its name',
  async (t) => {
    const world = new World()
    world.create(0, '/a.txt')
    world.sync()
    world.write(0, '/a.txt')
    world.write(1, '/a.txt')
    t.strictSame(plain(world.tree()), {
      '/a (conflict, d1, 2026-11-18, HEX).txt': 'file 2',
      '/a.txt': 'file 3'
    })
  }
)

t.test(
  'an edit of a conflict does not destroy the copy, nor one of the copy the winner',
  async (t) => {
    const world = new World()
    world.create(0, '/a')
    world.sync()
    world.write(0, '/a')
    world.write(1, '/a')
    world.sync()
    world.write(0, '/a')
    const [copy] = Object.keys(world.tree()).filter((path) => path.includes('conflict'))
    t.ok(copy)
    world.write(1, copy ?? '')
    t.strictSame(plain(world.tree()), {
      '/a': 'file 4',
      '/a (conflict, d1, 2026-11-18, HEX)': 'file 5'
    })
  }
)

t.test('a file edited on one device and deleted on another comes back with the edit', async (t) => {
  const world = new World()
  world.mkdir(0, '/d')
  world.create(0, '/d/a')
  world.sync()
  world.write(0, '/d/a')
  world.remove(1, '/d/a')
  world.remove(1, '/d')
  t.strictSame(world.tree(), { '/d': 'dir', '/d/a': 'file 2' })
})

t.test('what was deleted with all of its content known stays deleted', async (t) => {
  const world = new World(3)
  world.create(0, '/a')
  world.sync()
  world.write(2, '/a')
  world.sync()
  world.remove(1, '/a')
  t.strictSame(world.tree(), {})
})

t.test('a rename, an edit and a change of mode made apart all count', async (t) => {
  const world = new World(3)
  world.create(0, '/a')
  world.sync()
  world.rename(0, '/a', '/b')
  world.write(1, '/a')
  world.do(2, (operation, device) => operation.chmod(find(device, '/a'), 0o600))
  t.strictSame(world.tree(), { '/b': 'file 2' })
  const { entry } = find(world.device(0), '/b')
  const record = world.device(0).records.get(entry.node)
  t.equal(record && attrWinner(record)?.mode, 0o600)
})

t.test('a rename beats a delete', async (t) => {
  const world = new World()
  world.create(0, '/a')
  world.sync()
  world.rename(0, '/a', '/b')
  world.remove(1, '/a')
  t.strictSame(world.tree(), { '/b': 'file 1' })
})

t.test('of two moves that would form a cycle the later one is void', async (t) => {
  const world = new World()
  world.mkdir(0, '/x')
  world.mkdir(0, '/y')
  world.mkdir(0, '/y/home')
  world.rename(0, '/y', '/y2')
  world.sync()
  world.rename(0, '/x', '/y2/x')
  world.rename(1, '/y2', '/x/y')
  t.strictSame(world.tree(), { '/y2': 'dir', '/y2/home': 'dir', '/y2/x': 'dir' })
})

t.test('a directory whose former place is in a cycle too goes to the root', async (t) => {
  const world = new World(3)
  for (const path of ['/p', '/p/a', '/b', '/c']) world.mkdir(0, path)
  world.sync()
  world.rename(0, '/p', '/b/p')
  world.rename(1, '/b', '/c/b')
  world.rename(1, '/c', '/p/a/c')
  world.rename(2, '/p/a', '/c/a')
  const tree = Object.keys(world.tree())
  t.equal(tree.length, 4, 'all four directories are there')
})

t.test('directories made apart under one name are one listing, and move as one', async (t) => {
  const world = new World()
  world.mkdir(0, '/d')
  world.create(0, '/d/a')
  world.mkdir(1, '/d')
  world.mkdir(1, '/d/e')
  world.sync()
  world.rename(0, '/d', '/f')
  t.strictSame(world.tree(), { '/f': 'dir', '/f/a': 'file 1', '/f/e': 'dir' })
})

t.test(
  'a directory comes back when something was put into it that its remover did not see',
  async (t) => {
    const world = new World()
    world.mkdir(0, '/d')
    world.mkdir(0, '/d/e')
    world.sync()
    world.remove(0, '/d/e')
    world.remove(0, '/d')
    world.create(1, '/d/e/a')
    t.strictSame(world.tree(), { '/d': 'dir', '/d/e': 'dir', '/d/e/a': 'file 1' })
  }
)

t.test('equal files made apart are shown once, different ones both', async (t) => {
  const world = new World()
  world.create(0, '/same', contentOf(0))
  world.create(1, '/same', contentOf(0))
  world.create(0, '/other')
  world.create(1, '/other')
  t.strictSame(plain(world.tree()), {
    '/other': 'file 2',
    '/other (conflict, d1, 2026-11-18, HEX)': 'file 1',
    '/same': 'file 0'
  })
})

t.test('setting the times of a file that was edited elsewhere makes no copy', async (t) => {
  const world = new World()
  world.create(0, '/a')
  world.sync()
  world.write(0, '/a')
  world.do(1, (operation, device) => operation.touch(find(device, '/a')))
  t.strictSame(world.tree(), { '/a': 'file 2' })
})

t.test('a database and its write-ahead log follow one winner, and are one copy', async (t) => {
  const world = new World()
  world.create(0, '/db')
  world.create(0, '/db-wal')
  world.sync()
  world.write(0, '/db-wal')
  world.write(1, '/db')
  world.write(0, '/db')
  world.write(1, '/db-wal')
  const tree = world.tree()
  const copy = Object.keys(tree).find((path) => /^\/db \(.*\)$/.test(path)) ?? ''
  t.strictSame(tree, {
    '/db': 'file 5',
    '/db-wal': 'file 3',
    [copy]: 'file 4',
    [`${copy}-wal`]: 'file 6'
  })
})

t.test('the journal of a copy is not applied to the winner', async (t) => {
  const world = new World()
  world.create(0, '/db')
  world.sync()
  world.create(1, '/db-journal')
  world.write(1, '/db')
  world.write(0, '/db')
  const tree = world.tree()
  const copy = Object.keys(tree).find((path) => /^\/db \(.*\)$/.test(path)) ?? ''
  t.strictSame(tree, { '/db': 'file 4', [copy]: 'file 3', [`${copy}-journal`]: 'file 2' })
})

t.test('two links that two devices remove apart: the content is kept', async (t) => {
  const world = new World()
  world.create(0, '/a')
  world.do(0, (operation, device) => operation.link(find(device, '/a'), placeOf(device, '/b')))
  world.sync()
  world.remove(0, '/a')
  world.remove(1, '/b')
  t.strictSame(world.tree(), { '/b': 'file 1' })
})

t.test('one of two links goes, and an edit through the other does not bring it back', async (t) => {
  const world = new World()
  world.create(0, '/a')
  world.do(0, (operation, device) => operation.link(find(device, '/a'), placeOf(device, '/b')))
  world.sync()
  world.remove(0, '/a')
  world.write(1, '/b')
  t.strictSame(world.tree(), { '/b': 'file 2' })
})

t.test('a node in a directory that nothing is known of is an orphan until it is', async (t) => {
  const world = new World(3)
  world.mkdir(0, '/d')
  world.sync()
  world.create(1, '/d/a')
  const late = new Device(3, 0, new Ledger())
  for (const batch of world.device(1).batches) late.receive(batch, START_MS)
  t.strictSame(late.list(), [])
  t.equal(late.tree().orphans.length, 1)
  for (const batch of world.device(0).batches) late.receive(batch, START_MS)
  t.strictSame(
    late.list().map(({ path }) => path),
    ['/d', '/d/a']
  )
  t.strictSame(late.tree().orphans, [])
})

t.test('extended attributes merge one by one, removals too', async (t) => {
  const world = new World()
  world.create(0, '/a')
  const { node } = find(world.device(0), '/a').entry
  const set = (index: number, xattrs: readonly (readonly [string, string | null])[]): void =>
    world.do(index, (operation, device) => {
      const record = device.records.get(node)
      if (record === undefined) throw new Error('no record')
      const values = xattrs.map(
        ([name, value]) => [name, value === null ? null : Buffer.from(value)] as const
      )
      device.commit(
        new Map([[node, withAttr(record, { xattrs: new Map(values) }, operation.write)]]),
        operation.id
      )
    })
  set(0, [
    ['user.a', '1'],
    ['user.b', '1']
  ])
  world.sync()
  set(0, [['user.a', null]])
  set(1, [['user.b', '2']])
  world.sync()
  const record = world.device(1).records.get(node)
  t.strictSame(record && attrWinner(record)?.xattrs, new Map([['user.b', Buffer.from('2')]]))
})

t.test('a stored name outranks a derived one', async (t) => {
  const world = (name: string | null): World => {
    const made = new World(3)
    made.create(0, '/a')
    for (const batch of made.device(0).batches) made.device(1).receive(batch, START_MS)
    made.write(0, '/a')
    made.write(1, '/a')
    if (name !== null) made.mkdir(2, name)
    return made
  }
  const [derived] = Object.keys(world(null).tree()).filter((path) => path.includes('conflict'))
  const tree = world(derived ?? '').tree()
  t.equal(tree[derived ?? ''], 'dir')
  const lengthened = Object.keys(tree).find((path) => /, [0-9a-f]{8}\)$/.test(path))
  t.equal(tree[lengthened ?? ''], 'file 2')
})

t.test('removing the winner of a name does not give the name to the loser', async (t) => {
  const world = new World()
  world.create(0, '/a')
  world.create(1, '/a')
  world.sync()
  world.remove(0, '/a')
  t.strictSame(plain(world.tree()), { '/a (conflict, d1, 2026-11-18, HEX)': 'file 1' })
})

t.test('a copy that has a record is not derived again', async (t) => {
  const world = new World()
  world.create(0, '/a')
  world.sync()
  world.write(0, '/a')
  world.write(1, '/a')
  world.sync()
  const copy = Object.keys(world.tree()).find((path) => path.includes('conflict')) ?? ''
  world.rename(0, copy, '/mine')
  t.strictSame(world.tree(), { '/a': 'file 3', '/mine': 'file 2' })
  world.remove(1, '/mine')
  t.strictSame(world.tree(), { '/a': 'file 3' })
})

t.test('the root of an empty drive is an empty directory', async (t) => {
  const tree = materialise(new Map(), { deviceName: () => 'd' })
  t.strictSame(tree, { dirs: new Map([[ROOT_ID, []]]), orphans: [], displaced: [] })
})
