import assert from 'node:assert'
import fc from 'fast-check'
import t from 'tap'
import { decodeRecord, encodeRecord } from '../../src/format/record-codec.js'
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
