/**
 * Joins a drive on a new machine: asks with a code, shows the digits, waits until the group has
 * admitted this device and given it a key, and only then makes the home. Runs in the process of the
 * command; killed half way it goes on when it is run again with the same code.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { systemClock } from '../base/clock.js'
import { openInSteps, type CloseStack } from '../base/close-stack.js'
import { FsError } from '../base/errors.js'
import type { Logger } from '../base/log.js'
import { Failure } from '../control/failure.js'
import type { Role } from '../format/group-body.js'
import { keyBytes } from '../format/group-keys.js'
import { openCandidacy, type Candidacy } from '../group/candidacy.js'
import { admitted } from '../group/duties.js'
import { Group } from '../group/group.js'
import { nameOfGrant } from '../group/names.js'
import { decodeCode, lanTopicOf, type Verdict } from '../group/pairing-format.js'
import { createBlockCipher } from '../keys/block-cipher.js'
import { EpochRing } from '../keys/epoch-ring.js'
import { coreKey } from '../store/core.js'
import { Store } from '../store/store.js'
import { PairingSwarm } from '../swarm/pairing-swarm.js'
import { openSwarm } from '../swarm/swarm.js'
import type { NetworkSetting } from './config.js'
import { createHome } from './home.js'
import { lockHome } from './home-lock.js'
import { checkName } from './init.js'
import { Joining, type Begun } from './joining.js'
import { currentBootId, identityOf, writeState } from './state.js'
import { topicOf } from './topic.js'

/** A device that was told that it is admitted has its records and keys within this, ms. */
const RECORDS_MS = 5 * 60 * 1000
/** Without a verdict for so long the group is asked all the same, ms. */
const VERDICT_MS = 60_000
/** The same for a join that goes on: it may have been admitted while it was away. */
const RESUMED_MS = 3000
/** Beyond the end of the invitation: for what was decided in its last moment, ms. */
const GRACE_MS = 30_000

/** How far a join is. */
export type JoinStep =
  /** The inviting device is looked for. */
  | { readonly kind: 'asking' }
  /** A person types these on the inviting device; at most for so long. */
  | { readonly kind: 'digits'; readonly digits: string; readonly openMs: number }
  /** A bearer invitation: nobody has to confirm. */
  | { readonly kind: 'bearer' }
  /** Admitted; the records of the group and the key of the content are on their way. */
  | { readonly kind: 'admitted' }

/** What a device joins with. */
export interface JoinOptions {
  /** Absolute; must be missing or empty, or hold what was begun with the same code. */
  readonly home: string
  readonly code: string
  readonly deviceName: string
  /** null: the one that the code admits, else `personal`. */
  readonly role: Role | null
  readonly network: NetworkSetting | null
  /** How long the inviting device is looked for. */
  readonly askMs: number
  readonly onStep: (step: JoinStep) => void
  readonly log: Logger
}

/** A new home. */
export interface JoinedHome {
  /** Id of the drive, hexadecimal. */
  readonly drive: string
  /** The name that it got: another one when the wanted one was taken. */
  readonly device: string
  readonly role: Role
  /** Whether nobody confirmed that it is the right device. */
  readonly isBearer: boolean
}

/**
 * Makes a home that belongs to a drive.
 * @throws {Failure} `usage` when code or name make no sense; `refused` when this device is not
 *   admitted; `timeout` when nobody answers or decides; `failed` when there is a home already, or
 *   no network
 */
export async function joinHome(options: JoinOptions): Promise<JoinedHome> {
  const { network, deviceName } = options
  checkName(deviceName)
  const code = options.code.toLowerCase().replaceAll(/[\s-]/g, '')
  const role = options.role ?? roleOf(code)
  if (network === null) {
    throw new Failure('failed', 'there is no network: PCFS_BOOTSTRAP is empty', {
      code: 'ENETDOWN'
    })
  }
  const paths = createHome(options.home, 'join')
  using _lock = lockHome(paths.lock)
  const joining = new Joining(paths)
  const begun = await joining.begin(code, { name: deviceName, role })
  try {
    return await openInSteps(async (stack) => {
      const parts = { ...options, network, code, role, storePath: paths.store }
      const join = new Join(parts, joining, stack)
      const joined = await join.run(begun)
      await stack.close()
      const { keyring, isBearer } = joined
      writeState(paths.state, {
        version: 1,
        bootId: currentBootId(),
        homeId: identityOf(options.home),
        // Others have this device's first record; what they have was made durable before.
        hasSent: true,
        hasSentSinceBarrier: false
      })
      await joining.finish(keyring, isBearer)
      return {
        drive: keyring.drive.toString('hex'),
        device: keyring.deviceName,
        role,
        isBearer
      }
    })
  } catch (error) {
    const failure = failureOf(error)
    // What was refused is over; with anything else the same code may go on.
    if (failure.kind === 'refused') joining.undo()
    throw failure
  }
}

function roleOf(code: string): Role {
  try {
    return decodeCode(code).role ?? 'personal'
  } catch (error) {
    throw failureOf(error)
  }
}

/** Errors of the pairing as a person is told of them. */
function failureOf(error: unknown): Failure {
  if (error instanceof Failure) return error
  if (!(error instanceof FsError)) throw error
  const { code, message } = error
  const kinds = { EACCES: 'refused', EINVAL: 'usage', ETIMEDOUT: 'timeout' } as const
  const known: Readonly<Record<string, 'refused' | 'usage' | 'timeout'>> = kinds
  return new Failure(known[code] ?? 'failed', message, { code, cause: error })
}

interface JoinParts extends JoinOptions {
  readonly network: NetworkSetting
  readonly role: Role
  readonly storePath: string
}

/** One run of a join; what it opens is on the stack. */
class Join {
  readonly #clock = systemClock()

  constructor(
    private readonly options: JoinParts,
    private readonly joining: Joining,
    private readonly stack: CloseStack
  ) {}

  /** @returns the whole keyring */
  async run(begun: Begun): Promise<{ keyring: Begun['keyring']; isBearer: boolean }> {
    const { onStep } = this.options
    const candidacy = await this.#ask(begun)
    const { digits, openMs } = candidacy
    onStep(digits === null ? { kind: 'bearer' } : { kind: 'digits', digits, openMs })
    const ring = new EpochRing(await this.#keyringOf(begun, candidacy), this.joining.keyringPath)
    const open = await this.#openGroup(ring)
    const heard = await this.#admitted(open, candidacy, begun.offer !== null)
    const grant = open.group.device?.current.grant
    const isReadable = grant !== undefined && ring.epochs.length > 0
    const told = heard ?? ring.keyring.deviceName
    const deviceName = isReadable ? nameOfGrant(grant, ring.epochs) : told
    return { keyring: { ...ring.keyring, deviceName }, isBearer: digits === null }
  }

  async #ask({ code, keyring, offer }: Begun): Promise<Candidacy> {
    const { network, log, askMs, onStep, role } = this.options
    const pairing = await PairingSwarm.open({ network, clock: this.#clock, log })
    this.stack.push(() => pairing.close())
    pairing.lookOnLan(lanTopicOf(decodeCode(code)), true)
    if (offer === null) onStep({ kind: 'asking' })
    const candidacy = await openCandidacy({
      code,
      swarm: pairing.swarm,
      keys: keyring,
      deviceName: keyring.deviceName,
      role,
      coreKeyOf: coreKey,
      offer,
      ms: askMs
    })
    this.stack.push(() => candidacy.close())
    return candidacy
  }

  /** What is kept already may have keys of epochs, which the candidacy does not know of. */
  async #keyringOf(begun: Begun, { offer, keyring }: Candidacy): Promise<Begun['keyring']> {
    if (begun.offer !== null) return begun.keyring
    await this.joining.keep(begun, offer, keyring)
    return keyring
  }

  async #openGroup(ring: EpochRing): Promise<OpenGroup> {
    const { storePath, log } = this.options
    const { keyring } = ring
    const store = await Store.open({ directory: storePath, cipher: createBlockCipher(ring) })
    this.stack.push(() => store.close())
    const group = await Group.open({ store, keyring, clock: this.#clock, log })
    this.stack.push(() => group.close())
    return { store, group, ring }
  }

  /**
   * Looks for the members. Not before there is something to be had: whoever calls them sooner is
   * refused, and heard again only after a while.
   */
  async #openSwarm({ store, group, ring }: OpenGroup, inviter: Buffer): Promise<void> {
    const { network, log } = this.options
    const { keyring } = ring
    const isMember = (noiseKey: Buffer): boolean => {
      if (noiseKey.equals(inviter)) return true
      const { devices } = group.membership
      return devices.some(({ state, current }) => {
        return state === 'active' && keyBytes(current.grant.noise).equals(noiseKey)
      })
    }
    const topic = topicOf(keyring.drive)
    const around = { network, isMember, store, clock: this.#clock, log }
    const swarm = await openSwarm({ keyPair: keyring.noise, topic, ...around })
    this.stack.push(() => swarm.close())
  }

  /**
   * Waits until the group has admitted this device.
   * @returns the name that it was admitted with, if that was heard
   */
  async #admitted(
    open: OpenGroup,
    candidacy: Candidacy,
    isResumed: boolean
  ): Promise<string | null> {
    const ended = new AbortController()
    let name: string | null = null
    const hear = async (): Promise<void> => {
      const verdict = await candidacy.verdict
      if (verdict.kind !== 'admitted') return ended.abort(notAdmitted(verdict))
      this.options.onStep({ kind: 'admitted' })
      name = verdict.name
    }
    const look = async (): Promise<void> => {
      const patience = sleep(isResumed ? RESUMED_MS : VERDICT_MS, undefined, { ref: false })
      // A verdict that can not be read is none: the records say it, or the deadline.
      await Promise.race([hear().catch(() => undefined), patience])
      if (!ended.signal.aborted) await this.#openSwarm(open, candidacy.inviter)
    }
    // Whatever keeps it from looking ends the waiting.
    look().catch((error: unknown) => ended.abort(error))
    const ms = Math.max(candidacy.openMs + GRACE_MS, RECORDS_MS)
    try {
      await admitted(open.group, open.ring, { ms, signal: ended.signal })
    } catch (error) {
      const isLate = error instanceof FsError && error.code === 'ETIMEDOUT'
      if (!isLate || error instanceof Failure) throw error
      const what = 'this device was not admitted in time'
      throw new Failure('timeout', `${what}; the same command goes on, if the code still holds`, {
        code: 'ETIMEDOUT',
        cause: error
      })
    }
    return name
  }
}

/** The group as it is here, and where its records come to. */
interface OpenGroup {
  readonly store: Store
  readonly group: Group
  readonly ring: EpochRing
}

function notAdmitted({ kind }: Verdict): Failure {
  if (kind === 'refused') {
    return new Failure('refused', 'the inviting device got other digits: ask for a new code', {
      code: 'EACCES'
    })
  }
  return new Failure('refused', 'the invitation has ended: ask for a new code', {
    code: 'ETIMEDOUT'
  })
}
