/**
 * Identity: 24 words make the identity key, which founds a drive and admits devices when all others
 * are lost. The words leave this module once, at `init`; the seed and the identity's secret keys
 * are in memory only while `usePhrase` runs, and wiped before it returns.
 */
import { FsError } from '../base/errors.js'
import type { Role } from '../format/group-body.js'
import { nextStatement } from '../format/group-author.js'
import { toCoreKey, toPublicKey } from '../format/group-keys.js'
import type { GroupRecord } from '../format/group-record.js'
import { recordSetOf } from '../format/membership-set.js'
import { type EpochKey, newEpoch } from './epoch.js'
import type { Keyring } from './keyring.js'
import { grantOf, recordVerifier, signRecord } from './record-signing.js'
import { epochBody, sealText } from './sealing.js'
import {
  type KeyPair,
  boxPairFrom,
  hashParts,
  newBoxPair,
  newSigningPair,
  wipe
} from './secrets.js'
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

/** The key pairs of one generation of a device. */
export type DeviceKeys = Pick<
  Keyring,
  'signing' | 'noise' | 'box' | 'groupWriter' | 'db' | 'blobs' | 'projection'
>

/** Fresh key pairs. */
export function newDeviceKeys(): DeviceKeys {
  return {
    signing: newSigningPair(),
    noise: newSigningPair(),
    box: newBoxPair(),
    groupWriter: newSigningPair(),
    db: newSigningPair(),
    blobs: newSigningPair(),
    projection: newSigningPair()
  }
}

/**
 * Makes the first device of a drive: keys, genesis (signed by the phrase) and the first epoch,
 * which are in the keyring's `origin`. Nothing is written.
 * @throws {FsError} EINVAL when the phrase is not 24 valid words
 */
export async function createIdentity(options: IdentityOptions): Promise<NewIdentity> {
  const { coreKeyOf, deviceName } = options
  const phrase = normalizePhrase(options.phrase ?? IdentityKey.generateMnemonic())
  const keys = newDeviceKeys()
  const drive = coreKeyOf(keys.groupWriter.publicKey)
  const epoch = newEpoch(drive)
  return usePhrase(phrase, async (identity) => {
    const founding = found({ keys, drive, epoch, identity, deviceName, coreKeyOf })
    const keyring = {
      ...keys,
      drive,
      deviceName,
      role: 'personal' as Role,
      identity: identity.publicKey,
      origin: founding.map(({ bytes }) => bytes),
      epochs: [epoch],
      currentEpoch: epoch
    }
    return { keyring, phrase }
  })
}

interface Founding extends IdentityOptions {
  readonly keys: DeviceKeys
  readonly drive: Buffer
  readonly epoch: EpochKey
  readonly identity: Phrase
}

/** Genesis, and the record of the first epoch behind it. */
function found(founding: Founding): readonly GroupRecord[] {
  const { keys, drive, epoch, identity, deviceName, coreKeyOf } = founding
  const where = { drive: toCoreKey(drive), identity: toPublicKey(identity.publicKey) }
  const author = toPublicKey(keys.signing.publicKey)
  const name = sealText(epoch, deviceName)
  const device = grantOf(keys, { role: 'personal', name, coreKeyOf })
  const recoveryBox = toPublicKey(identity.recoveryBox.publicKey)
  const empty = recordSetOf([], where, recordVerifier)
  const genesis = signRecord(
    nextStatement(empty, author, {
      type: 'genesis',
      identity: where.identity,
      recoveryBox,
      device
    }),
    keys.signing,
    identity.sign
  )
  const set = recordSetOf([genesis], where, recordVerifier)
  const body = epochBody({ drive, epoch, recipients: [device], recoveryBox })
  return [genesis, signRecord(nextStatement(set, author, body), keys.signing)]
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
  return usePhrase(phrase, ({ publicKey }) => Promise.resolve(publicKey))
}

/** What a phrase can do while it is in memory. */
export interface Phrase {
  /** The identity's public key, 32 bytes. */
  readonly publicKey: Buffer
  /** Epoch keys are sealed to it: it opens them all. Wiped when `usePhrase` returns. */
  readonly recoveryBox: KeyPair
  /** Signs for the identity: the witness of genesis and recover. */
  readonly sign: (signed: Buffer) => Buffer
}

/**
 * Runs with the phrase's secrets in memory, and wipes them behind it.
 * @param use must not keep what it gets, but for public keys
 * @throws {FsError} EINVAL when the phrase is not 24 valid words
 */
export async function usePhrase<T>(words: string, use: (phrase: Phrase) => Promise<T>): Promise<T> {
  const seed = await IdentityKey.deriveSeed(normalizePhrase(words)).catch((cause: unknown) => {
    throw new FsError('EINVAL', 'the recovery phrase has a wrong or misspelled word', { cause })
  })
  const boxSeed = hashParts('pcfs recovery box', [seed])
  const recoveryBox = boxPairFrom(boxSeed)
  try {
    const key = await IdentityKey.from({ seed })
    try {
      return await use({
        publicKey: Buffer.from(key.identityPublicKey),
        recoveryBox,
        sign: (signed) => IdentityKey.attestData(signed, key.identityKeyPair)
      })
    } finally {
      key.clear()
    }
  } finally {
    wipe(seed)
    wipe(boxSeed)
    wipe(recoveryBox.secretKey)
  }
}
