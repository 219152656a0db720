import t from 'tap'
import {
  type Write,
  copyOf,
  newRecord,
  withAttr,
  withData,
  withMaps,
  withPlace,
  withoutPlace
} from '../../src/format/edit.js'
import { ROOT_ID, linkIdOf, sequentialId, toGenerationNumber } from '../../src/format/ids.js'
import {
  attrWinner,
  changeTimeNs,
  contentMapOf,
  dataLosers,
  dataWinner,
  isLive,
  liveLinks
} from '../../src/format/winner.js'
import { claimOf, decodeClaims, encodeClaims, withClaim } from '../../src/format/dirent.js'
import type { NodeRecord } from '../../src/format/record.js'
import { contentOf } from './drive-model.js'
import { encodeRecord } from '../../src/format/record-codec.js'
import { mergeRecord } from '../../src/format/merge.js'

const HERE = toGenerationNumber(1)
const THERE = toGenerationNumber(2)
const SELF = { type: 'self' } as const
const DIR = sequentialId(HERE, 77)

function write(generation: typeof HERE, counter: number, stamp = counter): Write {
  return { generation, counter, hlc: BigInt(stamp), atNs: BigInt(stamp) * 10n }
}

function place(name: string, parent = ROOT_ID): { parent: typeof ROOT_ID; name: Buffer } {
  return { parent, name: Buffer.from(name) }
}

const file = newRecord(
  { kind: 'file', place: place('a'), mode: 0o644, owner: SELF, content: contentOf(1) },
  write(HERE, 1)
)
const link = linkIdOf({ generation: HERE, counter: 1 })

/** Two versions that do not know each other; HERE's is the loser. */
const conflict = mergeRecord(
  withData(file, { content: contentOf(2) }, write(HERE, 2)),
  withData(file, { content: contentOf(3) }, write(THERE, 3))
)

t.test('a new version covers its base and is stamped after it', async (t) => {
  const slow = withData(file, { content: contentOf(2) }, { ...write(THERE, 1), hlc: 0n })
  const [version] = slow.data
  t.same(version?.vector, [HERE, 1, THERE, 1])
  t.equal(version?.stamp, 2n, 'although this clock is behind')
  t.same(mergeRecord(file, slow), slow)
})

t.test('a usual record of one generation has at most 200 bytes', async (t) => {
  const long = newRecord(
    {
      kind: 'file',
      place: place('a name of forty bytes, as photos have.jpg'),
      mode: 0o644,
      owner: SELF,
      content: contentOf(123_456)
    },
    { generation: HERE, counter: 500_000, hlc: 2n ** 56n + 5n, atNs: 1_795_000_000_000_123_456n }
  )
  const { byteLength } = encodeRecord({ ...long, data: long.data.map(withoutHash) })
  t.ok(byteLength <= 200, `${byteLength} bytes`)
})

function withoutHash(version: NodeRecord['data'][number]): NodeRecord['data'][number] {
  const { content } = version
  return content.type === 'file' ? { ...version, content: { ...content, hash: null } } : version
}

t.test('an own loser must be materialised before its generation writes again', async (t) => {
  t.throws(() => withData(conflict, { mtimeNs: 1n }, write(HERE, 4)), { code: 'ERR_ASSERTION' })
  const other = withData(conflict, { mtimeNs: 1n }, write(THERE, 4))
  t.equal(other.data.length, 2, 'a foreign one is left where it is')
  const materialised = dataLosers(conflict).map(({ dot }) => dot)
  const settled = withData(conflict, { mtimeNs: 1n }, { ...write(HERE, 4), materialised })
  t.equal(settled.data.length, 1)
})

t.test(
  'the last link beside a loser is not removed before the loser is materialised',
  async (t) => {
    t.throws(() => withoutPlace(conflict, link, write(HERE, 4)), { code: 'ERR_ASSERTION' })
    const materialised = dataLosers(conflict).map(({ dot }) => dot)
    t.notOk(isLive(withoutPlace(conflict, link, { ...write(HERE, 4), materialised })))
  }
)

t.test('a copy has the loser itself, so that two that make it apart are one', async (t) => {
  const [loser] = dataLosers(conflict)
  t.ok(loser)
  if (!loser) return
  const mine = copyOf(conflict, loser, place('copy'), write(HERE, 5))
  const theirs = copyOf(conflict, loser, place('copy'), write(THERE, 6))
  const merged = mergeRecord(mine, theirs)
  t.same(merged.data, [loser])
  t.equal(liveLinks(merged).length, 1)
})

t.test('a stale dot is refused', async (t) => {
  const newer = withData(file, { mtimeNs: 5n }, write(HERE, 9))
  t.throws(() => withData(newer, { mtimeNs: 6n }, write(HERE, 8)), { code: 'ERR_ASSERTION' })
})

t.test('a version can be at several places, which merge', async (t) => {
  const dot = file.data[0]?.dot
  const first = contentMapOf(dataWinner(file))
  t.ok(dot && first)
  if (!dot || !first) return
  const [elsewhere] = withMaps(file, dot, [Buffer.from([1, 0, 0])]).data
  const moved = { ...file, data: elsewhere ? [elsewhere] : [] }
  const merged = mergeRecord(file, moved)
  t.same(merged, mergeRecord(moved, file))
  const content = merged.data[0]?.content
  t.equal(content?.type === 'file' && content.maps.length, 2)
  t.equal(merged.data.length, 1, 'no conflict')
})

t.test('the change time is the time of the last change of anything', async (t) => {
  t.equal(changeTimeNs(file), 10n)
  t.equal(changeTimeNs(withAttr(file, { mode: 0 }, write(HERE, 7))), 70n)
  t.equal(changeTimeNs(withPlace(file, link, place('b'), write(HERE, 8))), 80n)
  t.equal(changeTimeNs(withData(file, { mtimeNs: 0n }, write(HERE, 9))), 90n)
  const twice = withPlace(file, null, place('c'), write(HERE, 10))
  t.equal(changeTimeNs(withoutPlace(twice, link, write(HERE, 11))), 110n)
})

t.test('a change of one attribute leaves the others as old as they are', async (t) => {
  const set = withAttr(file, { mode: 0o600 }, write(HERE, 2))
  const xattrs = new Map([['user.b', Buffer.from('x')]])
  const more = withAttr(set, { xattrs, owner: { type: 'ids', uid: 1, gid: 2 } }, write(HERE, 3))
  const [version] = more.attr
  t.equal(version?.mode.stamp, 2n)
  t.equal(version?.owner.stamp, 3n)
  t.same(attrWinner(more), { mode: 0o600, owner: { type: 'ids', uid: 1, gid: 2 }, xattrs })
})

t.test('removed extended attributes are remembered up to a bound', async (t) => {
  let record = file
  for (let i = 0; i < 100; i++) {
    const xattrs = new Map([[`user.${i}`, null]])
    record = withAttr(record, { xattrs }, write(HERE, i + 2))
  }
  t.equal(record.attr[0]?.xattrs.size, 64)
  t.ok(record.attr[0]?.xattrs.has('user.99'), 'the newest')
})

t.test('a directory remembers where it moved from, through renames in place', async (t) => {
  const start = { kind: 'dir', place: place('d'), mode: 0o755, owner: SELF } as const
  const renamed = withPlace(newRecord(start, write(HERE, 1)), link, place('e'), write(HERE, 2))
  t.equal(renamed.places.get(link)?.[0]?.prev, null)
  const moved = withPlace(renamed, link, place('e', DIR), write(HERE, 3))
  t.same(moved.places.get(link)?.[0]?.prev, place('e'))
  const again = withPlace(moved, link, place('f', DIR), write(HERE, 4))
  t.same(again.places.get(link)?.[0]?.prev, place('f'))
})

t.test('a node without a name lives, and can be given one', async (t) => {
  const nameless = newRecord({ kind: 'file', place: null, mode: 0, owner: SELF }, write(HERE, 1))
  t.ok(isLive(nameless))
  t.equal(liveLinks(withPlace(nameless, null, place('a'), write(HERE, 2))).length, 1)
})

t.test('a name has one claim of each link, the newest', async (t) => {
  const of = { node: DIR, kind: 'file', id: link } as const
  const [version] = file.places.get(link) ?? []
  const moved = withPlace(file, link, place('b'), write(HERE, 2)).places.get(link)?.[0]
  t.ok(version && moved)
  if (!version || !moved) return
  const first = withClaim([], claimOf(of, version, place('a')))
  t.equal(first[0]?.state, 'here')
  const second = withClaim(first, claimOf(of, moved, place('a')))
  t.equal(second.length, 1)
  t.equal(second[0]?.state, 'moved')
  t.strictSame(decodeClaims(encodeClaims(second)), second)
})
