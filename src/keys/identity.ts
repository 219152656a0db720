/**
 * Identity: 24 words make the identity key, which attests this device's signing key and (later)
 * signs genesis and recovery records. The words leave this module once, at `init`; the seed and the
 * identity's secret key are wiped before it returns.
 */
import { FsError } from '../base/errors.js'
import { newEpoch } from './epoch.js'
import type { Keyring } from './keyring.js'
import { newBoxPair, newSigningPair, wipe } from './secrets.js'
import IdentityKey from 'keet-identity-key'

/** Words of a phrase. */
const WORDS = 24

/** What a new identity is made from. */
export interface IdentityOptions {
  /** This device's name, as other devices show it. */
  readonly deviceName: string
  /** An existing phrase; default: a fresh one is made. */
  readonly phrase?: string
  /** The key of the core that a public key alone signs (`store/`'s `coreKey`). */
  readonly coreKeyOf: (publicKey: Buffer) => Buffer
}

/** A new device's secrets and the words that recover them. */
export interface NewIdentity {
  readonly keyring: Keyring
  /** 24 words separated by spaces. To be shown once and forgotten. */
  readonly phrase: string
}

/**
 * Makes the first device of a drive: keys, attestation, epoch 1. Nothing is written.
 * @throws {FsError} EINVAL when the phrase is not 24 valid words
 */
export async function createIdentity(options: IdentityOptions): Promise<NewIdentity> {
  const phrase = normalizePhrase(options.phrase ?? IdentityKey.generateMnemonic())
  const signing = newSigningPair()
  const groupWriter = newSigningPair()
  const { identity, attestation } = await attest(phrase, signing.publicKey)
  const drive = options.coreKeyOf(groupWriter.publicKey)
  const epoch = newEpoch(drive)
  const keyring: Keyring = {
    drive,
    deviceName: options.deviceName,
    identity,
    attestation,
    signing,
    noise: newSigningPair(),
    box: newBoxPair(),
    groupWriter,
    db: newSigningPair(),
    blobs: newSigningPair(),
    projection: newSigningPair(),
    epochs: [epoch],
    currentEpoch: epoch
  }
  return { keyring, phrase }
}

/**
 * The words in the form in which they are hashed.
 * @throws {FsError} EINVAL when they are not 24
 */
export function normalizePhrase(phrase: string): string {
  const words = phrase.trim().toLowerCase().split(/\s+/)
  if (words.length !== WORDS) {
    throw new FsError('EINVAL', `a recovery phrase has ${WORDS} words, this one ${words.length}`)
  }
  return words.join(' ')
}

/**
 * The identity public key that a phrase stands for, to check a phrase against a keyring.
 * @throws {FsError} EINVAL when the phrase is not valid
 */
export async function identityOf(phrase: string): Promise<Buffer> {
  return withIdentity(normalizePhrase(phrase), (key) => Promise.resolve(copyOf(key)))
}

/** Whether a keyring's attestation is what its identity signed for its signing key. */
export function isAttested(keyring: Keyring): boolean {
  const verified = IdentityKey.verify(keyring.attestation, null, {
    expectedIdentity: keyring.identity,
    expectedDevice: keyring.signing.publicKey
  })
  return verified !== null
}

async function attest(
  phrase: string,
  devicePublicKey: Buffer
): Promise<{ identity: Buffer; attestation: Buffer }> {
  return withIdentity(phrase, async (key) => ({
    identity: copyOf(key),
    attestation: await key.bootstrap(devicePublicKey)
  }))
}

/** Runs with the identity's secrets in memory, and wipes them behind it. */
async function withIdentity<T>(phrase: string, use: (key: IdentityKey) => Promise<T>): Promise<T> {
  const seed = await IdentityKey.deriveSeed(phrase).catch((cause: unknown) => {
    throw new FsError('EINVAL', 'the recovery phrase has a wrong or misspelled word', { cause })
  })
  try {
    const key = await IdentityKey.from({ seed })
    try {
      return await use(key)
    } finally {
      key.clear()
    }
  } finally {
    wipe(seed)
  }
}

function copyOf(key: IdentityKey): Buffer {
  return Buffer.from(key.identityPublicKey)
}
