// runner: timeout=300
/** Records of another device that cannot be used never stop what comes after them. */
import t from 'tap'
import { withData, type Write } from '../../src/format/edit.js'
import {
  ROOT_ID,
  parseNodeId,
  sequentialId,
  toGenerationNumber,
  type GenerationNumber,
  type NodeId
} from '../../src/format/ids.js'
import { decodeRecord, encodeRecord } from '../../src/format/record-codec.js'
import type { NodeRecord } from '../../src/format/record.js'
import { newRecord } from '../../src/format/edit.js'
import type { TestVolume } from './test-volume.js'
import { TestDrive } from './drive.js'
import { contents, write } from './paths.js'

const THEIRS = toGenerationNumber(77)
let counter = 1

function nextWrite(generation = THEIRS): Write {
  counter++
  return { generation, counter, hlc: BigInt(counter), atNs: BigInt(counter) }
}

/** A new file in the root as another device would write it. */
function file(name: string): { readonly id: NodeId; readonly record: NodeRecord } {
  const next = nextWrite()
  const place = { parent: ROOT_ID, name: Buffer.from(name) }
  const node = { kind: 'file', place, mode: 0o644, owner: { type: 'self' } } as const
  return { id: sequentialId(THEIRS, next.counter), record: newRecord(node, next) }
}

async function volumeOf(t: { teardown: (end: () => Promise<void>) => void }): Promise<TestVolume> {
  const drive = await TestDrive.create(1)
  t.teardown(() => drive.close())
  return drive.at(0)
}

function ownGeneration(volume: TestVolume): GenerationNumber {
  return volume.fs.volume.parts.author.generation
}

function refusals(volume: TestVolume): string[] {
  const alarms = volume.alarms.list().filter(({ code }) => code === 'RECORD_REFUSED')
  return alarms.map(({ message }) => message)
}

const cursor = (version: number): { version: number; scanned: null } => ({ version, scanned: null })

/** Twice the generation in the table: its entry is 6 bytes of number and one of counter. */
function twice(bytes: Buffer): Buffer {
  const tableAt = 4
  const entry = bytes.subarray(tableAt, tableAt + 7)
  return Buffer.concat([bytes.subarray(0, 3), Buffer.of(2), entry, bytes.subarray(tableAt)])
}

type Made = ReturnType<typeof file>

/** Records that are wrong, made of a sound one. */
const FLAWS: Readonly<Record<string, (made: Made, volume: TestVolume) => Uint8Array>> = {
  'is no record': () => Buffer.from('something else'),
  'ends too early': ({ record }) => encodeRecord(record).subarray(0, -3),
  'is of a later version': ({ record }) => Buffer.concat([Buffer.of(9), encodeRecord(record)]),
  'lists a generation twice': ({ record }) => twice(encodeRecord(record)),
  'has a stamp at the end of time': ({ record }) => {
    const [data] = record.data
    return encodeRecord({ ...record, data: data ? [{ ...data, stamp: 2n ** 64n - 1n }] : [] })
  },
  'has a file beyond 8 TiB': ({ record }) => {
    const [data] = record.data
    const content = data?.content
    if (!data || content?.type !== 'file') throw new Error('a file')
    return encodeRecord({ ...record, data: [{ ...data, content: { ...content, size: 2 ** 50 } }] })
  },
  'has a content map that is none': ({ record }) => {
    const [data] = record.data
    const content = { type: 'file', size: 9, maps: [Buffer.from('map')], hash: null } as const
    return encodeRecord({ ...record, data: data ? [{ ...data, content }] : [] })
  },
  'covers writes of this device that it never made': ({ record }, volume) => {
    const generation = ownGeneration(volume)
    return encodeRecord(withData(record, {}, { ...nextWrite(generation), counter: 2 ** 40 }))
  }
}

t.test('a record that cannot be used is passed over, with an alarm that names it', async (t) => {
  const volume = await volumeOf(t)
  let version = 1
  for (const [name, spoil] of Object.entries(FLAWS)) {
    const bad = file(`bad ${version}`)
    const good = file(`good ${version}`)
    const taken = volume.fs.remote.takeIn(
      THEIRS,
      [
        { id: bad.id, record: spoil(bad, volume) },
        { id: good.id, record: encodeRecord(good.record) }
      ],
      cursor(++version)
    )
    t.equal(taken.refused, 1, `a record that ${name}`)
    t.equal(taken.changed, 1)
    t.equal(volume.fs.remote.cursor(THEIRS).version, version, 'the generation is followed on')
    const [message, ...others] = refusals(volume)
    t.strictSame(others, [], 'one alarm for a device')
    t.match(message, bad.id)
    t.match(message, THEIRS.toString(16))
  }
  const names = await volume.kernel.readdir(1)
  t.equal(names.length, Object.keys(FLAWS).length)
  t.ok(names.every((name) => name.startsWith('good')))
})

t.test('a newer record of the node that can be used ends it', async (t) => {
  const volume = await volumeOf(t)
  const made = file('f')
  const bytes = encodeRecord(made.record)
  volume.fs.remote.takeIn(THEIRS, [{ id: made.id, record: bytes.subarray(0, -1) }], cursor(2))
  t.equal(refusals(volume).length, 1)
  await volume.crash()
  t.equal(refusals(volume).length, 1, 'it is remembered')
  t.equal(volume.fs.remote.cursor(THEIRS).version, 2)
  volume.fs.remote.takeIn(THEIRS, [{ id: made.id, record: bytes }], cursor(3))
  t.strictSame(refusals(volume), [])
  t.strictSame(await volume.kernel.readdir(1), ['f'])
  await volume.crash()
  t.strictSame(refusals(volume), [])
})

t.test('what was refused is tried again at the next start: pcfs may be newer', async (t) => {
  const volume = await volumeOf(t)
  const made = file('f')
  const { index } = volume.fs.volume.parts
  volume.fs.remote.share()
  const key = `refused:${THEIRS}/${made.id}`
  index.apply([{ kind: 'meta', key, value: encodeRecord(made.record) }])
  await volume.remount()
  t.strictSame(await volume.kernel.readdir(1), ['f'])
  t.equal(volume.fs.volume.parts.index.meta(key), null)
})

t.test('a root that another device calls a file stays the root', async (t) => {
  const volume = await volumeOf(t)
  const { record } = file('f')
  const root = { ...record, places: new Map() }
  const heard = { id: parseNodeId(ROOT_ID), record: encodeRecord(root) }
  t.equal(volume.fs.remote.takeIn(THEIRS, [heard], cursor(2)).refused, 1)
  t.strictSame(await volume.kernel.readdir(1), [])
})

t.test('a node that was refused is edited and merged as any other afterwards', async (t) => {
  const drive = await TestDrive.create(2)
  t.teardown(() => drive.close())
  await write(drive, 0, 'f', 'base')
  await drive.exchange()
  const { ino } = await drive.at(0).kernel.lookup(1, 'f')
  const id = drive.at(0).fs.volume.parts.author.idOf(ino)
  const known = drive.at(0).fs.volume.parts.tables.record(id)
  t.ok(known)
  if (!known) return
  const record = encodeRecord(decodeRecord(encodeRecord(known))).subarray(0, -1)
  drive.at(1).fs.remote.takeIn(ownGeneration(drive.at(0)), [{ id, record }], null)
  t.equal(refusals(drive.at(1)).length, 1)
  await write(drive, 0, 'f', 'second')
  await drive.exchange()
  t.strictSame(refusals(drive.at(1)), [])
  t.strictSame(contents(await drive.look(1)), ['second'])
})
