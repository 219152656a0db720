/**
 * What a device says on its local network, byte by byte:
 *
 *     nonce (12) | ChaCha20-Poly1305 of: version (1) | noise key (32) | IPv4 (4) | port (2) |
 *                                        boot id (8) | count (4)        | tag (16)
 *
 * All numbers are big endian. The key is derived from the drive's topic, which is announced nowhere
 * (the DHT sees a hash of it), so that only devices of the drive can make or read a beacon. To all
 * others every beacon is 79 random bytes: they can not tell two drives or two devices apart by it.
 *
 * A recorded beacon can be sent again. It names the address to be called, so whoever replays it
 * makes a device call where its peer once was, and the handshake there fails; how often calls are
 * made is bounded by the caller.
 */
import { hashParts } from '../keys/secrets.js'
import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto'

const CIPHER = 'chacha20-poly1305'
const VERSION = 1
const NONCE_BYTES = 12
const TAG_BYTES = 16
const BODY_BYTES = 1 + 32 + 4 + 2 + 8 + 4
const TAG_OPTIONS = { authTagLength: TAG_BYTES }

/** Length of every beacon. */
export const BEACON_BYTES = NONCE_BYTES + BODY_BYTES + TAG_BYTES

/** What a beacon says. */
export interface Beacon {
  /** The sender's Noise public key, 32 bytes. */
  readonly noiseKey: Buffer
  /** IPv4 address on the network on which the beacon is sent. */
  readonly host: string
  /** UDP port at which the sender answers handshakes. */
  readonly port: number
  /** 8 bytes, fresh at each start of the sender. */
  readonly bootId: Buffer
  /** Counts the beacons of a boot, so that one that comes twice is known. */
  readonly count: number
}

/** The key that beacons of a drive are sealed under. */
export function beaconKey(topic: Buffer): Buffer {
  return hashParts('pcfs beacon', [topic])
}

/** Makes the bytes to be sent. */
export function sealBeacon(key: Buffer, beacon: Beacon): Buffer {
  const body = Buffer.alloc(BODY_BYTES)
  body[0] = VERSION
  beacon.noiseKey.copy(body, 1)
  Buffer.from(beacon.host.split('.').map(Number)).copy(body, 33)
  body.writeUInt16BE(beacon.port, 37)
  beacon.bootId.copy(body, 39)
  body.writeUInt32BE(beacon.count, 47)
  const nonce = randomBytes(NONCE_BYTES)
  const cipher = createCipheriv(CIPHER, key, nonce, TAG_OPTIONS)
  return Buffer.concat([nonce, cipher.update(body), cipher.final(), cipher.getAuthTag()])
}

/** What received bytes say; null when they are not a beacon under this key. */
export function openBeacon(key: Buffer, bytes: Buffer): Beacon | null {
  if (bytes.length !== BEACON_BYTES) return null
  const nonce = bytes.subarray(0, NONCE_BYTES)
  const decipher = createDecipheriv(CIPHER, key, nonce, TAG_OPTIONS)
  decipher.setAuthTag(bytes.subarray(-TAG_BYTES))
  const body = decipher.update(bytes.subarray(NONCE_BYTES, -TAG_BYTES))
  try {
    decipher.final()
  } catch {
    return null
  }
  const port = body.readUInt16BE(37)
  if (body[0] !== VERSION || port === 0) return null
  return {
    noiseKey: Buffer.from(body.subarray(1, 33)),
    host: [...body.subarray(33, 37)].join('.'),
    port,
    bootId: Buffer.from(body.subarray(39, 47)),
    count: body.readUInt32BE(47)
  }
}
