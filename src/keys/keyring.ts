/** The device's secrets, in one 0600 file of the home. */

/** An Ed25519 or X25519 key pair as libsodium has it. */
export interface KeyPair {
  readonly publicKey: Buffer
  readonly secretKey: Buffer
}

/** An epoch key and its id: the first 8 bytes of H("epoch", drive, key). */
export interface EpochKey {
  readonly id: Buffer
  readonly key: Buffer
}

/** The secrets of this device. Never logged, never in a message. */
export interface Keyring {
  /** Drive id: the genesis' hash, 32 bytes; the same on all devices of a person. */
  readonly drive: Buffer
  /** This device's name as given at `init`. */
  readonly deviceName: string
  /** The phrase's identity public key, 32 bytes. */
  readonly identity: Buffer
  /** Attestation of the signing key by the identity (keet-identity-key proof). */
  readonly attestation: Buffer
  /** Signs group records; its public key is the device's id. */
  readonly signing: KeyPair
  /** Noise key pair of the swarm. */
  readonly noise: KeyPair
  /** X25519 pair to which secrets are sealed. */
  readonly box: KeyPair
  /** The group writer core's key pair. */
  readonly groupWriter: KeyPair
  /** The db core's key pair. */
  readonly db: KeyPair
  /** The blobs core's key pair. */
  readonly blobs: KeyPair
  /** Known epochs, oldest first. */
  readonly epochs: readonly EpochKey[]
  /** The epoch that this device writes under. */
  readonly currentEpoch: EpochKey
}
