/** The group record's codec: bounds, round trips, what is signed. */
import assert from 'node:assert'
import * as fc from 'fast-check'
import t from 'tap'
import { FsError } from '../../src/base/errors.js'
import type { Cores, Grant, Pin, RecordBody, Seal } from '../../src/format/group-body.js'
import {
  type PublicKey,
  toCoreKey,
  toEpochId,
  toPublicKey,
  toRecordHash
} from '../../src/format/group-keys.js'
import {
  type GroupRecord,
  MAX_HEADS,
  MAX_RECIPIENTS,
  MAX_SEQUENCE,
  RECORD_LIMIT_BYTES,
  type Statement,
  decodeGroupRecord,
  sealRecord,
  signable
} from '../../src/format/group-record.js'

const bytesOf = (length: number): fc.Arbitrary<Buffer> =>
  fc.uint8Array({ minLength: length, maxLength: length }).map((array) => Buffer.from(array))
const key = bytesOf(32).map(toPublicKey)
const coreKey = bytesOf(32).map(toCoreKey)
const hash = bytesOf(32).map(toRecordHash)

/** Like `fc.record`, with the usual prototype, so that values compare with decoded ones. */
function struct<T>(model: { [K in keyof T]: fc.Arbitrary<T[K]> }): fc.Arbitrary<T> {
  return fc.record<T>(model).map((value) => ({ ...value }))
}

const sealed = struct({
  epoch: bytesOf(8).map(toEpochId),
  bytes: fc.uint8Array({ maxLength: 300 }).map((array) => Buffer.from(array))
})
const cores: fc.Arbitrary<Cores> = struct({ groupWriter: coreKey, db: coreKey, blobs: coreKey })
const grant: fc.Arbitrary<Grant> = struct({
  role: fc.constantFrom('personal' as const, 'cloud' as const, 'blind' as const),
  signing: key,
  noise: key,
  box: key,
  cores: fc.option(cores),
  name: fc.option(sealed)
})
const pin: fc.Arbitrary<Pin> = struct({
  generation: key,
  head: fc.option(struct({ sequence: fc.nat(MAX_SEQUENCE), hash })),
  cores: fc.array(
    struct({ key: coreKey, fork: fc.nat(), length: fc.maxSafeNat(), treeHash: bytesOf(32) }),
    { maxLength: 3 }
  )
})
const revocation = struct({ target: key, pins: fc.array(pin, { maxLength: 3 }) })
const seal: fc.Arbitrary<Seal> = struct({ recipient: key, sealed: bytesOf(80) })

const body: fc.Arbitrary<RecordBody> = fc.oneof(
  struct({ type: fc.constant('genesis' as const), identity: key, recoveryBox: key, device: grant }),
  struct({ type: fc.constant('device-add' as const), device: grant }),
  struct({
    type: fc.constant('generation' as const),
    from: key,
    device: grant,
    seal: fc.option(pin)
  }),
  revocation.map((fields) => ({ type: 'revoke' as const, ...fields })),
  struct({
    type: fc.constant('acknowledge' as const),
    records: fc.array(hash, { maxLength: 20 })
  }),
  struct({
    type: fc.constant('epoch' as const),
    commitment: bytesOf(32),
    recoverySeal: fc.option(bytesOf(80)),
    seals: fc.array(seal, { maxLength: 12 })
  }),
  struct({
    type: fc.constant('recover' as const),
    nonce: bytesOf(32),
    device: fc.option(grant),
    revocations: fc.array(revocation, { maxLength: 1 }),
    voids: fc.array(hash, { maxLength: 4 })
  }),
  struct({ type: fc.constant('settings' as const), sealed }),
  struct({
    type: fc.constant('unknown' as const),
    tag: fc.integer({ min: 9, max: 2 ** 32 }),
    bytes: fc.uint8Array({ maxLength: 60 }).map((array) => Buffer.from(array))
  })
)

const statement: fc.Arbitrary<Statement> = fc
  .record({
    drive: coreKey,
    author: key,
    sequence: fc.oneof(fc.constant(0), fc.nat(MAX_SEQUENCE)),
    previous: hash,
    heads: fc.uniqueArray(struct({ author: key, sequence: fc.nat(MAX_SEQUENCE), hash }), {
      maxLength: 6,
      selector: ({ author }) => author
    }),
    body
  })
  .map((fields) => ({
    ...fields,
    previous: fields.sequence === 0 ? null : fields.previous,
    heads: fields.heads.sort((a, b) => (a.author < b.author ? -1 : 1))
  }))

const sign = (of: Statement): GroupRecord =>
  sealRecord(signable(of), Buffer.alloc(64, 7), Buffer.alloc(of.sequence % 100, 8))

t.test('a record comes back as it was written, by the same name', async () => {
  fc.assert(
    fc.property(statement, (original) => {
      const record = sign(original)
      const back = decodeGroupRecord(record.bytes)
      assert.deepStrictEqual(back, record)
      const { drive, author, sequence, previous, heads, body: said } = back
      assert.deepStrictEqual({ drive, author, sequence, previous, heads, body: said }, original)
      assert.deepStrictEqual(back.signed, signable(original))
    }),
    { seed: 20261123 }
  )
})

function readOrRefuse(bytes: Buffer): GroupRecord | null {
  try {
    return decodeGroupRecord(bytes)
  } catch (error) {
    assert(error instanceof FsError)
    return null
  }
}

t.test('signatures are no part of its name; everything else is', async () => {
  fc.assert(
    fc.property(statement, fc.nat(), (original, at) => {
      const record = sign(original)
      const other = sealRecord(signable(original), Buffer.alloc(64, 9), Buffer.alloc(3))
      assert.equal(other.hash, record.hash)
      const changed = Buffer.from(record.bytes)
      const byte = at % (record.signed.length - 'pcfs-record\0'.length)
      changed.writeUInt8(255 - changed.readUInt8(byte), byte)
      const reread = readOrRefuse(changed)
      if (reread !== null) assert.notEqual(reread.hash, record.hash)
    }),
    { seed: 20261123 }
  )
})

t.test('the bounds of the format hold both ways', async (t) => {
  const base: Statement = {
    drive: toCoreKey(Buffer.alloc(32, 1)),
    author: toPublicKey(Buffer.alloc(32, 2)),
    sequence: 0,
    previous: null,
    heads: [],
    body: { type: 'acknowledge', records: [] }
  }
  const keyed = (n: number): PublicKey => {
    const bytes = Buffer.alloc(32)
    bytes.writeUInt32BE(n)
    return toPublicKey(bytes)
  }
  const zero = toRecordHash(Buffer.alloc(32))
  const heads = Array.from({ length: MAX_HEADS + 1 }, (_, n) => ({
    author: keyed(n),
    sequence: 0,
    hash: zero
  }))
  t.throws(() => sign({ ...base, heads }), { code: 'EFBIG' })
  t.ok(sign({ ...base, heads: heads.slice(1) }))
  t.throws(() => sign({ ...base, sequence: MAX_SEQUENCE + 1, previous: zero }), { code: 'EFBIG' })
  const records = Array.from({ length: 127 }, () => zero)
  t.throws(() => sign({ ...base, body: { type: 'acknowledge', records } }), { code: 'EFBIG' })
  const epoch = (count: number): RecordBody => ({
    type: 'epoch',
    commitment: Buffer.alloc(32),
    recoverySeal: Buffer.alloc(80),
    seals: Array.from({ length: count }, (_, n) => ({
      recipient: keyed(n),
      sealed: Buffer.alloc(80)
    }))
  })
  const largest = sign({ ...base, heads: heads.slice(1), body: epoch(MAX_RECIPIENTS) })
  t.ok(largest.bytes.length <= RECORD_LIMIT_BYTES, `${largest.bytes.length} bytes`)
  t.throws(() => sign({ ...base, body: epoch(MAX_RECIPIENTS + 1) }), { code: 'EFBIG' })
  t.throws(() => decodeGroupRecord(Buffer.alloc(RECORD_LIMIT_BYTES + 1)), { code: 'EIO' })
})

t.test('another version asks for a newer pcfs', async (t) => {
  const record = Buffer.alloc(400)
  record[0] = 2
  t.throws(() => decodeGroupRecord(record), { code: 'EPROTO', message: /newer pcfs/ })
})

t.test('what a later version added to a body is kept in its bytes', async (t) => {
  const bytes = sign({
    drive: toCoreKey(Buffer.alloc(32, 1)),
    author: toPublicKey(Buffer.alloc(32, 2)),
    sequence: 0,
    previous: null,
    heads: [],
    body: { type: 'acknowledge', records: [] }
  }).bytes
  // The body's frame is at the end of what is signed: one byte of length, one of count.
  const at = bytes.length - 64 - 1 - 2
  const longer = Buffer.concat([
    bytes.subarray(0, at),
    Buffer.from([3, 0, 9, 9]),
    bytes.subarray(at + 2)
  ])
  const record = decodeGroupRecord(longer)
  t.same(record.body, { type: 'acknowledge', records: [] })
  t.same(record.bytes, longer)
  t.ok(record.signed.includes(Buffer.from([3, 0, 9, 9])))
})
