/**
 * The daemon's work on a blind device: it follows every core of the drive in full, and passes the
 * blocks on, without a key that could read them. There is no mount, no generation of its own, and
 * so no other thread: nobody waits for this one.
 */
import { Alarms } from '../base/alarms.js'
import { systemClock } from '../base/clock.js'
import { openInSteps, type CloseStack } from '../base/close-stack.js'
import { FsError } from '../base/errors.js'
import { Failure } from '../control/failure.js'
import type { Finding } from '../control/operations.js'
import { createBlockCipher } from '../keys/block-cipher.js'
import { EpochRing } from '../keys/epoch-ring.js'
import { openKeyring, type Keyring } from '../keys/keyring.js'
import { Store } from '../store/store.js'
import { describeDevices, tellAdmission } from './device-operations.js'
import type { Filesystem, FilesystemOperations, FilesystemOptions } from './filesystem.js'
import { LastSeen } from './last-seen.js'
import type { GroupWarning, StoreEvent } from './store-events.js'
import { StorePeers } from './store-peers.js'

/** What it is opened with. */
export type CarrierOptions = Pick<FilesystemOptions, 'config' | 'home' | 'log' | 'onPeer'>

interface Parts extends CarrierOptions {
  readonly keyring: Keyring
  readonly peers: StorePeers
  readonly alarms: Alarms
  readonly lastSeen: LastSeen
}

/** Opens the home of a blind device; resolves when it follows whom it knows. */
export function openCarrier(options: CarrierOptions): Promise<Filesystem> {
  return openInSteps(async (stack) => {
    const { home, log, config, onPeer } = options
    const clock = systemClock()
    const keyring = await openKeyring(home.keyring)
    const ring = new EpochRing(keyring, home.keyring)
    const cipher = createBlockCipher(ring)
    const store = await Store.open({ directory: home.store, cipher })
    stack.push(() => store.close())
    const alarms = new Alarms()
    tellAdmission(home, alarms, keyring.deviceName)
    const lastSeen = new LastSeen(home.lastSeen, clock, log)
    const hear = new Hearing(alarms, lastSeen, onPeer)
    const { network } = config
    const tell = (event: StoreEvent): void => hear.hear(event)
    const around = { store, ring, cipher, network, hasDuties: true, tell, clock, log }
    const peers = await StorePeers.open(around)
    stack.push(() => peers.close())
    log.info({ op: 'carry' }, 'a blind device carries the drive')
    return new Carrier({ ...options, keyring, peers, alarms, lastSeen }, stack)
  })
}

/** News of the peers: what of it a person is to be told. */
class Hearing {
  #warnings: readonly GroupWarning[] = []

  constructor(
    private readonly alarms: Alarms,
    private readonly lastSeen: LastSeen,
    private readonly onPeer: () => void
  ) {}

  hear(event: StoreEvent): void {
    switch (event.type) {
      case 'members':
        for (const { code, subject } of this.#warnings) this.alarms.clear(code, subject)
        this.#warnings = event.warnings
        for (const { code, subject, message } of event.warnings) {
          this.alarms.raise(code, message, subject)
        }
        break
      case 'peers':
        this.lastSeen.note(event.ids)
        if (event.count > 0) this.onPeer()
        break
      case 'conflict': {
        const message = `core ${event.core} has two signed heads: its device was copied or restored`
        this.alarms.raise('CORE_FORKED', message, event.core)
        break
      }
      case 'grown':
      case 'bearer':
      case 'log':
        break
    }
  }
}

class Carrier implements Filesystem {
  readonly operations: FilesystemOperations

  constructor(
    private readonly parts: Parts,
    private readonly stack: CloseStack
  ) {
    this.operations = {
      devices: async () => {
        const { peers, lastSeen } = parts
        const followed = await peers.network.followed()
        const connected = peers.network.peers()
        const known = peers.known()
        return { devices: describeDevices({ known, connected, followed, lastSeen, ownBytes: 0 }) }
      },
      conflicts: () => Promise.reject(refusal('does not know what is in conflict')),
      invite: () => Promise.reject(refusal('does not invite')),
      inviteAnswered: () => Promise.reject(refusal('does not invite')),
      inviteConfirm: () => Promise.reject(refusal('does not invite')),
      inviteCancel: () => Promise.resolve({}),
      attach: () => Promise.reject(refusal('has no tree to attach to')),
      detach: () => Promise.reject(refusal('has no tree to attach to')),
      attached: () => Promise.resolve({ attached: [] })
    }
  }

  async status(): ReturnType<Filesystem['status']> {
    const { keyring, peers, alarms } = this.parts
    const followed = await peers.network.followed()
    return {
      drive: keyring.drive.toString('hex'),
      device: { name: keyring.deviceName, role: keyring.role },
      peers: peers.network.peers().map(({ device, path }) => ({ device, path, lagMs: 0 })),
      generations: followed.map(({ device, generation, db, blobs }) => ({
        device,
        generation: generation.toString(16),
        length: db.length + blobs.length,
        held: db.heldBlocks + blobs.heldBlocks,
        byteLength: db.byteLength + blobs.byteLength
      })),
      backlog: { spoolBytes: 0, records: 0, uploadBytes: 0 },
      alarms: alarms.list()
    }
  }

  flush(): Promise<void> {
    return Promise.resolve()
  }

  unmount(): Promise<void> {
    return Promise.reject(new FsError('EINVAL', 'a blind device has nothing mounted'))
  }

  async close(): Promise<void> {
    await this.stack.close()
  }

  async examine(): Promise<Finding[]> {
    const { generations } = await this.status()
    const held = generations.reduce((sum, one) => sum + one.held, 0)
    const length = generations.reduce((sum, one) => sum + one.length, 0)
    const message = `holds ${held} of ${length} blocks of ${generations.length} generations`
    return [{ check: 'store', state: 'ok', message, mend: null }]
  }
}

function refusal(what: string): Failure {
  return new Failure('refused', `a blind device ${what}: ask a personal one`, { code: 'EPERM' })
}
