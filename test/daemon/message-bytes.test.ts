import t from 'tap'
import { packMessage } from '../../src/daemon/message-bytes.js'

t.test('a packed message says the same, and copies no pool', async (t) => {
  const ranges = Float64Array.of(1, 2, 3)
  const large = Buffer.alloc(100_000, 7)
  const original = {
    id: 5,
    args: [
      { map: Buffer.from('map'), hash: null, superseded: [{ block: 1, count: 2 }], ranges },
      [Buffer.from('key'), new Uint8Array(0), large],
      'text'
    ]
  }
  const { message, transfer } = packMessage(original)
  const arrived = structuredClone(message, { transfer: [...transfer] })
  t.match(arrived, {
    id: 5,
    args: [{ hash: null, superseded: [{ block: 1, count: 2 }], ranges }, {}, 'text']
  })
  t.equal(JSON.stringify(arrived), JSON.stringify(structuredClone(original)))
  t.equal(transfer.length, 1)
  t.equal(original.args.length, 3, 'the original is as it was')
})

t.test('a message without bytes is handed on as it is', async (t) => {
  const original = { id: 1, args: [] }
  t.equal(packMessage(original).message, original)
})
