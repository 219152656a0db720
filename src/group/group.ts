/**
 * Who belongs, live: the records of all members' group cores, and the membership that they make.
 *
 * Each member appends to its own core and reads those of all others; the drive id is the key of the
 * first device's. Which core carries a record, and in what order they come, decides nothing.
 *
 * Invariants: nothing is appended to our core before all of it was read, nor after somebody cited a
 * record of ours that is not here (the home was rolled back; going on would fork our chain); a
 * record is durable before it counts here.
 */
import { assert } from '../base/assert.js'
import type { Clock } from '../base/clock.js'
import { type CloseStack, openInSteps } from '../base/close-stack.js'
import { FsError } from '../base/errors.js'
import type { Logger } from '../base/log.js'
import { Mutex } from '../base/mutex.js'
import { headOf, nextStatement } from '../format/group-author.js'
import type { RecordBody } from '../format/group-body.js'
import type { CoreKey, PublicKey, RecordHash } from '../format/group-keys.js'
import { keyBytes, toCoreKey, toPublicKey } from '../format/group-keys.js'
import type { GroupRecord } from '../format/group-record.js'
import { type Device, type Membership, membershipOfSet } from '../format/membership.js'
import { type DriveIdentity, type RecordSet, recordSetOf } from '../format/membership-set.js'
import type { Keyring } from '../keys/keyring.js'
import { signRecord } from '../keys/record-signing.js'
import type { Log, LogHead } from '../store/log.js'
import type { Store } from '../store/store.js'
import { RecordLog } from './record-log.js'
import { RememberingVerifier } from './verifier.js'

/** Most group cores that are followed: the design point is a hundred generations. */
const MAX_CORES = 512
/** Copies of one record with different signatures that are kept while none is valid. */
const MAX_COPIES = 4

/** What a group is opened with. */
export interface GroupOptions {
  readonly store: Store
  readonly keyring: Pick<
    Keyring,
    'drive' | 'identity' | 'signing' | 'groupWriter' | 'origin' | 'role'
  >
  readonly clock: Clock
  readonly log: Logger
}

/** What else is wrong with the group's cores; the membership has alarms of its own. */
export interface CoreAlarms {
  /** Group cores with two heads that disagree. */
  readonly conflicts: readonly CoreKey[]
  /** Blocks that a newer pcfs of a member wrote: this one must not write. */
  readonly newer: number
  /** Blocks that are no records. */
  readonly unreadable: number
}

/** See the file's head. */
export class Group {
  readonly #options: GroupOptions
  readonly #where: DriveIdentity
  readonly #verifier = new RememberingVerifier()
  readonly #records = new Map<RecordHash, readonly GroupRecord[]>()
  readonly #logs = new Map<CoreKey, RecordLog>()
  readonly #conflicts = new Set<CoreKey>()
  readonly #listeners = new Set<(membership: Membership) => void>()
  readonly #writing = new Mutex()
  readonly #following = new Mutex()
  readonly #stack: CloseStack
  #own: RecordLog | null = null
  #set: RecordSet
  #membership: Membership
  #isDirty = false
  #isClosed = false

  private constructor(options: GroupOptions, stack: CloseStack) {
    const { drive, identity } = options.keyring
    this.#options = options
    this.#stack = stack
    this.#where = { drive: toCoreKey(drive), identity: toPublicKey(identity) }
    this.#set = recordSetOf([], this.#where, this.#verifier)
    this.#membership = membershipOfSet(this.#set)
  }

  /**
   * Opens the group: reads what is here, then follows all members' cores. With nothing but the
   * drive id (a device that has just joined) it has no members until the first core comes.
   * @throws {FsError} EIO when a record of our own is damaged or missing
   */
  static open(options: GroupOptions): Promise<Group> {
    return openInSteps(async (stack) => {
      const group = new Group(options, stack)
      stack.push(() => group.#end())
      await group.#openOwn()
      await group.#follow(group.#where.drive)
      await group.#settle()
      return group
    })
  }

  /** Everything that this device has heard, authentic and complete. */
  get set(): RecordSet {
    return this.#set
  }

  /** Who belongs, by everything that this device has heard. */
  get membership(): Membership {
    return this.#membership
  }

  /** This device's signing key: the generation that it is. */
  get me(): PublicKey {
    return toPublicKey(this.#options.keyring.signing.publicKey)
  }

  /** This device as the group sees it; null: it does not know it (yet). */
  get device(): Device | null {
    const id = this.#membership.generations.get(this.me)?.device
    return this.#membership.devices.find((device) => device.id === id) ?? null
  }

  /** Whether this device is a member with its present keys. */
  get isActive(): boolean {
    return this.#membership.generations.get(this.me)?.state === 'active'
  }

  /** What is wrong with the cores. */
  get coreAlarms(): CoreAlarms {
    const logs = [...this.#logs]
    const putOut = new Set<CoreKey>()
    for (const { grant, state } of this.#membership.generations.values()) {
      const isOut = state === 'revoked' || state === 'void'
      if (isOut && grant.cores !== null) putOut.add(grant.cores.groupWriter)
    }
    return {
      conflicts: [...this.#conflicts].sort(),
      newer: logs.reduce((sum, [key, { newer }]) => (putOut.has(key) ? sum : sum + newer), 0),
      unreadable: logs.reduce((sum, [, { unreadable }]) => sum + unreadable, 0)
    }
  }

  /**
   * Calls back after each change of the membership, with the new one.
   * @returns ends it
   */
  onChange(listener: (membership: Membership) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /**
   * Signs a record and appends it to this device's group core. It is durable when this resolves;
   * whether it counts is the membership's to say.
   * @param witness the second signature, for the types that need one
   * @throws {FsError} EROFS on a device that has no group core; ESTALE when this home is older than
   *   what it has told others; EPROTO when a newer pcfs takes part (a revocation goes all the
   *   same); EFBIG; ENOSPC; EIO
   */
  append(body: RecordBody, witness?: Buffer | ((signed: Buffer) => Buffer)): Promise<GroupRecord> {
    return this.#writing.run(async () => {
      this.#checkWritable()
      // Or a member could keep itself from being put out by writing what nobody understands.
      if (body.type !== 'revoke' && body.type !== 'recover') this.#checkVersion()
      const statement = nextStatement(this.#set, this.me, body)
      const record = signRecord(statement, this.#options.keyring.signing, witness)
      await this.#carry([record])
      return record
    })
  }

  /**
   * Takes records that came in another way than by a member's core: from a bucket, or from a device
   * that no member knows yet (a recovered one, a hand-over of a home that was rolled back). Those
   * that count and are not here yet are appended to this device's core, for all to find.
   * @returns how many were taken
   * @throws {FsError} as `append`
   */
  offer(records: readonly GroupRecord[]): Promise<number> {
    return this.#writing.run(async () => {
      const all = recordSetOf([...this.#all(), ...records], this.#where, this.#verifier)
      const { counted } = membershipOfSet(all)
      // The copies of the set: of several of one record it has the valid one.
      const offered = new Set(records.map(({ hash }) => hash))
      const news = all.records.filter(
        ({ hash }) => offered.has(hash) && counted.has(hash) && !this.#set.byHash.has(hash)
      )
      if (news.length === 0) return 0
      this.#checkWritable()
      this.#checkVersion()
      await this.#carry(news)
      return news.length
    })
  }

  /**
   * How much of a member's group core is here, for a pin.
   * @returns null when it is not followed
   */
  async headOfCore(key: CoreKey): Promise<LogHead | null> {
    const reader = this.#logs.get(key)
    return reader === undefined ? null : reader.log.head()
  }

  /** Ends following and closes the cores. Idempotent. */
  async close(): Promise<void> {
    await this.#stack.close()
  }

  async #openOwn(): Promise<void> {
    const { store, keyring } = this.#options
    if (keyring.role === 'blind') return
    const log = await store.openLog({ keyPair: keyring.groupWriter })
    this.#own = this.#add(log)
    if (log.length === 0 && keyring.origin.length > 0) {
      // Signed at `init`, when the phrase was there; after a crash in between this is repeated.
      await log.append(keyring.origin)
      await store.barrier()
    }
    await this.#own.read(true)
    if (this.#own.nextBlock < log.length) {
      throw new FsError('EIO', 'records of this device are missing in its store: run pcfs doctor')
    }
  }

  #add(log: Log): RecordLog {
    const core = toCoreKey(log.key)
    const reader = new RecordLog(log, this.#options.clock, {
      onRecords: (records) => {
        this.#hear(records)
      },
      onConflict: () => {
        this.#conflicts.add(core)
        this.#options.log.warn({ core }, 'a group core has two heads')
      }
    })
    this.#logs.set(core, reader)
    return reader
  }

  async #follow(key: CoreKey): Promise<void> {
    if (this.#logs.has(key) || this.#isClosed) return
    if (this.#logs.size >= MAX_CORES) {
      this.#options.log.warn({ core: key }, 'too many group cores: one is not followed')
      return
    }
    const log = await this.#options.store.openLog({ key: keyBytes(key) })
    const reader = this.#add(log)
    const cut = this.#cutOf(key)
    // What is on this disk already counts at once: a restart forgets no revocation.
    await reader.readHere(cut)
    reader.follow(cut)
  }

  /** How many blocks of a group core are read; null: all. */
  #cutOf(key: CoreKey): number | null {
    for (const { grant, cut } of this.#membership.generations.values()) {
      if (grant.cores?.groupWriter !== key || cut === null) continue
      return cut.find((pin) => pin.key === key)?.length ?? 0
    }
    return null
  }

  #all(): readonly GroupRecord[] {
    return [...this.#records.values()].flat()
  }

  #hear(records: readonly GroupRecord[]): void {
    for (const record of records) {
      if (this.#set.byHash.has(record.hash)) continue
      // Of one record there may be copies with signatures that are not valid: several are kept, or
      // a carrier could hide a record behind a spoilt copy of it.
      const copies = this.#records.get(record.hash) ?? []
      const isKnown = copies.some(({ bytes }) => bytes.equals(record.bytes))
      if (isKnown || copies.length >= MAX_COPIES) continue
      this.#records.set(record.hash, [...copies, record])
      this.#isDirty = true
    }
    if (!this.#isDirty) return
    this.#settle().catch((err: unknown) => {
      this.#options.log.error({ err }, 'a group core could not be followed')
    })
  }

  #refresh(): void {
    if (!this.#isDirty || this.#isClosed) return
    this.#isDirty = false
    this.#set = recordSetOf(this.#all(), this.#where, this.#verifier)
    this.#membership = membershipOfSet(this.#set)
    for (const listener of this.#listeners) listener(this.#membership)
  }

  /** Judges what was heard, and follows the cores of everybody who is or was admitted by it. */
  #settle(): Promise<void> {
    return this.#following.run(async () => {
      do {
        this.#refresh()
        for (const { grant, state } of this.#membership.generations.values()) {
          const key = grant.cores?.groupWriter
          if (key === undefined || state === 'void') continue
          const reader = this.#logs.get(key)
          if (reader === undefined) await this.#follow(key)
          else if (reader !== this.#own) reader.limit(this.#cutOf(key))
        }
        // A core that was just opened may have told of more members.
      } while (this.#isDirty && !this.#isClosed)
    })
  }

  #checkWritable(): void {
    this.#refresh()
    if (this.#own === null) {
      throw new FsError('EROFS', 'a blind device says nothing in the group')
    }
    const last = headOf(this.#set, this.me)?.sequence ?? -1
    const isCited = this.#set.records.some(({ heads }) =>
      heads.some(({ author, sequence }) => author === this.me && sequence > last)
    )
    if (isCited) {
      const what = 'others have heard more of this device than it remembers'
      throw new FsError('ESTALE', `${what} (a restored home?): give it new keys`)
    }
  }

  #checkVersion(): void {
    const isOutdated = this.#membership.alarms.some(({ code }) => code === 'UPGRADE_NEEDED')
    if (isOutdated || this.coreAlarms.newer > 0) {
      throw new FsError('EPROTO', 'a member uses a newer pcfs: update this one first')
    }
  }

  async #carry(records: readonly GroupRecord[]): Promise<void> {
    assert(this.#own !== null, 'only a device with a group core carries records')
    await this.#own.log.append(records.map(({ bytes }) => bytes))
    await this.#options.store.barrier()
    await this.#own.read(true)
    await this.#settle()
  }

  async #end(): Promise<void> {
    this.#isClosed = true
    this.#listeners.clear()
    await this.#writing.run(() => Promise.resolve())
    await this.#following.run(() => Promise.resolve())
    for (const reader of this.#logs.values()) await reader.close()
  }
}
