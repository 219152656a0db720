/**
 * What a group record says, by its type. FORMAT.md, "Group record", has the bytes.
 *
 * What a field means for membership is in `membership*.ts`; here it is only read and written.
 */
import { Reader, Writer } from './bytes.js'
import {
  type CoreKey,
  EPOCH_ID_BYTES,
  type EpochId,
  KEY_BYTES,
  type PublicKey,
  type RecordHash,
  toCoreKey,
  toEpochId,
  toPublicKey,
  toRecordHash
} from './group-keys.js'

/** What a device may do: everything; be always on and read; be always on and carry ciphertext. */
export type Role = 'personal' | 'cloud' | 'blind'

/** Bytes sealed under an epoch: opaque here. */
export interface Sealed {
  readonly epoch: EpochId
  readonly bytes: Buffer
}

/** The cores of one generation. */
export interface Cores {
  readonly groupWriter: CoreKey
  readonly db: CoreKey
  readonly blobs: CoreKey
}

/** The public half of one generation of a device. */
export interface Grant {
  readonly role: Role
  /** Signs records; names the generation. */
  readonly signing: PublicKey
  readonly noise: PublicKey
  readonly box: PublicKey
  /** null: it writes nothing (blind). */
  readonly cores: Cores | null
  /** The device's name; null: none was given. */
  readonly name: Sealed | null
}

/** One record of an author's chain. */
export interface ChainHead {
  readonly sequence: number
  readonly hash: RecordHash
}

/** How much of a core counts. */
export interface CorePin {
  readonly key: CoreKey
  readonly fork: number
  readonly length: number
  readonly treeHash: Buffer
}

/** How much of one generation counts. */
export interface Pin {
  readonly generation: PublicKey
  /** The last of its records that counts; null: none. */
  readonly head: ChainHead | null
  /** What is not listed counts for nothing. */
  readonly cores: readonly CorePin[]
}

/** A device that is put out: a generation, all that follow from it, and what of them counts. */
export interface Revocation {
  readonly target: PublicKey
  readonly pins: readonly Pin[]
}

/** An epoch's key for one member. */
export interface Seal {
  readonly recipient: PublicKey
  /** 32 bytes of key in a sealed box. */
  readonly sealed: Buffer
}

/** What a record says. */
export type RecordBody =
  | {
      readonly type: 'genesis'
      readonly identity: PublicKey
      /** X25519; epoch keys are sealed to it, the phrase opens them. */
      readonly recoveryBox: PublicKey
      readonly device: Grant
    }
  | { readonly type: 'device-add'; readonly device: Grant }
  | {
      readonly type: 'generation'
      /** The generation that hands over. */
      readonly from: PublicKey
      readonly device: Grant
      /** Where the old generation ends; null: not known, the longest verified length counts. */
      readonly seal: Pin | null
    }
  | ({ readonly type: 'revoke' } & Revocation)
  | { readonly type: 'acknowledge'; readonly records: readonly RecordHash[] }
  | {
      readonly type: 'epoch'
      /** H("epoch", drive, key); the epoch's id is its beginning. */
      readonly commitment: Buffer
      /** The key for the phrase; null: an earlier record of this epoch has it. */
      readonly recoverySeal: Buffer | null
      readonly seals: readonly Seal[]
    }
  | {
      readonly type: 'recover'
      readonly nonce: Buffer
      /** A device that the phrase admits. */
      readonly device: Grant | null
      readonly revocations: readonly Revocation[]
      /** Revocations by devices that are void. */
      readonly voids: readonly RecordHash[]
    }
  | { readonly type: 'settings'; readonly sealed: Sealed }
  | { readonly type: 'unknown'; readonly tag: number; readonly bytes: Buffer }

/** A type that this version of pcfs knows. */
export type KnownType = Exclude<RecordBody['type'], 'unknown'>

/** By their tags on the wire, from 1. */
const TYPES: readonly KnownType[] = [
  'genesis',
  'device-add',
  'generation',
  'revoke',
  'acknowledge',
  'epoch',
  'recover',
  'settings'
]
const ROLES: readonly Role[] = ['personal', 'cloud', 'blind']

const NONCE_BYTES = 32
/** A key of 32 bytes in a libsodium sealed box. */
export const SEALED_KEY_BYTES = KEY_BYTES + 48
/** Bytes of what a seal takes in a record. */
const SEAL_BYTES = KEY_BYTES + SEALED_KEY_BYTES

/** The tag of a body on the wire. */
export function tagOf(body: RecordBody): number {
  return body.type === 'unknown' ? body.tag : TYPES.indexOf(body.type) + 1
}

/** Writes a body without its tag. */
export function writeBody(writer: Writer, body: RecordBody): void {
  switch (body.type) {
    case 'genesis':
      writer.hex(body.identity)
      writer.hex(body.recoveryBox)
      return writeGrant(writer, body.device)
    case 'device-add':
      return writeGrant(writer, body.device)
    case 'generation':
      writer.hex(body.from)
      writeGrant(writer, body.device)
      return writeList(writer, body.seal === null ? [] : [body.seal], writePin)
    case 'revoke':
      return writeRevocation(writer, body)
    case 'acknowledge':
      return writeList(writer, body.records, (to, hash) => to.hex(hash))
    case 'epoch':
      writer.raw(body.commitment)
      writeList(writer, body.recoverySeal === null ? [] : [body.recoverySeal], (to, bytes) =>
        to.raw(bytes)
      )
      return writeList(writer, body.seals, (to, seal) => {
        to.hex(seal.recipient)
        to.raw(seal.sealed)
      })
    case 'recover':
      writer.raw(body.nonce)
      writeList(writer, body.device === null ? [] : [body.device], writeGrant)
      writeList(writer, body.revocations, writeRevocation)
      return writeList(writer, body.voids, (to, hash) => to.hex(hash))
    case 'settings':
      return writeSealed(writer, body.sealed)
    case 'unknown':
      return writer.raw(body.bytes)
  }
}

/**
 * Reads a body to the reader's end; what a later version added behind it is left.
 * @throws {FsError} EIO when malformed
 */
export function readBody(reader: Reader, tag: number): RecordBody {
  const type = TYPES[tag - 1]
  if (type === undefined) return { type: 'unknown', tag, bytes: reader.raw(reader.left) }
  switch (type) {
    case 'genesis':
      return {
        type,
        identity: readKey(reader),
        recoveryBox: readKey(reader),
        device: readGrant(reader)
      }
    case 'device-add':
      return { type, device: readGrant(reader) }
    case 'generation':
      return {
        type,
        from: readKey(reader),
        device: readGrant(reader),
        seal: readOptional(reader, readPin)
      }
    case 'revoke':
      return { type, ...readRevocation(reader) }
    case 'acknowledge':
      return { type, records: readList(reader, KEY_BYTES, readHash) }
    case 'epoch':
      return readEpoch(reader)
    case 'recover':
      return {
        type,
        nonce: reader.raw(NONCE_BYTES),
        device: readOptional(reader, readGrant),
        revocations: readList(reader, KEY_BYTES, readRevocation),
        voids: readList(reader, KEY_BYTES, readHash)
      }
    case 'settings':
      return { type, sealed: readSealed(reader) }
  }
}

function readEpoch(reader: Reader): RecordBody {
  return {
    type: 'epoch',
    commitment: reader.raw(KEY_BYTES),
    recoverySeal: readOptional(reader, () => reader.raw(SEALED_KEY_BYTES)),
    seals: readList(reader, SEAL_BYTES, () => ({
      recipient: readKey(reader),
      sealed: reader.raw(SEALED_KEY_BYTES)
    }))
  }
}

function writeList<T>(
  writer: Writer,
  items: readonly T[],
  write: (writer: Writer, item: T) => void
): void {
  writer.uint(items.length)
  for (const item of items) write(writer, item)
}

function readList<T>(reader: Reader, minBytes: number, read: (reader: Reader) => T): readonly T[] {
  const items: T[] = []
  for (let left = reader.count(minBytes); left > 0; left--) items.push(read(reader))
  return items
}

function readOptional<T>(reader: Reader, read: (reader: Reader) => T): T | null {
  const count = reader.uint()
  if (count > 1) throw reader.error('more than one where one may be')
  return count === 0 ? null : read(reader)
}

function readKey(reader: Reader): PublicKey {
  return toPublicKey(reader.raw(KEY_BYTES))
}

function readHash(reader: Reader): RecordHash {
  return toRecordHash(reader.raw(KEY_BYTES))
}

function writeGrant(writer: Writer, grant: Grant): void {
  writer.uint(ROLES.indexOf(grant.role))
  writeList(writer, grant.name === null ? [] : [grant.name], writeSealed)
  writeGrantKeys(writer, grant)
}

function writeGrantKeys(writer: Writer, grant: Grant): void {
  for (const key of [grant.signing, grant.noise, grant.box]) writer.hex(key)
  writeList(writer, grant.cores === null ? [] : [grant.cores], (to, cores) => {
    for (const key of [cores.groupWriter, cores.db, cores.blobs]) to.hex(key)
  })
}

function readGrant(reader: Reader): Grant {
  const role = ROLES[reader.uint()]
  if (role === undefined) throw reader.error('an unknown role')
  const name = readOptional(reader, readSealed)
  const [signing, noise, box] = [readKey(reader), readKey(reader), readKey(reader)]
  const cores = readOptional(reader, () => ({
    groupWriter: toCoreKey(reader.raw(KEY_BYTES)),
    db: toCoreKey(reader.raw(KEY_BYTES)),
    blobs: toCoreKey(reader.raw(KEY_BYTES))
  }))
  return { role, signing, noise, box, cores, name }
}

/**
 * What a joining device signs with its new signing key: that these keys and cores are its own. So
 * nobody can admit a key of somebody else with other cores. Its role and name are the inviter's.
 */
export function grantSignable(grant: Grant): Buffer {
  const writer = new Writer()
  writer.raw(Buffer.from('pcfs-grant\0'))
  writeGrantKeys(writer, grant)
  return writer.finish()
}

function writeSealed(writer: Writer, sealed: Sealed): void {
  writer.hex(sealed.epoch)
  writer.bytes(sealed.bytes)
}

function readSealed(reader: Reader): Sealed {
  return { epoch: toEpochId(reader.raw(EPOCH_ID_BYTES)), bytes: reader.bytes() }
}

function writePin(writer: Writer, pin: Pin): void {
  writer.hex(pin.generation)
  writeList(writer, pin.head === null ? [] : [pin.head], (to, head) => {
    to.uint(head.sequence)
    to.hex(head.hash)
  })
  writeList(writer, pin.cores, (to, core) => {
    to.hex(core.key)
    to.uint(core.fork)
    to.uint(core.length)
    to.raw(core.treeHash)
  })
}

function readPin(reader: Reader): Pin {
  return {
    generation: readKey(reader),
    head: readOptional(reader, () => ({ sequence: reader.uint(), hash: readHash(reader) })),
    cores: readList(reader, KEY_BYTES, () => ({
      key: toCoreKey(reader.raw(KEY_BYTES)),
      fork: reader.uint(),
      length: reader.uint(),
      treeHash: reader.raw(KEY_BYTES)
    }))
  }
}

function writeRevocation(writer: Writer, revocation: Revocation): void {
  writer.hex(revocation.target)
  writeList(writer, revocation.pins, writePin)
}

function readRevocation(reader: Reader): Revocation {
  return { target: readKey(reader), pins: readList(reader, KEY_BYTES, readPin) }
}
