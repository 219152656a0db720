/** The part of keet-identity-key that `keys/` uses. */
declare module 'keet-identity-key' {
  export default class IdentityKey {
    /** 24 words, separated by single spaces. */
    static generateMnemonic(): string
    /** PBKDF2 over the words; rejects words that are not in the list or fail the checksum. */
    static deriveSeed(mnemonic: string): Promise<Buffer>
    static from(source: { seed?: Buffer; mnemonic?: string }): Promise<IdentityKey>
    static verify(
      proof: Buffer,
      attestedData: Buffer | null,
      options?: { expectedIdentity?: Buffer; expectedDevice?: Buffer }
    ): { identityPublicKey: Buffer; devicePublicKey: Buffer } | null
    /** A proof that the key pair, an identity's own, signed data. */
    static attestData(data: Buffer, keyPair: { publicKey: Buffer; secretKey: Buffer }): Buffer
    readonly identityPublicKey: Buffer
    readonly identityKeyPair: { readonly publicKey: Buffer; readonly secretKey: Buffer }
    /** Overwrites the secrets. */
    clear(): void
  }
}
