/** Real signatures and seals: genesis, the phrase, epochs for members, sealed names. */
import { nextStatement } from '../../src/format/group-author.js'
import type { Grant } from '../../src/format/group-body.js'
import { keyBytes, toCoreKey, toPublicKey } from '../../src/format/group-keys.js'
import { type GroupRecord, decodeGroupRecord } from '../../src/format/group-record.js'
import { type Membership, membershipOf } from '../../src/format/membership.js'
import { type RecordSet, recordSetOf } from '../../src/format/membership-set.js'
import { newEpoch } from '../../src/keys/epoch.js'
import { EpochRing } from '../../src/keys/epoch-ring.js'
import { createIdentity, newDeviceKeys, usePhrase } from '../../src/keys/identity.js'
import { type Keyring, openKeyring, writeKeyring } from '../../src/keys/keyring.js'
import { isSignedByPhrase } from '../../src/keys/phrase-proof.js'
import { grantOf, recordVerifier, signGrant, signRecord } from '../../src/keys/record-signing.js'
import { epochBody, openSeal, openText, sealText } from '../../src/keys/sealing.js'
import { coreKey } from '../../src/store/core.js'
import IdentityKey from 'keet-identity-key'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'tap'

const coreKeyOf = coreKey

async function newDrive(): Promise<{ keyring: Keyring; phrase: string; records: GroupRecord[] }> {
  const made = await createIdentity({ deviceName: 'laptop', coreKeyOf })
  return { ...made, records: made.keyring.origin.map(decodeGroupRecord) }
}

const whereOf = ({ drive, identity }: Keyring): Parameters<typeof recordSetOf>[1] => ({
  drive: toCoreKey(drive),
  identity: toPublicKey(identity)
})

const setOf = (keyring: Keyring, records: GroupRecord[]): RecordSet =>
  recordSetOf(records, whereOf(keyring), recordVerifier)

const membership = (keyring: Keyring, records: GroupRecord[]): Membership =>
  membershipOf(records, whereOf(keyring), recordVerifier)

await test('a new drive has its first device, and an epoch for it and for the phrase', async (t) => {
  const { keyring, phrase, records } = await newDrive()
  const { devices, epochs } = membership(keyring, records)
  t.match(devices, [{ state: 'active', role: 'personal' }])
  t.same(keyBytes(epochs.current?.id ?? devices[0]?.id ?? toPublicKey('')), keyring.epochs[0]?.id)
  t.equal(epochs.current?.recipients.length, 1)
  const name = devices[0]?.current.grant.name
  t.ok(name)
  t.equal(name && openText(name, keyring.epochs), 'laptop')
  const [seal] = epochs.current?.recoverySeals ?? []
  const opened = await usePhrase(phrase, async ({ recoveryBox }) => {
    const { commitment } = epochs.current ?? { commitment: Buffer.alloc(32) }
    return openSeal(seal ?? Buffer.alloc(0), recoveryBox, { drive: keyring.drive, commitment })
  })
  t.same(opened, keyring.epochs[0])
})

await test('names and keys are not in the records as plain text', async (t) => {
  const { keyring } = await newDrive()
  const all = Buffer.concat(keyring.origin)
  t.notOk(all.includes('laptop'))
  for (const { key } of keyring.epochs) t.notOk(all.includes(key))
})

await test('a genesis that was changed, or that another phrase signed, founds nothing', async (t) => {
  const { keyring, records } = await newDrive()
  const other = await newDrive()
  t.same(membership({ ...keyring, identity: other.keyring.identity }, records).devices, [])
  const [genesis] = keyring.origin
  if (genesis === undefined) throw new Error('no genesis')
  for (const at of [40, 110, 200, genesis.length - 20]) {
    const changed = Buffer.from(genesis)
    changed.writeUInt8(255 - changed.readUInt8(at), at)
    const { devices } = membership(keyring, [decodeGroupRecord(changed)])
    t.same(devices, [], `byte ${at}`)
  }
})

await test('a device that the phrase attested can not sign in its place', async (t) => {
  const device = newDeviceKeys().signing
  const identity = await IdentityKey.from({ mnemonic: IdentityKey.generateMnemonic() })
  const key = Buffer.from(identity.identityPublicKey)
  const signed = Buffer.from('something')
  const direct = IdentityKey.attestData(signed, identity.identityKeyPair)
  t.ok(isSignedByPhrase(key, signed, direct))
  t.notOk(isSignedByPhrase(key, Buffer.from('another thing'), direct))
  t.notOk(isSignedByPhrase(newDeviceKeys().signing.publicKey, signed, direct))
  const bootstrap: unknown = Reflect.get(identity, 'bootstrap')
  if (typeof bootstrap !== 'function') throw new Error('keet-identity-key has changed')
  const attestation: unknown = await Reflect.apply(bootstrap, identity, [device.publicKey])
  const attest: unknown = Reflect.get(IdentityKey, 'attestData')
  if (typeof attest !== 'function') throw new Error('keet-identity-key has changed')
  const chained: unknown = Reflect.apply(attest, IdentityKey, [signed, device, attestation])
  if (!Buffer.isBuffer(chained)) throw new Error('no proof')
  t.ok(IdentityKey.verify(chained, signed, { expectedIdentity: key }), 'it is a valid chain')
  t.notOk(isSignedByPhrase(key, signed, chained), 'and still not the phrase')
  for (const junk of [Buffer.alloc(0), Buffer.alloc(200), direct.subarray(0, 50)]) {
    t.notOk(isSignedByPhrase(key, signed, junk))
  }
})

interface Joined {
  readonly keyring: Keyring
  readonly grant: Grant
}

/** What pairing leaves a joining device with. */
function joining(from: Keyring): Joined {
  const keys = newDeviceKeys()
  const grant = grantOf(keys, { role: 'personal', name: null, coreKeyOf })
  const keyring = {
    ...from,
    ...keys,
    deviceName: 'phone',
    origin: [],
    epochs: [],
    currentEpoch: null
  }
  return { keyring, grant }
}

await test('a joined device gets the keys that were sealed to it, and keeps them', async (t) => {
  const { keyring, records } = await newDrive()
  const { keyring: phone, grant } = joining(keyring)
  const directory = await mkdtemp(join(tmpdir(), 'pcfs-ring-'))
  t.teardown(() => rm(directory, { recursive: true, force: true }))
  const path = join(directory, 'keyring')
  await writeKeyring(path, phone)
  const ring = new EpochRing(phone, path)
  const me = toPublicKey(keyring.signing.publicKey)
  const add = signRecord(
    nextStatement(setOf(keyring, records), me, { type: 'device-add', device: grant }),
    keyring.signing,
    signGrant(grant, phone.signing)
  )
  records.push(add)
  const before = membership(keyring, records).epochs
  t.equal(before.missing.length, 1)
  t.same(await ring.adopt(before), { gained: [], broken: [] })
  const [epoch] = keyring.epochs
  if (epoch === undefined) throw new Error('no epoch')
  const body = epochBody({ drive: keyring.drive, epoch, recipients: [grant], recoveryBox: null })
  records.push(signRecord(nextStatement(setOf(keyring, records), me, body), keyring.signing))
  const after = membership(keyring, records).epochs
  t.same(after.missing, [])
  t.same((await ring.adopt(after)).gained, [after.current?.id])
  t.same(ring.currentEpoch, epoch)
  t.same((await openKeyring(path)).currentEpoch, epoch)
  t.same((await ring.adopt(after)).gained, [], 'once')
})

await test('a seal with another key than the record committed to is not used', async (t) => {
  const { keyring, records } = await newDrive()
  const { keyring: phone, grant } = joining(keyring)
  const me = toPublicKey(keyring.signing.publicKey)
  const epoch = newEpoch(keyring.drive)
  const lie = newEpoch(keyring.drive)
  const honest = epochBody({ drive: keyring.drive, epoch, recipients: [grant], recoveryBox: null })
  const wrong = epochBody({
    drive: keyring.drive,
    epoch: lie,
    recipients: [grant],
    recoveryBox: null
  })
  if (honest.type !== 'epoch' || wrong.type !== 'epoch') throw new Error('not epochs')
  const body = { ...honest, seals: wrong.seals }
  records.push(signRecord(nextStatement(setOf(keyring, records), me, body), keyring.signing))
  const ring = new EpochRing(phone, null)
  const { epochs } = membership(keyring, records)
  const { gained, broken } = await ring.adopt(epochs)
  t.same(gained, [])
  t.equal(broken.length, 1)
  records.push(signRecord(nextStatement(setOf(keyring, records), me, honest), keyring.signing))
  const mended = await ring.adopt(membership(keyring, records).epochs)
  t.equal(mended.gained.length, 1, 'a good seal beside it serves')
})

await test("a sealed text is read with its epoch's key only, and not when it was changed", async (t) => {
  const { keyring } = await newDrive()
  const [epoch] = keyring.epochs
  if (epoch === undefined) throw new Error('no epoch')
  const sealed = sealText(epoch, 'Anna’s laptop')
  t.equal(openText(sealed, [newEpoch(keyring.drive), epoch]), 'Anna’s laptop')
  t.equal(openText(sealed, [newEpoch(keyring.drive)]), null)
  t.notSame(sealText(epoch, 'Anna’s laptop').bytes, sealed.bytes)
  for (let at = 0; at < sealed.bytes.length; at += 7) {
    const bytes = Buffer.from(sealed.bytes)
    bytes.writeUInt8(255 - bytes.readUInt8(at), at)
    t.equal(openText({ ...sealed, bytes }, [epoch]), null)
  }
  t.equal(openText({ ...sealed, bytes: Buffer.alloc(10) }, [epoch]), null)
})

await test('the phrase admits a new machine when every device is lost', async (t) => {
  const { keyring, phrase, records } = await newDrive()
  const { keyring: fresh, grant } = joining(keyring)
  const author = toPublicKey(fresh.signing.publicKey)
  const record = await usePhrase(phrase, async ({ sign }) =>
    signRecord(
      nextStatement(setOf(keyring, records), author, {
        type: 'recover',
        nonce: Buffer.alloc(32, 1),
        device: grant,
        revocations: [{ target: toPublicKey(keyring.signing.publicKey), pins: [] }],
        voids: []
      }),
      fresh.signing,
      sign
    )
  )
  const { generations } = membership(keyring, [...records, record])
  t.equal(generations.get(author)?.state, 'active')
  t.equal(generations.get(toPublicKey(keyring.signing.publicKey))?.state, 'revoked')
  const unsigned = signRecord(record, fresh.signing, Buffer.alloc(139))
  t.equal(membership(keyring, [...records, unsigned]).generations.get(author), undefined)
})
