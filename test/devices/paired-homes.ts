/**
 * Homes of one drive, made by the parts themselves and not by `pcfs device invite` and `join`: for
 * tests that begin with several devices and are about something else than pairing.
 */
import type { Test } from 'tap'
import { systemClock } from '../../src/base/clock.js'
import { silentLogger } from '../../src/base/log.js'
import { createHome, pathsOf } from '../../src/daemon/home.js'
import { initHome } from '../../src/daemon/init.js'
import { currentBootId, identityOf, writeState } from '../../src/daemon/state.js'
import { admit, admitted } from '../../src/group/duties.js'
import { Group } from '../../src/group/group.js'
import { createBlockCipher } from '../../src/keys/block-cipher.js'
import { EpochRing } from '../../src/keys/epoch-ring.js'
import { newDeviceKeys } from '../../src/keys/identity.js'
import { openKeyring, writeKeyring, type Keyring } from '../../src/keys/keyring.js'
import { grantOf, signGrant } from '../../src/keys/record-signing.js'
import { coreKey } from '../../src/store/core.js'
import { Store } from '../../src/store/store.js'
import { connect, privateDht, type Home } from '../group/homes.js'

/** A home to be made. */
export interface HomeToMake {
  /** Missing yet. */
  readonly home: string
  readonly name: string
}

/** Makes homes of a new drive; the first one is the drive's first device and admits the others. */
export async function makePairedHomes(t: Test, homes: readonly HomeToMake[]): Promise<void> {
  const [first, ...others] = homes
  if (first === undefined) return
  await initHome({ home: first.home, deviceName: first.name, phraseFile: null })
  const inviter = await openHome(first.home, await openKeyring(pathsOf(first.home).keyring))
  const testnet = await privateDht(t)
  for (const other of others) {
    const joiner = await join(other, inviter)
    const end = await connect(t, testnet, inviter, joiner)
    await admitted(joiner.group, joiner.ring, { ms: 20_000 })
    await end()
    await joiner.close()
  }
  await inviter.close()
  await testnet.destroy()
}

async function join({ home, name }: HomeToMake, inviter: Home): Promise<Home> {
  const { drive, identity } = inviter.keyring
  const keys = newDeviceKeys()
  const none = { origin: [], epochs: [], currentEpoch: null }
  const keyring: Keyring = {
    ...keys,
    ...none,
    drive,
    identity,
    deviceName: name,
    role: 'personal'
  }
  const paths = createHome(home, 'init')
  const state = { bootId: currentBootId(), homeId: identityOf(home) }
  writeState(paths.state, { version: 1, ...state, hasSent: false, hasSentSinceBarrier: false })
  await writeKeyring(paths.keyring, keyring)
  const grant = grantOf(keys, { role: 'personal', name: null, coreKeyOf: coreKey })
  const witness = signGrant(grant, keys.signing)
  await admit(inviter.group, inviter.ring, { grant, witness, name })
  return openHome(home, keyring)
}

async function openHome(home: string, keyring: Keyring): Promise<Home> {
  const paths = pathsOf(home)
  const ring = new EpochRing(keyring, paths.keyring)
  const store = await Store.open({ directory: paths.store, cipher: createBlockCipher(ring) })
  const group = await Group.open({ store, keyring, clock: systemClock(), log: silentLogger })
  const close = async (): Promise<void> => {
    await group.close()
    await store.close()
  }
  return { keyring, ring, store, group, close }
}
