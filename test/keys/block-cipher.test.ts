import { FsError } from '../../src/base/errors.js'
import { CIPHER_OVERHEAD_BYTES, createBlockCipher } from '../../src/keys/block-cipher.js'
import { epochOf } from '../../src/keys/epoch.js'
import assert from 'node:assert'
import * as fc from 'fast-check'
import { test } from 'tap'

const drive = Buffer.alloc(32, 1)
const one = epochOf(drive, Buffer.alloc(32, 2))
const two = epochOf(drive, Buffer.alloc(32, 3))
const core = { key: Buffer.alloc(32, 4) }
const other = { key: Buffer.alloc(32, 5) }
const cipher = createBlockCipher({ epochs: [one], currentEpoch: one })

function encrypted(plaintext: Buffer, index: number, at = core, by = cipher): Buffer {
  const block = Buffer.concat([Buffer.alloc(CIPHER_OVERHEAD_BYTES), plaintext])
  by.encrypt(index, block, 0, at)
  return block
}

function decrypted(block: Buffer, index: number, at = core, by = cipher): Buffer {
  const copy = Buffer.from(block)
  by.decrypt(index, copy, at)
  return copy.subarray(CIPHER_OVERHEAD_BYTES)
}

await test('what is encrypted is decrypted again, whatever the bytes and index', async () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 500 }), fc.maxSafeNat(), (bytes, index) => {
      const plaintext = Buffer.from(bytes)
      assert(decrypted(encrypted(plaintext, index), index).equals(plaintext))
    })
  )
})

await test('any changed bit, index or core is EIO that names core and block', async () => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 1, maxLength: 60 }), fc.nat(), (bytes, at) => {
      const block = encrypted(Buffer.from(bytes), 7)
      const bit = at % (block.length * 8)
      const damaged = Buffer.from(block)
      damaged[bit >> 3] = (damaged[bit >> 3] ?? 0) ^ (1 << (bit & 7))
      assert.throws(
        () => decrypted(damaged, 7),
        (error) => error instanceof FsError && error.message.includes('block 7 of core 0404')
      )
      assert.throws(() => decrypted(block, 8), { code: 'EIO' })
      assert.throws(() => decrypted(block, 7, other), { code: 'EIO' })
    })
  )
})

await test('no keystream is used for another index, core, epoch or plaintext', async (t) => {
  const zeros = Buffer.alloc(64) // so that the ciphertext is the keystream
  const almost = Buffer.alloc(64)
  almost[63] = 1
  const streams = [
    encrypted(zeros, 0),
    encrypted(zeros, 1),
    encrypted(zeros, 0, other),
    encrypted(zeros, 0, core, createBlockCipher({ epochs: [two], currentEpoch: two })),
    encrypted(almost, 0),
    encrypted(almost, 0) // a rewrite of another fork: as the one before
  ].map((block) =>
    block.subarray(CIPHER_OVERHEAD_BYTES, CIPHER_OVERHEAD_BYTES + 63).toString('hex')
  )
  t.equal(new Set(streams.slice(0, 5)).size, 5)
  t.equal(streams[5], streams[4], 'the same plaintext at the same place is the same block')
})

await test('blocks of several epochs are read, a missing epoch is EACCES', async (t) => {
  const both = createBlockCipher({ epochs: [one, two], currentEpoch: two })
  const old = encrypted(Buffer.from('old'), 0)
  const fresh = encrypted(Buffer.from('new'), 1, core, both)
  t.equal(decrypted(old, 0, core, both).toString(), 'old')
  t.equal(decrypted(fresh, 1, core, both).toString(), 'new')
  t.throws(() => decrypted(fresh, 1), { code: 'EACCES' })
})

await test('other versions and short blocks are refused', async (t) => {
  const block = encrypted(Buffer.from('text'), 0)
  block[0] = 2
  t.throws(() => decrypted(block, 0), { code: 'EIO', message: /version 2/ })
  t.throws(() => decrypted(Buffer.alloc(3), 0), { code: 'EIO' })
})
