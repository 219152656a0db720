/**
 * Sealing: an epoch's key for one member (a libsodium sealed box to its X25519 key), and small
 * texts such as names for whoever has an epoch's key (XChaCha20-Poly1305, a random nonce in front).
 */
import type { Grant, RecordBody, Sealed } from '../format/group-body.js'
import { type PublicKey, keyBytes, toEpochId } from '../format/group-keys.js'
import { type EpochKey, epochCommitment, epochOf } from './epoch.js'
import { type KeyPair, hashParts } from './secrets.js'
import { randomBytes } from 'node:crypto'
import sodium from 'sodium-native'

const NONCE_BYTES = sodium.crypto_aead_xchacha20poly1305_ietf_NPUBBYTES
const TAG_BYTES = sodium.crypto_aead_xchacha20poly1305_ietf_ABYTES

/** What an epoch record is made of. */
export interface EpochBodyOptions {
  /** Drive id, 32 bytes. */
  readonly drive: Buffer
  readonly epoch: EpochKey
  /** Each with its box key; blind devices are left out. */
  readonly recipients: readonly Grant[]
  /** The phrase's box key; null: an earlier record of this epoch has its seal. */
  readonly recoveryBox: PublicKey | null
}

/** The body of a record that gives an epoch's key to members. */
export function epochBody(options: EpochBodyOptions): RecordBody {
  const { drive, epoch, recipients, recoveryBox } = options
  return {
    type: 'epoch',
    commitment: epochCommitment(drive, epoch.key),
    recoverySeal: recoveryBox === null ? null : sealTo(recoveryBox, epoch.key),
    seals: recipients
      .filter(({ role }) => role !== 'blind')
      .map(({ signing, box }) => ({ recipient: signing, sealed: sealTo(box, epoch.key) }))
  }
}

/**
 * Opens a sealed epoch key and checks that it is the one that the record committed to.
 * @param box the recipient's pair
 * @returns null when it is not sealed to this pair, or is another key
 */
export function openSeal(
  sealed: Buffer,
  box: KeyPair,
  of: { readonly drive: Buffer; readonly commitment: Buffer }
): EpochKey | null {
  if (sealed.length <= sodium.crypto_box_SEALBYTES) return null
  const key = Buffer.alloc(sealed.length - sodium.crypto_box_SEALBYTES)
  if (!sodium.crypto_box_seal_open(key, sealed, box.publicKey, box.secretKey)) return null
  return epochCommitment(of.drive, key).equals(of.commitment) ? epochOf(of.drive, key) : null
}

/** Seals a text under an epoch. */
export function sealText(epoch: EpochKey, text: string): Sealed {
  const message = Buffer.from(text)
  const nonce = randomBytes(NONCE_BYTES)
  const cipher = Buffer.alloc(message.length + TAG_BYTES)
  const key = textKey(epoch)
  sodium.crypto_aead_xchacha20poly1305_ietf_encrypt(cipher, message, epoch.id, null, nonce, key)
  return { epoch: toEpochId(epoch.id), bytes: Buffer.concat([nonce, cipher]) }
}

/**
 * Opens a sealed text.
 * @param epochs those that this device has the keys of
 * @returns null when it has not that key, or the bytes are damaged
 */
export function openText(sealed: Sealed, epochs: readonly EpochKey[]): string | null {
  const epoch = epochs.find(({ id }) => toEpochId(id) === sealed.epoch)
  if (epoch === undefined || sealed.bytes.length < NONCE_BYTES + TAG_BYTES) return null
  const nonce = sealed.bytes.subarray(0, NONCE_BYTES)
  const cipher = sealed.bytes.subarray(NONCE_BYTES)
  const text = Buffer.alloc(cipher.length - TAG_BYTES)
  const key = textKey(epoch)
  try {
    sodium.crypto_aead_xchacha20poly1305_ietf_decrypt(text, null, cipher, epoch.id, nonce, key)
  } catch {
    return null
  }
  return text.toString()
}

function sealTo(box: PublicKey, key: Buffer): Buffer {
  const sealed = Buffer.alloc(key.length + sodium.crypto_box_SEALBYTES)
  sodium.crypto_box_seal(sealed, key, keyBytes(box))
  return sealed
}

/** A key of its own: blocks are encrypted under others that are derived from the epoch's. */
function textKey(epoch: EpochKey): Buffer {
  return hashParts('pcfs sealed text', [], { key: epoch.key })
}
