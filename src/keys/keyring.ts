/**
 * The device's secrets, in one file of the home.
 *
 * Invariants: the file is 0600 and belongs to us, or it is refused; it is replaced as a whole
 * (temporary file, fsync, rename, fsync of the directory), so a crash leaves the old or the new
 * one; what is read is checked before it is used (each secret against its public key, each epoch
 * against its id).
 */
import { FsError } from '../base/errors.js'
import { type EpochKey, epochOf } from './epoch.js'
import { type KeyPair, isBoxPair, isSigningPair } from './secrets.js'
import type { Role } from '../format/group-body.js'
import { randomBytes } from 'node:crypto'
import { type FileHandle, open, rename, unlink } from 'node:fs/promises'
import { dirname } from 'node:path'

/** Version of the file's layout; another one is refused. */
const VERSION = 1

/** A keyring larger than this is not one of ours. */
const LIMIT_BYTES = 1024 * 1024

/** The secrets of this device. Never logged, never in a message. */
export interface Keyring {
  /** Drive id, 32 bytes; the same on all devices of a person. */
  readonly drive: Buffer
  /** This device's name as given at `init` or `join`. */
  readonly deviceName: string
  /** What this device may do, as it was admitted; the group's records decide. */
  readonly role: Role
  /** The phrase's identity public key, 32 bytes. */
  readonly identity: Buffer
  /**
   * Group records that this device signed before it had a store: of the first device genesis and
   * its epoch, of a recovered one its `recover`. Its group core begins with them.
   */
  readonly origin: readonly Buffer[]
  /** Ed25519; signs group records; its public key is the device's id. */
  readonly signing: KeyPair
  /** Ed25519; the swarm's Noise key pair. */
  readonly noise: KeyPair
  /** X25519; secrets are sealed to it. */
  readonly box: KeyPair
  /** Ed25519; signs the group writer core. */
  readonly groupWriter: KeyPair
  /** Ed25519; signs the db core. */
  readonly db: KeyPair
  /** Ed25519; signs the blobs core. */
  readonly blobs: KeyPair
  /** Ed25519; signs the plain projection's core, which other devices do not replicate. */
  readonly projection: KeyPair
  /** Known epochs, oldest first; none before the group has sealed one to this device. */
  readonly epochs: readonly EpochKey[]
  /** The epoch that this device writes under, one of `epochs`; null: none. */
  readonly currentEpoch: EpochKey | null
}

/** The names of the key pairs in the file, and which of them sign. */
const PAIRS = ['signing', 'noise', 'box', 'groupWriter', 'db', 'blobs', 'projection'] as const

type PairName = (typeof PAIRS)[number]

const ROLES: readonly Role[] = ['personal', 'cloud', 'blind']

/** Writes a keyring, replacing the file. Durable when it resolves. */
export async function writeKeyring(path: string, keyring: Keyring): Promise<void> {
  const text = encodeKeyring(keyring)
  const temporary = `${path}.${randomBytes(6).toString('hex')}`
  try {
    await writeSynced(temporary, text)
    await rename(temporary, path)
  } catch (cause) {
    await unlink(temporary).catch(() => undefined)
    throw cause
  }
  await syncDirectory(dirname(path))
}

/**
 * Reads the keyring of a home.
 * @throws {FsError} ENOENT when there is none; EACCES when others may read or own it; EIO when it
 *   is damaged; EPROTO when a newer version of pcfs wrote it
 */
export async function openKeyring(path: string): Promise<Keyring> {
  const handle = await openPrivate(path)
  try {
    const { size } = await handle.stat()
    if (size > LIMIT_BYTES) throw damaged(path, 'it is too large')
    return decodeKeyring(path, await handle.readFile('utf8'))
  } finally {
    await handle.close()
  }
}

async function openPrivate(path: string): Promise<FileHandle> {
  const handle = await open(path, 'r').catch((cause: unknown) => {
    throw cause instanceof Error && 'code' in cause && cause.code === 'ENOENT'
      ? new FsError('ENOENT', `no keyring at ${path}: this is not a pcfs home`, { cause })
      : cause
  })
  try {
    const { mode, uid } = await handle.stat()
    const wide = mode & 0o077
    if (wide !== 0) {
      throw new FsError('EACCES', `keyring ${path} may be read by others: run chmod 600 on it`)
    }
    if (process.geteuid !== undefined && uid !== process.geteuid()) {
      throw new FsError('EACCES', `keyring ${path} belongs to another user (uid ${uid})`)
    }
    return handle
  } catch (error) {
    await handle.close()
    throw error
  }
}

async function writeSynced(path: string, text: string): Promise<void> {
  const handle = await open(path, 'wx', 0o600)
  try {
    await handle.chmod(0o600) // the umask may have taken bits that we need
    await handle.writeFile(text)
    await handle.sync()
  } finally {
    await handle.close()
  }
}

async function syncDirectory(path: string): Promise<void> {
  const handle = await open(path, 'r')
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}

function encodeKeyring(keyring: Keyring): string {
  const pairs = Object.fromEntries(
    PAIRS.map((name) => [
      name,
      {
        publicKey: keyring[name].publicKey.toString('hex'),
        secretKey: keyring[name].secretKey.toString('hex')
      }
    ])
  )
  const fields = {
    version: VERSION,
    drive: keyring.drive.toString('hex'),
    deviceName: keyring.deviceName,
    identity: keyring.identity.toString('hex'),
    role: keyring.role,
    origin: keyring.origin.map((record) => record.toString('hex')),
    pairs,
    epochs: keyring.epochs.map(({ key }) => key.toString('hex')),
    currentEpoch: keyring.currentEpoch?.id.toString('hex') ?? null
  }
  return `${JSON.stringify(fields, null, 2)}\n`
}

function decodeKeyring(path: string, text: string): Keyring {
  const file = new Fields(path, parse(path, text))
  const version = file.number('version')
  if (version !== VERSION) {
    throw new FsError('EPROTO', `keyring ${path} has version ${version}: use a newer pcfs`)
  }
  const drive = file.bytes('drive', 32)
  const epochs = file.list('epochs').map((key) => epochOf(drive, file.hex('epochs', key, 32)))
  const currentId = file.isNull('currentEpoch') ? null : file.bytes('currentEpoch', 8)
  const currentEpoch = epochs.find(({ id }) => currentId?.equals(id)) ?? null
  if (currentId !== null && currentEpoch === null) {
    throw damaged(path, 'its current epoch is missing')
  }
  const pairs = file.object('pairs')
  const pair = (name: PairName): KeyPair => {
    const fields = pairs.object(name)
    const secretBytes = name === 'box' ? 32 : 64
    const keys = {
      publicKey: fields.bytes('publicKey', 32),
      secretKey: fields.bytes('secretKey', secretBytes)
    }
    const isPair = name === 'box' ? isBoxPair(keys) : isSigningPair(keys)
    if (!isPair) throw damaged(path, `the pair ${name} disagrees`)
    return keys
  }
  return {
    drive,
    deviceName: file.string('deviceName'),
    identity: file.bytes('identity', 32),
    role: file.oneOf('role', ROLES),
    origin: file.list('origin').map((record) => file.hex('origin', record)),
    signing: pair('signing'),
    noise: pair('noise'),
    box: pair('box'),
    groupWriter: pair('groupWriter'),
    db: pair('db'),
    blobs: pair('blobs'),
    projection: pair('projection'),
    epochs,
    currentEpoch
  }
}

function parse(path: string, text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    // The parser's message quotes the text, which is secret: it is dropped.
    throw damaged(path, 'it is not JSON')
  }
}

function damaged(path: string, what: string): FsError {
  return new FsError('EIO', `keyring ${path} is damaged (${what}): restore it from a backup`)
}

/** Typed access to the parsed file; a message names the field, never its value. */
class Fields {
  readonly #path: string
  readonly #value: Readonly<Record<string, unknown>>

  constructor(path: string, value: unknown) {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) {
      throw damaged(path, 'a part of it is no object')
    }
    this.#path = path
    this.#value = Object.fromEntries(Object.entries(value))
  }

  object(name: string): Fields {
    return new Fields(this.#path, this.#value[name])
  }

  number(name: string): number {
    const value = this.#value[name]
    if (typeof value !== 'number') throw damaged(this.#path, `${name} is no number`)
    return value
  }

  string(name: string): string {
    const value = this.#value[name]
    if (typeof value !== 'string') throw damaged(this.#path, `${name} is no text`)
    return value
  }

  list(name: string): readonly unknown[] {
    const value = this.#value[name]
    if (!Array.isArray(value)) throw damaged(this.#path, `${name} is no list`)
    return value
  }

  isNull(name: string): boolean {
    return this.#value[name] === null
  }

  oneOf<T extends string>(name: string, values: readonly T[]): T {
    const text = this.string(name)
    const value = values.find((known) => known === text)
    if (value === undefined) throw damaged(this.#path, `${name} has an unknown value`)
    return value
  }

  bytes(name: string, byteLength?: number): Buffer {
    return this.hex(name, this.#value[name], byteLength)
  }

  hex(name: string, value: unknown, byteLength?: number): Buffer {
    if (typeof value !== 'string' || !/^(?:[0-9a-f]{2})*$/.test(value)) {
      throw damaged(this.#path, `${name} is no hex`)
    }
    const bytes = Buffer.from(value, 'hex')
    if (byteLength !== undefined && bytes.length !== byteLength) {
      throw damaged(this.#path, `${name} has the wrong length`)
    }
    return bytes
  }
}
