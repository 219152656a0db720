/**
 * What is before the ciphertext of every block of an encrypted core: FORMAT.md, "Block encryption".
 * Only the layout; the cryptography is in `keys/`.
 */
import { malformed } from './malformed.js'

/** The only version of block encryption. */
export const BLOCK_VERSION = 1
/** Bytes of an epoch id. */
export const EPOCH_ID_BYTES = 8
/** Bytes of the synthetic nonce. */
export const BLOCK_NONCE_BYTES = 16
const EPOCH_AT = 1
const NONCE_AT = EPOCH_AT + EPOCH_ID_BYTES
/** Bytes by which a stored block is longer than its plaintext: 25. */
export const BLOCK_PADDING_BYTES = NONCE_AT + BLOCK_NONCE_BYTES

/** A stored block, taken apart: views into it, not copies. */
export interface BlockParts {
  readonly epochId: Buffer
  readonly nonce: Buffer
  readonly ciphertext: Buffer
}

/**
 * Takes a stored block apart.
 * @throws {FsError} EIO when it is too short or of another version
 */
export function parseBlock(block: Buffer): BlockParts {
  if (block.byteLength < BLOCK_PADDING_BYTES) throw malformed('block', 'shorter than its padding')
  if (block[0] !== BLOCK_VERSION) throw malformed('block', `unknown encryption version ${block[0]}`)
  return {
    epochId: block.subarray(EPOCH_AT, NONCE_AT),
    nonce: block.subarray(NONCE_AT, BLOCK_PADDING_BYTES),
    ciphertext: block.subarray(BLOCK_PADDING_BYTES)
  }
}

/**
 * Writes version, epoch id and nonce into the padding at the start of `block`.
 * @param block padding and text; changed in place
 */
export function writeBlockPadding(block: Buffer, epochId: Uint8Array, nonce: Uint8Array): void {
  block[0] = BLOCK_VERSION
  block.set(epochId, EPOCH_AT)
  block.set(nonce, NONCE_AT)
}
