import assert from 'node:assert'
import fc from 'fast-check'
import t from 'tap'
import { decodeRecord, encodeRecord } from '../../src/format/record-codec.js'
import { FsError } from '../../src/base/errors.js'
import { record } from './arbitrary.js'

t.test('a record comes back from its bytes as it was', async () => {
  fc.assert(
    fc.property(record, (value) => {
      const bytes = encodeRecord(value)
      assert.deepStrictEqual(decodeRecord(bytes), value)
      assert.deepStrictEqual(encodeRecord(decodeRecord(bytes)), bytes)
    }),
    { numRuns: 300 }
  )
})

t.test('damaged bytes are refused or read as a record, nothing else', async () => {
  const damage = fc.tuple(fc.nat(), fc.nat(255))
  fc.assert(
    fc.property(record, fc.array(damage, { minLength: 1, maxLength: 3 }), (value, damages) => {
      const bytes = encodeRecord(value)
      for (const [at, byte] of damages) bytes[at % bytes.length] = byte
      let decoded
      try {
        decoded = decodeRecord(bytes)
      } catch (error) {
        assert(error instanceof FsError, String(error))
        return
      }
      assert.deepStrictEqual(decodeRecord(encodeRecord(decoded)), decoded)
    }),
    { numRuns: 700 }
  )
})
