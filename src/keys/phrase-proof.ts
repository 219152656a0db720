/** Checks what the phrase signed. */
import IdentityKey from 'keet-identity-key'

/**
 * Whether an identity signed these bytes itself. A proof with devices in between is none: a device
 * that the identity once attested must not speak for it.
 * @param identity its public key, 32 bytes
 */
export function isSignedByPhrase(identity: Buffer, signed: Buffer, proof: Buffer): boolean {
  try {
    const expected = { expectedIdentity: identity, expectedDevice: identity }
    return IdentityKey.verify(proof, signed, expected) !== null
  } catch {
    return false // it can not even be decoded
  }
}
