/**
 * The group record: one signed statement about who belongs. FORMAT.md, "Group record".
 *
 * A record is named by the hash of what is signed. Signatures are checked by whoever has a
 * `RecordVerifier`: the cryptography is in `keys/`.
 */
import { FsError } from '../base/errors.js'
import { Reader, Writer } from './bytes.js'
import { type ChainHead, type RecordBody, readBody, tagOf, writeBody } from './group-body.js'
import {
  type CoreKey,
  KEY_BYTES,
  type PublicKey,
  type RecordHash,
  toCoreKey,
  toPublicKey,
  toRecordHash
} from './group-keys.js'
import { createHash } from 'node:crypto'

const VERSION = 1
/** Greatest version that is taken for that of a newer pcfs, and not for rubbish. */
const MAX_VERSION = 63
const SIGNATURE_BYTES = 64
const MAX_WITNESS_BYTES = 512
/** Bytes of a record without its recipients. */
const MAX_RECORD_BYTES = 4096
const MAX_BYTES_PER_RECIPIENT = 128
/** Most recipients of one epoch record. */
export const MAX_RECIPIENTS = 64
/** Most heads that one record tells; others are told by the author's next records. */
export const MAX_HEADS = 32
/**
 * Greatest sequence of an author's record: a bound on what one member can make others keep. Who
 * comes near it gives the device new keys, and with them a new chain.
 */
export const MAX_SEQUENCE = 16_383
/** No encoded record is longer. */
export const RECORD_LIMIT_BYTES = MAX_RECORD_BYTES + MAX_RECIPIENTS * MAX_BYTES_PER_RECIPIENT

const SIGN_DOMAIN = Buffer.from('pcfs-record\0')

/** The newest record of another author that the author of a record has. */
export interface Head extends ChainHead {
  readonly author: PublicKey
}

/** What is signed. */
export interface Statement {
  readonly drive: CoreKey
  /** The signing key of a generation. */
  readonly author: PublicKey
  /** 0 for the author's first record, growing by one. */
  readonly sequence: number
  /** The author's record before; null for the first. */
  readonly previous: RecordHash | null
  /** What the author has heard of since its record before, ascending by author. */
  readonly heads: readonly Head[]
  readonly body: RecordBody
}

/** A statement with its signatures, not verified. */
export interface GroupRecord extends Statement {
  readonly hash: RecordHash
  /** By the author's signing key. */
  readonly signature: Buffer
  /**
   * The second signature that some types need (over the same bytes, unless said otherwise):
   * genesis and recover: a proof of the phrase's identity; generation: by the old signing key;
   * device-add: by the new device, over `grantSignable`. Otherwise empty.
   */
  readonly witness: Buffer
  /** What is signed, as `signable` gave it. */
  readonly signed: Buffer
  /** The bytes that it came in or goes out as. */
  readonly bytes: Buffer
}

/** Checks signatures; `keys/` has the real one. */
export interface RecordVerifier {
  /** Whether an Ed25519 key signed these bytes. */
  signature(publicKey: PublicKey, signed: Buffer, signature: Buffer): boolean
  /** Whether the phrase's identity signed these bytes. */
  identity(identity: PublicKey, signed: Buffer, proof: Buffer): boolean
}

/**
 * The bytes that the author, and a witness, sign.
 * @throws {FsError} EFBIG when a bound of the format does not hold
 */
export function signable(statement: Statement): Buffer {
  const { heads, sequence } = statement
  if (heads.length > MAX_HEADS) throw tooMuch(`${heads.length} heads`)
  if (sequence > MAX_SEQUENCE) throw tooMuch(`sequence ${sequence}`)
  const writer = new Writer()
  writer.raw(SIGN_DOMAIN)
  writer.uint(VERSION)
  writer.hex(statement.drive)
  writer.uint(tagOf(statement.body))
  writer.hex(statement.author)
  writer.uint(sequence)
  if (statement.previous !== null) writer.hex(statement.previous)
  writer.uint(heads.length)
  for (const head of [...heads].sort((a, b) => (a.author < b.author ? -1 : 1))) {
    writer.hex(head.author)
    writer.uint(head.sequence)
    writer.hex(head.hash)
  }
  writer.frame(() => writeBody(writer, statement.body))
  return writer.finish()
}

/**
 * Puts signatures to a statement.
 * @param signed what `signable` gave for it
 * @throws {FsError} EFBIG when the record is larger than the format allows
 */
export function sealRecord(signed: Buffer, signature: Buffer, witness: Buffer): GroupRecord {
  const writer = new Writer()
  writer.raw(signed.subarray(SIGN_DOMAIN.length))
  writer.raw(signature)
  writer.bytes(witness)
  const bytes = writer.finish()
  try {
    return decodeGroupRecord(bytes)
  } catch (cause) {
    throw tooMuch('it can not be read back', cause)
  }
}

/**
 * A record from its bytes, which are copied; nothing is verified.
 * @throws {FsError} EIO when malformed or above the bounds; EPROTO when a newer pcfs wrote it
 */
export function decodeGroupRecord(source: Uint8Array): GroupRecord {
  if (source.byteLength > RECORD_LIMIT_BYTES) throw new Reader('group record', source).error('size')
  const bytes = Buffer.from(source)
  const reader = new Reader('group record', bytes)
  const version = reader.uint()
  if (version > VERSION && version <= MAX_VERSION) {
    throw new FsError('EPROTO', `a group record has version ${version}: use a newer pcfs`)
  }
  if (version !== VERSION) throw reader.error('no version that there will be')
  const drive = toCoreKey(reader.raw(KEY_BYTES))
  const tag = reader.uint()
  const author = toPublicKey(reader.raw(KEY_BYTES))
  const sequence = reader.uint()
  if (sequence > MAX_SEQUENCE) throw reader.error('its sequence is too great')
  const previous = sequence === 0 ? null : toRecordHash(reader.raw(KEY_BYTES))
  const heads = readHeads(reader)
  const body = reader.frame(() => readBody(reader, tag))
  const signed = Buffer.concat([SIGN_DOMAIN, bytes.subarray(0, bytes.byteLength - reader.left)])
  const signature = reader.raw(SIGNATURE_BYTES)
  const witness = reader.bytes()
  reader.done()
  if (witness.length > MAX_WITNESS_BYTES) throw reader.error('its witness is too long')
  const recipients = body.type === 'epoch' ? body.seals.length : 0
  if (recipients > MAX_RECIPIENTS) throw reader.error('too many recipients')
  if (bytes.byteLength > MAX_RECORD_BYTES + recipients * MAX_BYTES_PER_RECIPIENT) {
    throw reader.error('it is too large')
  }
  const hash = toRecordHash(createHash('sha256').update(signed).digest())
  const statement = { drive, author, sequence, previous, heads, body }
  return { ...statement, hash, signature, witness, signed, bytes }
}

function readHeads(reader: Reader): readonly Head[] {
  const heads: Head[] = []
  const count = reader.count(2 * KEY_BYTES + 1)
  if (count > MAX_HEADS) throw reader.error('too many heads')
  for (let left = count; left > 0; left--) {
    const author = toPublicKey(reader.raw(KEY_BYTES))
    const before = heads.at(-1)
    if (before !== undefined && before.author >= author) throw reader.error('unsorted heads')
    heads.push({ author, sequence: reader.uint(), hash: toRecordHash(reader.raw(KEY_BYTES)) })
  }
  return heads
}

function tooMuch(what: string, cause?: unknown): FsError {
  return new FsError('EFBIG', `a group record is beyond its bounds: ${what}`, { cause })
}
