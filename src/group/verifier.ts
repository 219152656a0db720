/** Checks each signature once: a membership is computed anew at every change. */
import type { PublicKey } from '../format/group-keys.js'
import type { RecordVerifier } from '../format/group-record.js'
import { recordVerifier } from '../keys/record-signing.js'

/**
 * Remembers by the signature's own buffer, which belongs to one record for as long as that is kept,
 * so that nothing here grows by itself.
 */
export class RememberingVerifier implements RecordVerifier {
  readonly #known = new WeakMap<Buffer, boolean>()

  signature(publicKey: PublicKey, signed: Buffer, signature: Buffer): boolean {
    return this.#remember(signature, () => recordVerifier.signature(publicKey, signed, signature))
  }

  identity(identity: PublicKey, signed: Buffer, proof: Buffer): boolean {
    return this.#remember(proof, () => recordVerifier.identity(identity, signed, proof))
  }

  #remember(signature: Buffer, verify: () => boolean): boolean {
    const known = this.#known.get(signature)
    if (known !== undefined) return known
    const isValid = verify()
    this.#known.set(signature, isValid)
    return isValid
  }
}
