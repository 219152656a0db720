/** Signs group records with real keys, and checks them. */
import { type Grant, type Role, type Sealed, grantSignable } from '../format/group-body.js'
import { keyBytes, toCoreKey, toPublicKey } from '../format/group-keys.js'
import {
  type GroupRecord,
  type RecordVerifier,
  type Statement,
  sealRecord,
  signable
} from '../format/group-record.js'
import type { DeviceKeys } from './identity.js'
import { isSignedByPhrase } from './phrase-proof.js'
import { type KeyPair, isSignedBy, signBytes } from './secrets.js'

/** Ed25519, and the phrase's proofs. */
export const recordVerifier: RecordVerifier = {
  signature: (publicKey, signed, signature) => isSignedBy(keyBytes(publicKey), signed, signature),
  identity: (identity, signed, proof) => isSignedByPhrase(keyBytes(identity), signed, proof)
}

/** What makes a device's public half of its key pairs. */
export interface GrantOptions {
  readonly role: Role
  readonly name: Sealed | null
  /** The key of the core that a public key alone signs (`store/`'s `coreKey`). */
  readonly coreKeyOf: (publicKey: Buffer) => Buffer
}

/** The public half of a device's keys, as others admit it. A blind device has no cores. */
export function grantOf(keys: DeviceKeys, { role, name, coreKeyOf }: GrantOptions): Grant {
  const core = ({ publicKey }: KeyPair): Grant['signing'] => toPublicKey(coreKeyOf(publicKey))
  return {
    role,
    name,
    signing: toPublicKey(keys.signing.publicKey),
    noise: toPublicKey(keys.noise.publicKey),
    box: toPublicKey(keys.box.publicKey),
    cores:
      role === 'blind'
        ? null
        : {
            groupWriter: toCoreKey(core(keys.groupWriter)),
            db: toCoreKey(core(keys.db)),
            blobs: toCoreKey(core(keys.blobs))
          }
  }
}

/** A joining device's word that a grant's keys are its own: the witness of its `device-add`. */
export function signGrant(grant: Grant, signing: KeyPair): Buffer {
  return signBytes(grantSignable(grant), signing)
}

/**
 * Signs a statement.
 * @param statement by the pair's public key
 * @param witness the second signature, or what makes it from the bytes that are signed
 * @throws {FsError} EFBIG when the record is larger than the format allows
 */
export function signRecord(
  statement: Statement,
  signing: KeyPair,
  witness: Buffer | ((signed: Buffer) => Buffer) = Buffer.alloc(0)
): GroupRecord {
  const signed = signable(statement)
  const second = typeof witness === 'function' ? witness(signed) : witness
  return sealRecord(signed, signBytes(signed, signing), second)
}
