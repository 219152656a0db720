/** The values that the golden files are the bytes of. Never changed: a new case gets a new name. */
import { GROUP_GOLDEN } from './group-golden.js'
import {
  type Claim,
  claimOf,
  decodeClaims,
  direntKey,
  encodeClaims,
  encodeSeenLength,
  decodeSeenLength,
  nodeKey,
  parseDirentKey,
  seenKey
} from '../../src/format/dirent.js'
import { EMPTY_MAP, replaceBlocks } from '../../src/format/content-map.js'
import { type NodeId, ROOT_ID, derivedId, linkIdOf, sequentialId } from '../../src/format/ids.js'
import { copyOf, newRecord, withAttr, withData, withPlace } from '../../src/format/edit.js'
import { decodeLeaf, decodeMap, encodeMap, planLeaves } from '../../src/format/map-codec.js'
import { decodeMark, encodeMark } from '../../src/format/mark.js'
import { decodeRecord, encodeRecord } from '../../src/format/record-codec.js'
import { nodeIdFromBytes, toGenerationNumber } from '../../src/format/ids.js'
import { stampFromMs } from '../../src/format/hlc.js'
import type { Content, NodeRecord } from '../../src/format/record.js'
import type { Write } from '../../src/format/edit.js'
import { mergeRecord } from '../../src/format/merge.js'
import { withLeavesStored } from '../../src/format/map-codec.js'
import { withoutPlace } from '../../src/format/edit.js'

/** One golden file: its bytes, and that they are read as the same again. */
export interface Golden {
  readonly name: string
  readonly bytes: Buffer
  /** Decoded from the file, this must deep-equal `value`. */
  readonly decode: (bytes: Buffer) => unknown
  readonly value: unknown
}

const LAPTOP = toGenerationNumber(0x0a1b2c3d4e5f)
const DESKTOP = toGenerationNumber(0xf00000000001)
const CORE = Buffer.alloc(32, 0xc1)
const OTHER_CORE = Buffer.alloc(32, 0xd2)
/** 2026-11-23 12:00:00.123 UTC. */
const NOW_MS = 1_795_435_200_123
const SELF = { type: 'self' } as const

function write(generation: typeof LAPTOP, counter: number, laterMs: number): Write {
  const ms = NOW_MS + laterMs
  return { generation, counter, hlc: stampFromMs(ms), atNs: BigInt(ms) * 1_000_000n + 456_789n }
}

function fileContent(size: number, coreBlock: number, hash: Buffer | null): Content {
  const count = Math.ceil(size / 65_536)
  const map = replaceBlocks(EMPTY_MAP, [{ fileBlock: 0, count, core: CORE, coreBlock }])
  return { type: 'file', size, maps: [encodeMap(map)], hash }
}

const file = newRecord(
  {
    kind: 'file',
    place: { parent: ROOT_ID, name: Buffer.from('notes.txt') },
    mode: 0o644,
    owner: SELF,
    content: fileContent(11, 7, Buffer.alloc(32, 0xab))
  },
  write(LAPTOP, 3, 0)
)

const dir = newRecord(
  {
    kind: 'dir',
    place: { parent: ROOT_ID, name: Buffer.from('photos') },
    mode: 0o755,
    owner: SELF
  },
  write(LAPTOP, 4, 1)
)
const dirId = sequentialId(LAPTOP, 2)
const dirLink = linkIdOf({ generation: LAPTOP, counter: 4 })

const conflict = mergeRecord(
  withData(file, { content: fileContent(20, 8, null) }, write(LAPTOP, 9, 1000)),
  withData(file, { content: fileContent(70_000, 1, null) }, write(DESKTOP, 2, 2000))
)
const [, loser] = conflict.data

const fileLink = linkIdOf({ generation: LAPTOP, counter: 3 })
const linked = withAttr(
  withPlace(
    file,
    null,
    { parent: dirId, name: Buffer.from([0x66, 0xff, 0x2e]) },
    write(DESKTOP, 5, 5)
  ),
  {
    mode: 0o4755,
    owner: { type: 'ids', uid: 1000, gid: 100 },
    xattrs: new Map([
      ['user.colour', Buffer.from('blue')],
      ['user.gone', null]
    ])
  },
  write(DESKTOP, 6, 6)
)

const device = newRecord(
  {
    kind: 'char',
    rdev: 0x0103,
    place: { parent: dirId, name: Buffer.from('null') },
    mode: 0o666,
    owner: { type: 'ids', uid: 0, gid: 0 }
  },
  write(LAPTOP, 12, 70)
)

const symlink = newRecord(
  {
    kind: 'symlink',
    place: { parent: dirId, name: Buffer.from('latest') },
    mode: 0o777,
    owner: SELF,
    content: { type: 'link', target: Buffer.from('../photos/2026') },
    mtimeNs: -1n
  },
  write(LAPTOP, 13, 80)
)

/** What a later version of the format might write: a field in each version, a section. */
const fromTheFuture: NodeRecord = {
  ...file,
  places: new Map(
    [...file.places].map(([link, versions]) => [
      link,
      versions.map((version) => ({ ...version, unknown: Buffer.from('place') }))
    ])
  ),
  data: file.data.map((version) => ({ ...version, unknown: Buffer.from('data') })),
  attr: file.attr.map((version) => ({ ...version, unknown: Buffer.from('attr') })),
  unknownSections: new Map([
    [4, Buffer.from('a later section')],
    [300, Buffer.alloc(0)]
  ])
}

const scattered = replaceBlocks(
  EMPTY_MAP,
  Array.from({ length: 70 }, (_, i) => ({
    fileBlock: 2040 + i * 2,
    count: 1,
    core: i % 3 === 0 ? OTHER_CORE : CORE,
    coreBlock: 1000 - i
  }))
)
const plans = planLeaves(scattered)
const stored = withLeavesStored(scattered, {
  core: CORE,
  coreBlocks: plans.map((_, i) => 2000 + i)
})
const short = replaceBlocks(
  replaceBlocks(EMPTY_MAP, [
    { fileBlock: 0, count: 10, core: CORE, coreBlock: 100 },
    { fileBlock: 50, count: 2, core: CORE, coreBlock: 110 }
  ]),
  [{ fileBlock: 3, count: 1, core: OTHER_CORE, coreBlock: 70_000 }]
)

function claims(): readonly Claim[] {
  const moved = withPlace(
    dir,
    dirLink,
    { parent: ROOT_ID, name: Buffer.from('old') },
    write(LAPTOP, 5, 2)
  )
  const version = moved.places.get(dirLink)?.[0]
  const own = file.places.get(fileLink)?.[0]
  if (version === undefined || own === undefined) throw new Error('no such version')
  const about = { parent: ROOT_ID, name: Buffer.from('photos') }
  return [
    claimOf({ node: sequentialId(LAPTOP, 1), kind: 'file', id: fileLink }, own, own),
    claimOf({ node: dirId, kind: 'dir', id: dirLink }, version, about)
  ]
}

function ofRecord(name: string, value: NodeRecord): Golden {
  return { name, bytes: encodeRecord(value), decode: decodeRecord, value }
}

function ofId(name: string, id: NodeId): Golden {
  return { name, bytes: nodeKey(id), decode: (bytes) => nodeIdFromBytes(bytes), value: id }
}

const movedDir = withPlace(
  dir,
  dirLink,
  { parent: dirId, name: Buffer.from('in') },
  write(LAPTOP, 6, 3)
)
const mark = {
  stamp: stampFromMs(NOW_MS) + 5n,
  lengths: new Map([
    [LAPTOP, 900],
    [DESKTOP, 70_000]
  ])
}
const place = { parent: dirId, name: Buffer.from('in') }

/** All golden files. */
export const GOLDEN: readonly Golden[] = [
  ...GROUP_GOLDEN,
  ofId('id-root', ROOT_ID),
  ofId('id-sequential', sequentialId(LAPTOP, 258)),
  ofId('id-derived', derivedId(sequentialId(LAPTOP, 258), { generation: DESKTOP, counter: 7 })),
  ofRecord('record-file', file),
  ofRecord('record-file-conflict', conflict),
  ofRecord(
    'record-file-copy',
    loser ? copyOf(conflict, loser, place, write(LAPTOP, 10, 3000)) : file
  ),
  ofRecord('record-file-linked', linked),
  ofRecord('record-file-touched', withData(file, { mtimeNs: 1n }, write(DESKTOP, 8, 9))),
  ofRecord('record-file-deleted', withoutPlace(conflictFree(), fileLink, write(DESKTOP, 9, 10))),
  ofRecord('record-dir', dir),
  ofRecord('record-dir-moved', movedDir),
  ofRecord('record-symlink', symlink),
  ofRecord('record-char-device', device),
  ofRecord('record-unknown-fields', fromTheFuture),
  { name: 'map-empty', bytes: encodeMap(EMPTY_MAP), decode: decodeMap, value: { ...EMPTY_MAP } },
  { name: 'map-inline', bytes: encodeMap(short), decode: decodeMap, value: short },
  {
    name: 'map-root',
    bytes: encodeMap(stored),
    decode: decodeMap,
    value: decodeMap(encodeMap(stored))
  },
  ...plans.map((plan, i) => ({
    name: `map-leaf-${i}`,
    bytes: plan.bytes,
    decode: decodeLeaf,
    value: decodeLeaf(plan.bytes)
  })),
  { name: 'dirent-key', bytes: direntKey(place), decode: parseDirentKey, value: place },
  { name: 'dirent-claims', bytes: encodeClaims(claims()), decode: decodeClaims, value: claims() },
  {
    name: 'seen-key',
    bytes: seenKey(LAPTOP),
    decode: (bytes) => bytes.readUIntBE(0, 6),
    value: LAPTOP
  },
  { name: 'seen-length', bytes: encodeSeenLength(70_000), decode: decodeSeenLength, value: 70_000 },
  { name: 'mark', bytes: encodeMark(mark), decode: decodeMark, value: mark }
]

function conflictFree(): NodeRecord {
  return withData(file, { content: fileContent(20, 8, null) }, write(LAPTOP, 9, 1000))
}
