import { FsError } from '../../src/base/errors.js'
import { type EpochKey, epochOf } from '../../src/keys/epoch.js'
import { createIdentity, identityOf, normalizePhrase } from '../../src/keys/identity.js'
import { type Keyring, openKeyring, writeKeyring } from '../../src/keys/keyring.js'
import { coreKey } from '../../src/store/core.js'
import { chmod, mkdtemp, readFile, readdir, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Test, test } from 'tap'

async function tempPath(t: Test): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'pcfs-keys-'))
  t.teardown(() => rm(directory, { recursive: true, force: true }))
  return join(directory, 'keyring')
}

const newIdentity = (phrase?: string): ReturnType<typeof createIdentity> => {
  return createIdentity({ deviceName: 'laptop', coreKeyOf: coreKey, ...(phrase && { phrase }) })
}

function epochOfRing({ currentEpoch }: Keyring): EpochKey {
  if (currentEpoch === null) throw new Error('no epoch')
  return currentEpoch
}

await test('a keyring comes back as it was written, 0600 and alone', async (t) => {
  const path = await tempPath(t)
  const { keyring } = await newIdentity()
  await writeKeyring(path, keyring)
  t.equal((await stat(path)).mode & 0o7777, 0o600)
  t.same(await readdir(join(path, '..')), ['keyring'])
  t.same(await openKeyring(path), keyring)
})

await test('writing replaces the file as a whole', async (t) => {
  const path = await tempPath(t)
  const first = await newIdentity()
  const second = await newIdentity()
  await writeKeyring(path, first.keyring)
  await writeKeyring(path, second.keyring)
  t.same((await openKeyring(path)).drive, second.keyring.drive)
})

await test('a keyring that others may read is refused with the mend', async (t) => {
  const path = await tempPath(t)
  await writeKeyring(path, (await newIdentity()).keyring)
  for (const mode of [0o640, 0o604, 0o660, 0o601]) {
    await chmod(path, mode)
    await t.rejects(openKeyring(path), { code: 'EACCES', message: /chmod 600/ })
  }
})

await test('a missing keyring is ENOENT', async (t) => {
  await t.rejects(openKeyring(await tempPath(t)), { code: 'ENOENT', message: /not a pcfs home/ })
})

await test('damage is told without telling secrets', async (t) => {
  const path = await tempPath(t)
  const { keyring } = await newIdentity()
  const currentEpoch = epochOfRing(keyring)
  await writeKeyring(path, keyring)
  const text = await readFile(path, 'utf8')
  const secret = keyring.db.secretKey.toString('hex')
  const flipped = secret.startsWith('0') ? `1${secret.slice(1)}` : `0${secret.slice(1)}`
  const broken = [
    text.slice(0, text.length / 2),
    text.replace(secret, flipped.slice(0, 64) + flipped.slice(64).replace(/./g, '0')),
    text.replace(
      `"currentEpoch": "${currentEpoch.id.toString('hex')}`,
      '"currentEpoch": "0011223344556677'
    ),
    text.replace(secret, 'zz'),
    '[]',
    ''
  ]
  for (const content of broken) {
    await writeFile(path, content)
    const error: unknown = await openKeyring(path).catch((caught: unknown) => caught)
    t.ok(error instanceof FsError && error.code === 'EIO')
    t.notOk(String(error).includes(secret.slice(0, 16)))
  }
})

await test('a newer version is refused as such', async (t) => {
  const path = await tempPath(t)
  await writeKeyring(path, (await newIdentity()).keyring)
  const text = await readFile(path, 'utf8')
  await writeFile(path, text.replace('"version": 1', '"version": 2'))
  await t.rejects(openKeyring(path), { code: 'EPROTO' })
})

await test('a device without any epoch has a keyring too', async (t) => {
  const path = await tempPath(t)
  const { keyring } = await newIdentity()
  const joined = { ...keyring, role: 'blind' as const, epochs: [], currentEpoch: null, origin: [] }
  await writeKeyring(path, joined)
  t.same(await openKeyring(path), joined)
})

await test('a box pair that disagrees is refused, as the others are', async (t) => {
  const path = await tempPath(t)
  const { keyring } = await newIdentity()
  const box = { ...keyring.box, publicKey: keyring.noise.publicKey }
  await writeKeyring(path, { ...keyring, box })
  await t.rejects(openKeyring(path), { code: 'EIO', message: /pair box disagrees/ })
})

await test('the phrase stands for the identity', async (t) => {
  const { keyring, phrase } = await newIdentity()
  t.equal(phrase.split(' ').length, 24)
  t.same(await identityOf(phrase), keyring.identity)
})

await test('the same phrase is the same identity on a new device with its own keys', async (t) => {
  const first = await newIdentity()
  const again = await newIdentity(`  ${first.phrase.toUpperCase().replace(/ /g, '\n ')} `)
  t.equal(again.phrase, first.phrase)
  t.same(again.keyring.identity, first.keyring.identity)
  t.notSame(again.keyring.signing, first.keyring.signing)
  t.notSame(again.keyring.db, first.keyring.db)
})

await test('a phrase with a wrong word or count is EINVAL and not quoted', async (t) => {
  const { phrase } = await newIdentity()
  const words = phrase.split(' ')
  t.throws(() => normalizePhrase(words.slice(1).join(' ')), { code: 'EINVAL' })
  const wrong = ['zzzz', ...words.slice(1)].join(' ')
  const error: unknown = await newIdentity(wrong).catch((caught: unknown) => caught)
  t.ok(error instanceof FsError && error.code === 'EINVAL')
  t.notOk(String(error).includes(words[1] ?? ''))
})

await test('the epoch id is bound to the drive and the key', async (t) => {
  const { keyring } = await newIdentity()
  const { id, key } = epochOfRing(keyring)
  t.same(epochOf(keyring.drive, key).id, id)
  t.notSame(epochOf(Buffer.alloc(32), key).id, id)
  t.notSame(epochOf(keyring.drive, Buffer.alloc(32)).id, id)
})
