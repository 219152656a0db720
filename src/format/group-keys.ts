/**
 * What names things in the group: public keys, cores, records, epochs. As text, so that they can be
 * keys of Maps and compare with `===`.
 */
import { malformed } from './malformed.js'

declare const deviceKeyBrand: unique symbol
declare const coreKeyBrand: unique symbol
declare const hashBrand: unique symbol
declare const epochIdBrand: unique symbol

/** A public key (32 bytes) as 64 lower-case hex digits: a device's signing, Noise or box key. */
export type PublicKey = string & { readonly [deviceKeyBrand]: true }

/** The key of a core (32 bytes) as 64 lower-case hex digits. The drive id is one of them. */
export type CoreKey = string & { readonly [coreKeyBrand]: true }

/** The hash that names a group record (32 bytes) as 64 lower-case hex digits. */
export type RecordHash = string & { readonly [hashBrand]: true }

/** An epoch's id (8 bytes) as 16 lower-case hex digits. */
export type EpochId = string & { readonly [epochIdBrand]: true }

/** Bytes of a key and of a hash. */
export const KEY_BYTES = 32
/** Bytes of an epoch's id. */
export const EPOCH_ID_BYTES = 8

const HEX_32 = /^[0-9a-f]{64}$/
const HEX_8 = /^[0-9a-f]{16}$/

function isPublicKey(hex: string): hex is PublicKey {
  return HEX_32.test(hex)
}

function isCoreKey(hex: string): hex is CoreKey {
  return HEX_32.test(hex)
}

function isRecordHash(hex: string): hex is RecordHash {
  return HEX_32.test(hex)
}

function isEpochId(hex: string): hex is EpochId {
  return HEX_8.test(hex)
}

function textOf(source: Uint8Array | string): string {
  return typeof source === 'string' ? source : Buffer.from(source).toString('hex')
}

/** @throws {FsError} EIO unless it is 32 bytes, or 64 lower-case hex digits */
export function toPublicKey(source: Uint8Array | string): PublicKey {
  const hex = textOf(source)
  if (!isPublicKey(hex)) throw malformed('public key', 'not 32 bytes')
  return hex
}

/** @throws {FsError} EIO unless it is 32 bytes, or 64 lower-case hex digits */
export function toCoreKey(source: Uint8Array | string): CoreKey {
  const hex = textOf(source)
  if (!isCoreKey(hex)) throw malformed('core key', 'not 32 bytes')
  return hex
}

/** @throws {FsError} EIO unless it is 32 bytes, or 64 lower-case hex digits */
export function toRecordHash(source: Uint8Array | string): RecordHash {
  const hex = textOf(source)
  if (!isRecordHash(hex)) throw malformed('record hash', 'not 32 bytes')
  return hex
}

/** @throws {FsError} EIO unless it is 8 bytes, or 16 lower-case hex digits */
export function toEpochId(source: Uint8Array | string): EpochId {
  const hex = textOf(source)
  if (!isEpochId(hex)) throw malformed('epoch id', 'not 8 bytes')
  return hex
}

/** The bytes of any of them, a fresh Buffer. */
export function keyBytes(key: PublicKey | CoreKey | RecordHash | EpochId): Buffer {
  return Buffer.from(key, 'hex')
}
