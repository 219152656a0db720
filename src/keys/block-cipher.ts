/**
 * Our provider for Hypercore's `encryption` hook. A stored block is
 *
 *     version (1) | epoch id (8) | nonce (16) | ciphertext
 *
 * The nonce is synthetic (SIV): BLAKE2b-128 of index and plaintext under a key of this core and
 * epoch, and the stream's nonce is that plus the index. So the same keystream is used again only
 * for the same plaintext at the same index of the same core, whatever forks, rollbacks or restored
 * homes append there; and the nonce, recomputed on read, authenticates the block beyond what the
 * Merkle tree says: a wrong key is an error, not garbage.
 */
import { FsError } from '../base/errors.js'
import { EPOCH_ID_BYTES, type EpochKey } from './epoch.js'
import { hashParts } from './secrets.js'
import sodium from 'sodium-native'

/** First byte of a stored block; others are refused. */
const VERSION = 1
const NONCE_BYTES = 16
const NONCE_AT = 1 + EPOCH_ID_BYTES

/** Bytes by which a stored block is longer than its plaintext. */
export const CIPHER_OVERHEAD_BYTES = NONCE_AT + NONCE_BYTES

/** Most (core, epoch) pairs whose keys are kept derived. */
const CACHE_LIMIT = 256

/** Scratch of the (synchronous) functions below: the stream's nonce, the index at its end. */
const STREAM_NONCE = Buffer.alloc(NONCE_BYTES + 8)
const INDEX = STREAM_NONCE.subarray(NONCE_BYTES)

/** What Hypercore passes along: the core that the block is in. */
interface CipherContext {
  readonly key: Buffer
}

/** What Hypercore asks of an encryption provider. Buffers are changed in place. */
export interface BlockCipher {
  /** Bytes in front of each block that are the cipher's. */
  readonly overheadBytes: number
  padding(context: CipherContext, index: number): number
  encrypt(index: number, block: Buffer, fork: number, context: CipherContext): void
  decrypt(index: number, block: Buffer, context: CipherContext): void
}

interface CoreKeys {
  readonly stream: Buffer
  readonly nonce: Buffer
}

/** The epoch keys that a cipher may use; read at each call, so a new epoch counts at once. */
export interface EpochSource {
  readonly epochs: readonly EpochKey[]
  /** null: this device has no key yet, or never gets one; it can not write. */
  readonly currentEpoch: EpochKey | null
}

/**
 * A cipher for all cores of a drive.
 * @param source encrypts under `currentEpoch`, decrypts under any of `epochs`
 */
export function createBlockCipher(source: EpochSource): BlockCipher {
  const cache = new Map<string, CoreKeys>()
  // Nearly all calls follow one of the same core and epoch: no name needs to be built for them.
  let last: { context: CipherContext; epoch: EpochKey; keys: CoreKeys } | null = null

  const keysFor = (context: CipherContext, epoch: EpochKey): CoreKeys => {
    if (last !== null && last.context === context && last.epoch === epoch) return last.keys
    const keys = lookUp(context, epoch)
    last = { context, epoch, keys }
    return keys
  }

  const lookUp = (context: CipherContext, epoch: EpochKey): CoreKeys => {
    const name = context.key.toString('latin1') + epoch.id.toString('latin1')
    const known = cache.get(name)
    if (known !== undefined) return known
    if (cache.size >= CACHE_LIMIT) cache.clear()
    const derived = hashParts('pcfs block', [context.key], { bytes: 64, key: epoch.key })
    const keys = { stream: derived.subarray(0, 32), nonce: derived.subarray(32) }
    cache.set(name, keys)
    return keys
  }

  return {
    overheadBytes: CIPHER_OVERHEAD_BYTES,
    padding: () => CIPHER_OVERHEAD_BYTES,
    encrypt: (index, block, _fork, context) => {
      const epoch = source.currentEpoch
      if (epoch === null) throw new FsError('EACCES', 'this device has no epoch key to write under')
      const keys = keysFor(context, epoch)
      const body = block.subarray(CIPHER_OVERHEAD_BYTES)
      const nonce = block.subarray(NONCE_AT, CIPHER_OVERHEAD_BYTES)
      block[0] = VERSION
      epoch.id.copy(block, 1)
      syntheticNonce(nonce, index, body, keys)
      applyStream(index, nonce, body, keys)
    },
    decrypt: (index, block, context) => {
      const epoch = epochOfBlock(source, index, block, context)
      const keys = keysFor(context, epoch)
      const body = block.subarray(CIPHER_OVERHEAD_BYTES)
      const nonce = block.subarray(NONCE_AT, CIPHER_OVERHEAD_BYTES)
      const expected = Buffer.alloc(NONCE_BYTES)
      applyStream(index, nonce, body, keys)
      syntheticNonce(expected, index, body, keys)
      // Not a secret comparison: who can alter the block can not ask us questions about it.
      if (!expected.equals(nonce)) {
        throw refused(index, context, 'does not match its nonce: wrong key or damaged')
      }
    }
  }
}

function epochOfBlock(
  source: EpochSource,
  index: number,
  block: Buffer,
  context: CipherContext
): EpochKey {
  if (block.length < CIPHER_OVERHEAD_BYTES) throw refused(index, context, 'is too short')
  if (block[0] !== VERSION) {
    throw refused(index, context, `has cipher version ${block[0]}: a newer pcfs wrote it`)
  }
  const id = block.subarray(1, NONCE_AT)
  const epoch = source.currentEpoch?.id.equals(id)
    ? source.currentEpoch
    : source.epochs.find((known) => known.id.equals(id))
  if (epoch === undefined) {
    const hex = id.toString('hex')
    throw new FsError('EACCES', `${place(index, context)}: this device has no key of epoch ${hex}`)
  }
  return epoch
}

function syntheticNonce(output: Buffer, index: number, plaintext: Buffer, keys: CoreKeys): void {
  writeIndex(index)
  sodium.crypto_generichash_batch(output, [INDEX, plaintext], keys.nonce)
}

function applyStream(index: number, nonce: Buffer, body: Buffer, keys: CoreKeys): void {
  if (body.length === 0) return
  writeIndex(index)
  STREAM_NONCE.set(nonce)
  sodium.crypto_stream_xchacha20_xor(body, body, STREAM_NONCE, keys.stream)
}

function writeIndex(index: number): void {
  INDEX.writeUInt32LE(index >>> 0)
  INDEX.writeUInt32LE(Math.floor(index / 2 ** 32), 4)
}

function place(index: number, context: CipherContext): string {
  return `block ${index} of core ${context.key.toString('hex')}`
}

function refused(index: number, context: CipherContext, what: string): FsError {
  return new FsError('EIO', `${place(index, context)} ${what}`)
}
