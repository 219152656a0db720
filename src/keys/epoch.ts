/**
 * Epochs: content keys. The id is a hash of the key, never a counter, so two devices that make one
 * at the same time make two epochs, and an id can not be given to another key.
 */
import { hashParts } from './secrets.js'
import { randomBytes } from 'node:crypto'

/** Bytes of an epoch key. */
const EPOCH_KEY_BYTES = 32

/** Bytes of an epoch id. */
export const EPOCH_ID_BYTES = 8

/** An epoch key and its id. */
export interface EpochKey {
  /** First 8 bytes of H("epoch", drive, key). */
  readonly id: Buffer
  readonly key: Buffer
}

/**
 * What records say of an epoch's key, so that whoever opens a seal knows that it is that key.
 * @param drive drive id, 32 bytes
 * @param key epoch key, 32 bytes
 */
export function epochCommitment(drive: Uint8Array, key: Buffer): Buffer {
  return hashParts('epoch', [drive, key])
}

/**
 * An epoch from its key.
 * @param drive drive id, 32 bytes
 * @param key epoch key, 32 bytes; kept, not copied
 */
export function epochOf(drive: Uint8Array, key: Buffer): EpochKey {
  return { id: epochCommitment(drive, key).subarray(0, EPOCH_ID_BYTES), key }
}

/** A fresh epoch of a drive. */
export function newEpoch(drive: Uint8Array): EpochKey {
  return epochOf(drive, randomBytes(EPOCH_KEY_BYTES))
}
