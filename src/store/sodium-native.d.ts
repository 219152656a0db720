/** The part of sodium-native that `keys/` uses. All write into the first argument. */
declare module 'sodium-native' {
  interface Sodium {
    readonly crypto_sign_PUBLICKEYBYTES: number
    readonly crypto_sign_SECRETKEYBYTES: number
    readonly crypto_box_PUBLICKEYBYTES: number
    readonly crypto_box_SECRETKEYBYTES: number
    readonly crypto_box_SEEDBYTES: number
    readonly crypto_box_SEALBYTES: number
    readonly crypto_sign_BYTES: number
    readonly crypto_aead_xchacha20poly1305_ietf_NPUBBYTES: number
    readonly crypto_aead_xchacha20poly1305_ietf_ABYTES: number
    crypto_box_seed_keypair(publicKey: Buffer, secretKey: Buffer, seed: Buffer): void
    crypto_box_seal(cipher: Buffer, message: Buffer, publicKey: Buffer): void
    /** false: not sealed to this pair, or damaged. */
    crypto_box_seal_open(
      message: Buffer,
      cipher: Buffer,
      publicKey: Buffer,
      secretKey: Buffer
    ): boolean
    crypto_scalarmult_base(publicKey: Buffer, secretKey: Buffer): void
    crypto_sign_detached(signature: Buffer, message: Buffer, secretKey: Buffer): void
    crypto_sign_verify_detached(signature: Buffer, message: Buffer, publicKey: Buffer): boolean
    crypto_aead_xchacha20poly1305_ietf_encrypt(
      cipher: Buffer,
      message: Buffer,
      additional: Buffer | null,
      secretNonce: null,
      nonce: Buffer,
      key: Buffer
    ): number
    /** Throws when it does not verify. */
    crypto_aead_xchacha20poly1305_ietf_decrypt(
      message: Buffer,
      secretNonce: null,
      cipher: Buffer,
      additional: Buffer | null,
      nonce: Buffer,
      key: Buffer
    ): number
    crypto_sign_keypair(publicKey: Buffer, secretKey: Buffer): void
    crypto_box_keypair(publicKey: Buffer, secretKey: Buffer): void
    crypto_sign_ed25519_sk_to_pk(publicKey: Buffer, secretKey: Buffer): void
    crypto_generichash(output: Buffer, input: Uint8Array, key?: Buffer): void
    crypto_generichash_batch(output: Buffer, inputs: readonly Uint8Array[], key?: Buffer): void
    crypto_stream_xchacha20_xor(
      output: Uint8Array,
      input: Uint8Array,
      nonce: Buffer,
      key: Buffer
    ): void
    sodium_memzero(buffer: Buffer): void
  }
  const sodium: Sodium
  export default sodium
}
