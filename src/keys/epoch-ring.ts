/**
 * The epoch keys that this device has, as the group gives them to it. The block cipher reads them
 * at each call, so that a new epoch counts at once.
 *
 * Invariant: a key that content may be written under is in the keyring's file before it is used.
 */
import { Mutex } from '../base/mutex.js'
import type { EpochId, PublicKey } from '../format/group-keys.js'
import { toEpochId, toPublicKey } from '../format/group-keys.js'
import type { Epoch, Epochs } from '../format/membership-epochs.js'
import type { EpochSource } from './block-cipher.js'
import type { EpochKey } from './epoch.js'
import { type Keyring, writeKeyring } from './keyring.js'
import { openSeal } from './sealing.js'

/** What an adoption found. */
export interface Adoption {
  /** Epochs whose keys are new here. */
  readonly gained: readonly EpochId[]
  /** Epochs that were sealed to this device with something else than their key. */
  readonly broken: readonly EpochId[]
}

/** See the file's head. */
export class EpochRing implements EpochSource {
  readonly #path: string | null
  readonly #mutex = new Mutex()
  #keyring: Keyring

  /** @param path the keyring's file; null: it is not kept (tests) */
  constructor(keyring: Keyring, path: string | null) {
    this.#keyring = keyring
    this.#path = path
  }

  /** The keyring as it is now. */
  get keyring(): Keyring {
    return this.#keyring
  }

  get epochs(): readonly EpochKey[] {
    return this.#keyring.epochs
  }

  get currentEpoch(): EpochKey | null {
    return this.#keyring.currentEpoch
  }

  /**
   * Takes the keys that were sealed to this device, and writes under the epoch that the group
   * writes under from then on. Durable when it resolves. Without a current epoch in the group, or
   * without its key, the last one stays: whoever writes asks the group first.
   */
  adopt(epochs: Epochs): Promise<Adoption> {
    return this.#mutex.run(() => this.#adopt(epochs))
  }

  /** Adds an epoch that this device made itself; durable when it resolves. */
  async add(epoch: EpochKey): Promise<void> {
    await this.#mutex.run(() => this.#replace([...this.epochs, epoch], this.currentEpoch))
  }

  async #adopt({ all, current }: Epochs): Promise<Adoption> {
    const known = new Map(this.epochs.map((epoch) => [toEpochId(epoch.id), epoch]))
    const me = toPublicKey(this.#keyring.signing.publicKey)
    const gained: EpochKey[] = []
    const broken: EpochId[] = []
    for (const epoch of all) {
      if (known.has(epoch.id)) continue
      const opened = this.#open(epoch, me)
      if (opened === null) {
        if (epoch.seals.some(({ recipient }) => recipient === me)) broken.push(epoch.id)
        continue
      }
      known.set(epoch.id, opened)
      gained.push(opened)
    }
    const chosen = current === null ? undefined : known.get(current.id)
    const next = chosen ?? this.currentEpoch
    if (gained.length > 0 || next !== this.currentEpoch) {
      await this.#replace([...this.epochs, ...gained], next)
    }
    return { gained: gained.map(({ id }) => toEpochId(id)), broken }
  }

  #open({ seals, commitment }: Epoch, me: PublicKey): EpochKey | null {
    const { box, drive } = this.#keyring
    for (const { recipient, sealed } of seals) {
      if (recipient !== me) continue
      const opened = openSeal(sealed, box, { drive, commitment })
      if (opened !== null) return opened
    }
    return null
  }

  async #replace(epochs: readonly EpochKey[], currentEpoch: EpochKey | null): Promise<void> {
    const keyring = { ...this.#keyring, epochs, currentEpoch }
    if (this.#path !== null) await writeKeyring(this.#path, keyring)
    this.#keyring = keyring
  }
}
