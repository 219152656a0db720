/** The part of sodium-native that `keys/` uses. All write into the first argument. */
declare module 'sodium-native' {
  interface Sodium {
    readonly crypto_sign_PUBLICKEYBYTES: number
    readonly crypto_sign_SECRETKEYBYTES: number
    readonly crypto_box_PUBLICKEYBYTES: number
    readonly crypto_box_SECRETKEYBYTES: number
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
