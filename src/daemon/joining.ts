/**
 * A home in the making: what a joining device has to keep until it is a member, in a directory of
 * the home that goes when the keyring is there.
 *
 *     joining/keyring    its keys; the drive in it is zeros until the inviting device has answered
 *     joining/state      the code, and what was answered
 *
 * Invariant: the keyring of the home itself is written last, so nothing half-made is a home.
 */
import { closeSync, existsSync, fsyncSync, mkdirSync, openSync, readFileSync } from 'node:fs'
import { renameSync, rmdirSync, rmSync, writeFileSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { Failure } from '../control/failure.js'
import type { Role } from '../format/group-body.js'
import { newDeviceKeys } from '../keys/identity.js'
import { type Keyring, openKeyring, writeKeyring } from '../keys/keyring.js'
import { type HomePaths, makeDirectories } from './home.js'

/** What was begun. */
export interface Begun {
  /** As it was typed the first time, without blanks. */
  readonly code: string
  readonly keyring: Keyring
  /** What the inviting device answered; null: nothing yet. */
  readonly offer: Buffer | null
}

/** See the file's head. */
export class Joining {
  readonly #paths: HomePaths

  /** @param paths of a home that is locked by us */
  constructor(paths: HomePaths) {
    this.#paths = paths
  }

  /** The keyring that is kept up until the home has its own. */
  get keyringPath(): string {
    return join(this.#paths.joining, 'keyring')
  }

  /**
   * What was begun here with this code, or a new beginning: of another code nothing is kept.
   * @throws {FsError} as `openKeyring`
   */
  async begin(
    code: string,
    device: { readonly name: string; readonly role: Role }
  ): Promise<Begun> {
    const before = await this.#read()
    const { name: deviceName, role } = device
    if (before?.code === code && before.keyring.role === role) return before
    this.discard()
    makeDirectories(this.#paths.root)
    mkdirSync(this.#paths.joining, { mode: 0o700 })
    const none = { drive: Buffer.alloc(32), identity: Buffer.alloc(32) }
    const rest = { origin: [], epochs: [], currentEpoch: null }
    const keyring: Keyring = { ...newDeviceKeys(), ...none, ...rest, deviceName, role }
    await writeKeyring(this.keyringPath, keyring)
    this.#write({ code, offer: null })
    return { code, keyring, offer: null }
  }

  /** Keeps what the inviting device answered. */
  async keep(begun: Begun, offer: Buffer, keyring: Keyring): Promise<void> {
    await writeKeyring(this.keyringPath, keyring)
    this.#write({ code: begun.code, offer: offer.toString('hex') })
  }

  /** The home is whole. @param isBearer nobody has confirmed: `status` will say so once */
  async finish(keyring: Keyring, isBearer: boolean): Promise<void> {
    if (isBearer) writeFileSync(this.#paths.byCodeAlone, '', { mode: 0o600 })
    await writeKeyring(this.#paths.keyring, keyring)
    rmSync(this.#paths.joining, { recursive: true, force: true })
  }

  /** What was begun is over, and so is the home that it would have become. */
  undo(): void {
    const { root, store, index, journal, spool, attached, lock } = this.#paths
    this.discard()
    for (const path of [store, index, journal, spool, attached, lock]) {
      rmSync(path, { recursive: true, force: true, maxRetries: 5 })
    }
    try {
      rmdirSync(root)
    } catch {
      // There is something else in it; it stays.
    }
  }

  /** Nothing was begun here: neither keys nor records of a drive are left. */
  discard(): void {
    rmSync(this.#paths.joining, { recursive: true, force: true })
    rmSync(this.#paths.store, { recursive: true, force: true })
  }

  async #read(): Promise<Begun | null> {
    if (!existsSync(this.#statePath)) return null
    const { code, offer } = parseState(readFileSync(this.#statePath, 'utf8'))
    const keyring = await openKeyring(this.keyringPath)
    return { code, keyring, offer: offer === null ? null : Buffer.from(offer, 'hex') }
  }

  get #statePath(): string {
    return join(this.#paths.joining, 'state')
  }

  #write(state: { readonly code: string; readonly offer: string | null }): void {
    const temporary = `${this.#statePath}.new`
    const fd = openSync(temporary, 'w', 0o600)
    try {
      writeSync(fd, `${JSON.stringify(state)}\n`)
      fsyncSync(fd)
    } finally {
      closeSync(fd)
    }
    renameSync(temporary, this.#statePath)
  }
}

function parseState(text: string): { readonly code: string; readonly offer: string | null } {
  try {
    const value: unknown = JSON.parse(text)
    if (typeof value === 'object' && value !== null && 'code' in value && 'offer' in value) {
      const { code, offer } = value
      const isOffer = offer === null || typeof offer === 'string'
      if (typeof code === 'string' && isOffer) return { code, offer }
    }
  } catch {
    // answered below
  }
  throw new Failure('damaged', 'what was begun here is damaged: delete the directory joining/')
}
