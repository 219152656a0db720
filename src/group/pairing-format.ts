/**
 * What the two sides of a pairing tell each other, and the code that a person carries between them.
 * Lives for minutes, so its bytes are here and not in FORMAT.md.
 *
 * The invite's rendezvous key is the hash of the _offer_; the code has that key's discovery key. So
 * the code binds the inviter to its offer (drive, identity, a random number) before it has seen a
 * joiner, and nobody who knows the code can offer another drive. The joiner's _request_ (its fresh
 * keys) is complete before the offer is revealed to it. The six digits are a hash of both: neither
 * side, nor anybody in between, can choose them.
 */
import { FsError } from '../base/errors.js'
import { Reader, Writer } from '../format/bytes.js'
import type { Cores, Grant, Role } from '../format/group-body.js'
import { KEY_BYTES, toCoreKey, toPublicKey } from '../format/group-keys.js'
import type { CoreKey, PublicKey } from '../format/group-keys.js'
import { createHash } from 'node:crypto'

const VERSION = 1
const ROLES: readonly Role[] = ['personal', 'cloud', 'blind']
const SIGNATURE_BYTES = 64
const NONCE_BYTES = 32
/** Bytes of a device's name in a request, which has to fit into one record of the DHT. */
export const MAX_NAME_BYTES = 64
const MAX_DIGITS = 1_000_000

/** What the inviter reveals to one joiner. */
export interface Offer {
  readonly drive: CoreKey
  readonly identity: PublicKey
  /** The inviter's Noise key: a member that can be reached now. */
  readonly inviter: PublicKey
  /** Whether whoever holds the code is admitted without digits. */
  readonly isBearer: boolean
  /** For how long the invite was opened, whole seconds: nobody decides later than that. */
  readonly openS: number
  readonly nonce: Buffer
}

/** What a joiner says of itself. */
export interface JoinRequest {
  readonly grant: Grant
  /** The device's signature over its grant. */
  readonly witness: Buffer
  readonly name: string
}

/** The bytes of an offer. */
export function encodeOffer(offer: Offer): Buffer {
  const writer = new Writer()
  writer.uint(VERSION)
  writer.uint(offer.isBearer ? 1 : 0)
  writer.uint(offer.openS)
  for (const key of [offer.drive, offer.identity, offer.inviter]) writer.hex(key)
  writer.raw(offer.nonce)
  return writer.finish()
}

/** @throws {FsError} EIO when malformed */
export function decodeOffer(bytes: Buffer): Offer {
  const reader = new Reader('pairing offer', bytes)
  if (reader.uint() !== VERSION) throw reader.error('the inviting device needs another pcfs')
  const isBearer = reader.uint() === 1
  const openS = reader.uint()
  const drive = toCoreKey(reader.raw(KEY_BYTES))
  const identity = toPublicKey(reader.raw(KEY_BYTES))
  const inviter = toPublicKey(reader.raw(KEY_BYTES))
  return { isBearer, openS, drive, identity, inviter, nonce: reader.raw(NONCE_BYTES) }
}

/** The bytes of a request. @throws {FsError} EINVAL when the name is too long */
export function encodeRequest({ grant, witness, name }: JoinRequest): Buffer {
  const nameBytes = Buffer.from(name)
  if (nameBytes.length === 0 || nameBytes.length > MAX_NAME_BYTES) {
    throw new FsError('EINVAL', `a device's name has 1 to ${MAX_NAME_BYTES} bytes`)
  }
  const writer = new Writer()
  writer.uint(VERSION)
  writer.uint(ROLES.indexOf(grant.role))
  writer.bytes(nameBytes)
  for (const key of [grant.signing, grant.noise, grant.box]) writer.hex(key)
  writer.uint(grant.cores === null ? 0 : 1)
  if (grant.cores !== null) {
    const { groupWriter, db, blobs } = grant.cores
    for (const key of [groupWriter, db, blobs]) writer.hex(key)
  }
  writer.raw(witness)
  return writer.finish()
}

/** @throws {FsError} EIO when malformed */
export function decodeRequest(bytes: Buffer): JoinRequest {
  const reader = new Reader('pairing request', bytes)
  if (reader.uint() !== VERSION) throw reader.error('the joining device needs another pcfs')
  const role = ROLES[reader.uint()]
  if (role === undefined) throw reader.error('an unknown role')
  const name = reader.bytes()
  if (name.length === 0 || name.length > MAX_NAME_BYTES) throw reader.error('a bad name')
  const key = (): PublicKey => toPublicKey(reader.raw(KEY_BYTES))
  const [signing, noise, box] = [key(), key(), key()]
  const cores = reader.uint() === 0 ? null : readCores(reader)
  if ((cores === null) !== (role === 'blind')) throw reader.error('cores that do not fit its role')
  const witness = reader.raw(SIGNATURE_BYTES)
  return { grant: { role, signing, noise, box, cores, name: null }, witness, name: name.toString() }
}

function readCores(reader: Reader): Cores {
  const key = (): CoreKey => toCoreKey(reader.raw(KEY_BYTES))
  return { groupWriter: key(), db: key(), blobs: key() }
}

/** What the code commits to. */
export function rendezvousKey(offer: Buffer): Buffer {
  return createHash('sha256').update('pcfs-pairing\0').update(offer).digest()
}

/** What the two look for each other by on a local network: who has the code has it. */
export function lanTopicOf({ invite }: Pick<Code, 'invite'>): Buffer {
  return createHash('sha256').update('pcfs-pairing-lan\0').update(invite).digest()
}

/** The six digits that a person compares. */
export function digitsOf(offer: Buffer, request: Buffer): string {
  const hash = createHash('sha256').update('pcfs-pairing-digits\0')
  const bytes = hash.update(rendezvousKey(offer)).update(request).digest()
  return String(bytes.readUIntBE(0, 6) % MAX_DIGITS).padStart(6, '0')
}

/** What became of a joiner; `over`: nobody decided in time, or the invite was taken back. */
export type Verdict =
  { readonly kind: 'admitted'; readonly name: string } | { readonly kind: 'refused' | 'over' }

const VERDICTS: readonly Verdict['kind'][] = ['admitted', 'refused', 'over']

/** The bytes of a verdict. */
export function encodeVerdict(verdict: Verdict): Buffer {
  const writer = new Writer()
  writer.uint(VERSION)
  writer.uint(VERDICTS.indexOf(verdict.kind))
  writer.bytes(Buffer.from(verdict.kind === 'admitted' ? verdict.name : ''))
  return writer.finish()
}

/** @throws {FsError} EIO when malformed */
export function decodeVerdict(bytes: Buffer): Verdict {
  const reader = new Reader('pairing verdict', bytes)
  if (reader.uint() !== VERSION) throw reader.error('the inviting device needs another pcfs')
  const kind = VERDICTS[reader.uint()]
  if (kind === undefined) throw reader.error('an unknown verdict')
  const name = reader.bytes().toString()
  return kind === 'admitted' ? { kind, name } : { kind }
}

/** Where the verdict is told: known to the two who know offer and request. */
export function verdictMeeting(
  offer: Buffer,
  request: Buffer
): { readonly key: Buffer; readonly seed: Buffer } {
  const hash = (what: string): Buffer => {
    const place = createHash('sha256').update(`pcfs-pairing-${what}\0`)
    return place.update(rendezvousKey(offer)).update(request).digest()
  }
  return { key: hash('verdict'), seed: hash('verdict-seed') }
}

const PREFIX = 'pcfs1'
const ALPHABET = 'abcdefghijklmnopqrstuvwxyz234567'
const CHECK_BYTES = 3

/** What is in a code. */
export interface Code {
  readonly invite: Buffer
  /** The only role that is admitted by it; null: the joiner's choice. */
  readonly role: Role | null
}

/** A code as one word that survives being read out, typed and scanned. */
export function encodeCode({ invite, role }: Code): string {
  const said = Buffer.concat([Buffer.of(role === null ? 0 : 1 + ROLES.indexOf(role)), invite])
  const bytes = Buffer.concat([said, checkOf(said)])
  let bits = 0n
  for (const byte of bytes) bits = (bits << 8n) | BigInt(byte)
  const length = Math.ceil((bytes.length * 8) / 5)
  bits <<= BigInt(length * 5 - bytes.length * 8)
  let text = ''
  for (let at = 0; at < length; at++) {
    text = (ALPHABET[Number(bits & 31n)] ?? '') + text
    bits >>= 5n
  }
  return PREFIX + text
}

/**
 * Reads a code; blanks, dashes and capitals do not matter.
 * @throws {FsError} EINVAL when it is mistyped
 */
export function decodeCode(code: string): Code {
  const text = code.toLowerCase().replaceAll(/[\s-]/g, '')
  const digits = text
    .slice(PREFIX.length)
    .split('')
    .map((letter) => ALPHABET.indexOf(letter))
  const wrong = new FsError('EINVAL', 'this is no invitation code: copy it again, as a whole')
  if (!text.startsWith(PREFIX) || digits.includes(-1)) throw wrong
  const byteLength = Math.floor((digits.length * 5) / 8)
  if (byteLength <= CHECK_BYTES || byteLength > 1024) throw wrong
  let bits = 0n
  for (const digit of digits) bits = (bits << 5n) | BigInt(digit)
  bits >>= BigInt(digits.length * 5 - byteLength * 8)
  const bytes = Buffer.from(bits.toString(16).padStart(byteLength * 2, '0'), 'hex')
  const said = bytes.subarray(0, -CHECK_BYTES)
  if (!checkOf(said).equals(bytes.subarray(-CHECK_BYTES))) throw wrong
  const roleByte = said[0] ?? 0
  const role = ROLES[roleByte - 1] ?? null
  if (roleByte > ROLES.length) throw new FsError('EINVAL', 'this code needs a newer pcfs')
  return { invite: said.subarray(1), role }
}

function checkOf(said: Buffer): Buffer {
  return createHash('sha256').update('pcfs-code\0').update(said).digest().subarray(0, CHECK_BYTES)
}
