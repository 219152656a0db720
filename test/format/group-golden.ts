/** Group records whose bytes are fixed for ever, one of each type. */
import { createHash } from 'node:crypto'
import type { CorePin, Grant, RecordBody } from '../../src/format/group-body.js'
import { toCoreKey, toEpochId, toPublicKey, toRecordHash } from '../../src/format/group-keys.js'
import { type Statement, decodeGroupRecord } from '../../src/format/group-record.js'
import { sealRecord, signable } from '../../src/format/group-record.js'

const of = (byte: number): Buffer => Buffer.alloc(32, byte)
const key = (byte: number): ReturnType<typeof toPublicKey> => toPublicKey(of(byte))
const core = (byte: number): ReturnType<typeof toCoreKey> => toCoreKey(of(byte))
const hash = (byte: number): ReturnType<typeof toRecordHash> => toRecordHash(of(byte))

const laptop: Grant = {
  role: 'personal',
  signing: key(0x11),
  noise: key(0x12),
  box: key(0x13),
  cores: { groupWriter: core(0xd0), db: core(0x15), blobs: core(0x16) },
  name: { epoch: toEpochId('0102030405060708'), bytes: Buffer.from('sealed') }
}
const server: Grant = { ...laptop, role: 'blind', signing: key(0x21), cores: null, name: null }
const next: Grant = { ...laptop, signing: key(0x31) }
const pinned: CorePin = { key: core(0x15), fork: 0, length: 70_000, treeHash: of(0xee) }
const pin = {
  generation: key(0x11),
  head: { sequence: 300, hash: hash(0xaa) },
  cores: [pinned, { ...pinned, key: core(0x16), length: 5 }]
}
const revocation = { target: key(0x11), pins: [pin, { ...pin, generation: key(0x31), head: null }] }

const first: Statement = {
  drive: core(0xd0),
  author: key(0x11),
  sequence: 0,
  previous: null,
  heads: [],
  body: { type: 'genesis', identity: key(0x01), recoveryBox: key(0x02), device: laptop }
}
const heads = [
  { author: key(0x21), sequence: 4, hash: hash(0xbb) },
  { author: key(0x31), sequence: 1000, hash: hash(0xcc) }
]

function later(body: RecordBody): Statement {
  return { ...first, sequence: 7, previous: hash(0xab), heads, body }
}

const STATEMENTS: readonly (readonly [string, Statement, Buffer?])[] = [
  ['group-genesis', first, Buffer.alloc(139, 0x77)],
  ['group-device-add', later({ type: 'device-add', device: server }), Buffer.alloc(64, 0x78)],
  [
    'group-generation',
    {
      ...first,
      author: key(0x31),
      heads,
      body: { type: 'generation', from: key(0x11), device: next, seal: pin }
    },
    Buffer.alloc(64, 0x79)
  ],
  ['group-revoke', later({ type: 'revoke', ...revocation })],
  ['group-acknowledge', later({ type: 'acknowledge', records: [hash(0xaa), hash(0xab)] })],
  [
    'group-epoch',
    later({
      type: 'epoch',
      commitment: of(0xcd),
      recoverySeal: Buffer.alloc(80, 0xfe),
      seals: [{ recipient: key(0x11), sealed: Buffer.alloc(80, 0xfd) }]
    })
  ],
  [
    'group-recover',
    {
      ...first,
      author: key(0x31),
      body: {
        type: 'recover',
        nonce: of(0x99),
        device: next,
        revocations: [revocation],
        voids: [hash(0xac)]
      }
    },
    Buffer.alloc(139, 0x7a)
  ],
  [
    'group-settings',
    later({
      type: 'settings',
      sealed: { epoch: toEpochId('0102030405060708'), bytes: Buffer.from('sealed settings') }
    })
  ],
  ['group-unknown', later({ type: 'unknown', tag: 99, bytes: Buffer.from('from the future') })]
]

/** For the list of all golden values. */
export const GROUP_GOLDEN = STATEMENTS.map(([name, statement, witness = Buffer.alloc(0)]) => {
  const signature = Buffer.alloc(64, 0x51)
  const signed = signable(statement)
  return {
    name,
    bytes: sealRecord(signed, signature, witness).bytes,
    decode: (bytes: Buffer): unknown => {
      const { bytes: _bytes, signed: _signed, ...rest } = decodeGroupRecord(bytes)
      return rest
    },
    value: {
      ...statement,
      hash: createHash('sha256').update(signed).digest('hex'),
      signature,
      witness
    }
  }
})
