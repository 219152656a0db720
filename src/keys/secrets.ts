/** Small words over libsodium: hashes with a domain, key pairs, wiping. */
import sodium from 'sodium-native'

/** An Ed25519 or X25519 key pair as libsodium has it. */
export interface KeyPair {
  readonly publicKey: Buffer
  /** 64 bytes for Ed25519, 32 for X25519. */
  readonly secretKey: Buffer
}

/**
 * BLAKE2b over a domain word and parts of fixed length.
 * @param domain keeps hashes of different purposes apart; hashed with a NUL behind it
 * @param parts each of a length that the domain fixes (or the last one free)
 * @param options `bytes`: length of the hash, default 32; `key`: keys the hash
 */
export function hashParts(
  domain: string,
  parts: readonly Uint8Array[],
  options: { readonly bytes?: number; readonly key?: Buffer } = {}
): Buffer {
  const output = Buffer.alloc(options.bytes ?? 32)
  const inputs = [Buffer.from(`${domain}\0`), ...parts]
  if (options.key === undefined) sodium.crypto_generichash_batch(output, inputs)
  else sodium.crypto_generichash_batch(output, inputs, options.key)
  return output
}

/** A fresh Ed25519 pair: signatures, Noise, Hypercore signers. */
export function newSigningPair(): KeyPair {
  const publicKey = Buffer.alloc(sodium.crypto_sign_PUBLICKEYBYTES)
  const secretKey = Buffer.alloc(sodium.crypto_sign_SECRETKEYBYTES)
  sodium.crypto_sign_keypair(publicKey, secretKey)
  return { publicKey, secretKey }
}

/** A fresh X25519 pair, to which secrets are sealed. */
export function newBoxPair(): KeyPair {
  const publicKey = Buffer.alloc(sodium.crypto_box_PUBLICKEYBYTES)
  const secretKey = Buffer.alloc(sodium.crypto_box_SECRETKEYBYTES)
  sodium.crypto_box_keypair(publicKey, secretKey)
  return { publicKey, secretKey }
}

/** Whether the public key belongs to the secret key of an Ed25519 pair. */
export function isSigningPair(pair: KeyPair): boolean {
  if (pair.secretKey.length !== sodium.crypto_sign_SECRETKEYBYTES) return false
  const publicKey = Buffer.alloc(sodium.crypto_sign_PUBLICKEYBYTES)
  sodium.crypto_sign_ed25519_sk_to_pk(publicKey, pair.secretKey)
  return publicKey.equals(pair.publicKey)
}

/** The X25519 pair that a secret of 32 bytes stands for. */
export function boxPairFrom(seed: Buffer): KeyPair {
  const publicKey = Buffer.alloc(sodium.crypto_box_PUBLICKEYBYTES)
  const secretKey = Buffer.alloc(sodium.crypto_box_SECRETKEYBYTES)
  sodium.crypto_box_seed_keypair(publicKey, secretKey, seed)
  return { publicKey, secretKey }
}

/** Whether the public key belongs to the secret key of an X25519 pair. */
export function isBoxPair(pair: KeyPair): boolean {
  if (pair.secretKey.length !== sodium.crypto_box_SECRETKEYBYTES) return false
  const publicKey = Buffer.alloc(sodium.crypto_box_PUBLICKEYBYTES)
  sodium.crypto_scalarmult_base(publicKey, pair.secretKey)
  return publicKey.equals(pair.publicKey)
}

/** Signs bytes with an Ed25519 pair. */
export function signBytes(message: Buffer, pair: KeyPair): Buffer {
  const signature = Buffer.alloc(sodium.crypto_sign_BYTES)
  sodium.crypto_sign_detached(signature, message, pair.secretKey)
  return signature
}

/** Whether an Ed25519 key signed these bytes. */
export function isSignedBy(publicKey: Buffer, message: Buffer, signature: Buffer): boolean {
  if (signature.length !== sodium.crypto_sign_BYTES) return false
  return sodium.crypto_sign_verify_detached(signature, message, publicKey)
}

/** Overwrites a secret in memory. */
export function wipe(secret: Buffer): void {
  sodium.sodium_memzero(secret)
}
