/** Homes for tests: real stores, real records, connected through a real private DHT. */
import { systemClock } from '../../src/base/clock.js'
import { silentLogger } from '../../src/base/log.js'
import { createBlockCipher } from '../../src/keys/block-cipher.js'
import { EpochRing } from '../../src/keys/epoch-ring.js'
import { createIdentity, newDeviceKeys } from '../../src/keys/identity.js'
import type { Keyring } from '../../src/keys/keyring.js'
import { grantOf, signGrant } from '../../src/keys/record-signing.js'
import { coreKey } from '../../src/store/core.js'
import { Store } from '../../src/store/store.js'
import { admit } from '../../src/group/duties.js'
import { Group } from '../../src/group/group.js'
import type { Membership } from '../../src/format/membership.js'
import type { Role } from '../../src/format/group-body.js'
import createTestnet from '@hyperswarm/testnet'
import type HyperDHT from 'hyperdht'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Test } from 'tap'

export type Testnet = Awaited<ReturnType<typeof createTestnet>>

export async function tempDirectory(t: Test): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'pcfs-group-'))
  t.teardown(() => rm(directory, { recursive: true, force: true }))
  return directory
}

/** A private DHT that goes with the test. */
export async function privateDht(t: Test): Promise<Testnet> {
  const testnet = await createTestnet(3)
  t.teardown(() => testnet.destroy())
  return testnet
}

/** One device that is open. */
export interface Home {
  readonly keyring: Keyring
  readonly store: Store
  readonly group: Group
  readonly ring: EpochRing
  close(): Promise<void>
}

/** Opens a home in a directory, closed with the test at the latest. */
export async function openHome(t: Test, keyring: Keyring, directory: string): Promise<Home> {
  const ring = new EpochRing(keyring, null)
  const store = await Store.open({ directory, cipher: createBlockCipher(ring) })
  const group = await Group.open({ store, keyring, clock: systemClock(), log: silentLogger })
  let isOpen = true
  const close = async (): Promise<void> => {
    if (!isOpen) return
    isOpen = false
    await group.close()
    await store.close()
  }
  t.teardown(close)
  return { keyring, store, group, ring, close }
}

/** A drive's first device, and its phrase. */
export async function firstHome(t: Test): Promise<Home & { phrase: string; directory: string }> {
  const directory = await tempDirectory(t)
  const { keyring, phrase } = await createIdentity({ deviceName: 'first', coreKeyOf: coreKey })
  return { ...(await openHome(t, keyring, directory)), phrase, directory }
}

/** What a device knows after pairing, and its witness. */
export function joining(of: Home, role: Role = 'personal'): Keyring {
  const { drive, identity } = of.keyring
  const rest = { deviceName: 'other', role, origin: [], epochs: [], currentEpoch: null }
  return { ...newDeviceKeys(), ...rest, drive, identity }
}

/** A device that another one admits; not connected to it yet. */
export async function joinedHome(t: Test, by: Home, role: Role = 'personal'): Promise<Home> {
  const keyring = joining(by, role)
  const grant = grantOf(keyring, { role, name: null, coreKeyOf: coreKey })
  const witness = signGrant(grant, keyring.signing)
  const home = await openHome(t, keyring, await tempDirectory(t))
  await admit(by.group, by.ring, { grant, witness, name: keyring.deviceName })
  return home
}

/** Connects two homes over the DHT until the function it returns is called. */
export async function connect(
  t: Test,
  testnet: Testnet,
  a: Home,
  b: Home
): Promise<() => Promise<void>> {
  const keyPair = a.keyring.noise
  const streams: HyperDHT.Connection[] = []
  const attach = (home: Home, stream: HyperDHT.Connection): void => {
    streams.push(stream)
    stream.on('error', () => undefined)
    home.store.replicate(stream)
  }
  const server = testnet.createNode().createServer({ firewall: () => false }, (stream) => {
    attach(a, stream)
  })
  await server.listen(keyPair)
  const stream = testnet.createNode().connect(keyPair.publicKey)
  attach(b, stream)
  let isOpen = true
  const end = async (): Promise<void> => {
    if (!isOpen) return
    isOpen = false
    for (const one of streams) one.destroy()
    await server.close()
  }
  t.teardown(end)
  return end
}

/** Waits until a device's membership is as it should be. */
export async function until(
  group: Group,
  holds: (membership: Membership) => boolean
): Promise<Membership> {
  if (holds(group.membership)) return group.membership
  return new Promise((resolve, reject) => {
    const late = setTimeout(() => {
      end()
      reject(new Error('it did not become so within 10 s'))
    }, 10_000)
    const end = group.onChange((membership) => {
      if (!holds(membership)) return
      clearTimeout(late)
      end()
      resolve(membership)
    })
  })
}

/** How many devices are members. */
export function activeCount({ devices }: Membership): number {
  return devices.filter(({ state }) => state === 'active').length
}
