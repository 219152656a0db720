import { CIPHER_OVERHEAD_BYTES, createBlockCipher } from '../../src/keys/block-cipher.js'
import { epochOf } from '../../src/keys/epoch.js'
import { newSigningPair } from '../../src/keys/secrets.js'
import { type Core, coreKey } from '../../src/store/core.js'
import { Store } from '../../src/store/store.js'
import assert from 'node:assert'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { appendFile, cp, mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import * as fc from 'fast-check'
import { type Test, test } from 'tap'

const epoch = epochOf(Buffer.alloc(32, 1), Buffer.alloc(32, 2))
const cipher = createBlockCipher({ epochs: [epoch], currentEpoch: epoch })
const here = { timeoutMs: 0 }

async function tempDirectory(t: Test): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'pcfs-store-'))
  t.teardown(() => rm(directory, { recursive: true, force: true }))
  return directory
}

async function append(store: Store, core: Core, blocks: readonly Buffer[]): Promise<number> {
  const appender = await store.openAppender(core)
  const room = Buffer.alloc(CIPHER_OVERHEAD_BYTES)
  const first = await appender.append(blocks.map((block) => Buffer.concat([room, block])))
  await appender.close()
  return first
}

async function filesOf(directory: string): Promise<string[]> {
  const entries = await readdir(directory, { recursive: true, withFileTypes: true })
  return entries.filter((one) => one.isFile()).map((one) => join(one.parentPath, one.name))
}

/** The blob file that holds some bytes, and where. */
async function findBytes(directory: string, bytes: Buffer): Promise<{ path: string; at: number }> {
  for (const path of await filesOf(directory)) {
    const at = (await readFile(path)).indexOf(bytes)
    if (at >= 0) return { path, at }
  }
  throw new Error('the bytes are in no file')
}

await test('blocks come back after a reopen, under the key of the public key', async (t) => {
  const directory = await tempDirectory(t)
  const keyPair = newSigningPair()
  let store = await Store.open({ directory, cipher })
  let core = await store.openCore({ keyPair })
  t.same(core.key, coreKey(keyPair.publicKey))
  t.equal(await append(store, core, [Buffer.from('one'), Buffer.from('two')]), 0)
  t.equal(await append(store, core, [Buffer.from('three')]), 2)
  await core.close()
  await store.close()

  store = await Store.open({ directory, cipher })
  core = await store.openCore({ key: coreKey(keyPair.publicKey) })
  t.equal((await core.get(2, here))?.toString(), 'three')
  t.equal(await core.get(3, here), null)
  await core.close()
  await store.close()
})

await test('a second process is told that the store is in use', async (t) => {
  const directory = await tempDirectory(t)
  const store = await Store.open({ directory, cipher })
  const module = new URL('../../src/store/store.js', import.meta.url).href
  const script = `
    const { Store } = await import(${JSON.stringify(module)})
    await Store.open({ directory: ${JSON.stringify(directory)}, cipher: {} }).then(
      () => console.log('opened'),
      (error) => console.log(error.code, error.message)
    )`
  const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
    stdio: ['ignore', 'pipe', 'inherit']
  })
  let told = ''
  child.stdout.on('data', (bytes: Buffer) => {
    told += bytes.toString()
  })
  await once(child, 'close')
  t.match(told, /^EBUSY another process uses the store/)
  await store.close()
})

await test('a copied store is refused and names doctor', async (t) => {
  const directory = await tempDirectory(t)
  const store = await Store.open({ directory: join(directory, 'a'), cipher })
  await store.close()
  await cp(join(directory, 'a'), join(directory, 'b'), { recursive: true })
  const copy = Store.open({ directory: join(directory, 'b'), cipher })
  await t.rejects(copy, { code: 'ESTALE', message: /pcfs doctor/ })
})

await test('a store whose device file was torn by a power loss opens', async (t) => {
  const directory = await tempDirectory(t)
  await (await Store.open({ directory, cipher })).close()
  await writeFile(join(directory, 'CORESTORE'), '')
  await (await Store.open({ directory, cipher })).close()
  await (await Store.open({ directory, cipher })).close()
  t.pass('opened')
})

await test('a damaged store is refused and opens once it is mended', async (t) => {
  const directory = await tempDirectory(t)
  const store = await Store.open({ directory, cipher })
  const core = await store.openCore({ keyPair: newSigningPair() })
  await append(store, core, [Buffer.alloc(10_000, 1)])
  await core.close()
  await store.close()
  const current = join(directory, 'db', 'CURRENT')
  const good = await readFile(current)
  await writeFile(current, 'MANIFEST-999999\n')
  await t.rejects(Store.open({ directory, cipher }), { code: 'EIO', message: /pcfs doctor/ })
  await writeFile(current, good)
  await (await Store.open({ directory, cipher })).close()
})

await test('a flipped bit in a blob file is EIO naming its block; others are read', async (t) => {
  const directory = await tempDirectory(t)
  const keyPair = newSigningPair()
  let store = await Store.open({ directory, cipher })
  let core = await store.openCore({ keyPair })
  const blocks = [1, 2, 3].map((fill) => Buffer.alloc(65536, fill))
  const sealed = blocks.map((block) => Buffer.concat([Buffer.alloc(CIPHER_OVERHEAD_BYTES), block]))
  const appender = await store.openAppender(core)
  await appender.append(sealed)
  await appender.close()
  await core.close()
  await store.close()

  const { path, at } = await findBytes(directory, sealed[1]?.subarray(1000, 1032) ?? Buffer.of())
  const bytes = await readFile(path)
  bytes[at] = (bytes[at] ?? 0) ^ 1
  await writeFile(path, bytes)

  store = await Store.open({ directory, cipher })
  core = await store.openCore({ keyPair })
  const place = new RegExp(`block 1 of core ${core.key.toString('hex')}`)
  await t.rejects(core.get(1, here), { code: 'EIO', message: place })
  t.ok((await core.get(0, here))?.equals(Buffer.alloc(65536, 1)))
  t.ok((await core.get(2, here))?.equals(Buffer.alloc(65536, 3)))
  await core.close()
  await store.close()
})

await test('a block that is not here is ETIMEDOUT, or ECANCELED when called off', async (t) => {
  const store = await Store.open({ directory: await tempDirectory(t), cipher })
  const core = await store.openCore({ keyPair: newSigningPair() })
  await append(store, core, [Buffer.from('text')])
  await core.clear(0, 1)
  await t.rejects(core.get(0, { timeoutMs: 50 }), { code: 'ETIMEDOUT' })
  const signal = AbortSignal.timeout(50)
  await t.rejects(core.get(0, { timeoutMs: 2000, signal }), { code: 'ECANCELED' })
  await t.rejects(core.get(0, { timeoutMs: 2000, signal }), { code: 'ECANCELED' })
  await core.close()
  await store.close()
})

await test('secret keys are in no file of the store', async (t) => {
  const directory = await tempDirectory(t)
  const keyPair = newSigningPair()
  const store = await Store.open({ directory, cipher })
  const core = await store.openCore({ keyPair })
  await append(store, core, [Buffer.alloc(5000, 7)])
  await core.close()
  await store.close()
  t.ok(await findBytes(directory, keyPair.publicKey), 'the public key is there')
  const secret = keyPair.secretKey.subarray(0, 32)
  await t.rejects(findBytes(directory, secret), /no file/)
})

await test('a queued append that loses its place fails, and the next one works', async (t) => {
  const store = await Store.open({ directory: await tempDirectory(t), cipher })
  const core = await store.openCore({ keyPair: newSigningPair() })
  const appender = await store.openAppender(core)
  const sealed = (text: string): Buffer =>
    Buffer.concat([Buffer.alloc(CIPHER_OVERHEAD_BYTES), Buffer.from(text)])
  // Too large for a block: refused by Hypercore before anything is written.
  const failing = appender.append([Buffer.alloc(16 * 1024 * 1024)])
  const behind = appender.append([sealed('behind')])
  await t.rejects(failing, { code: 'EIO' })
  await t.rejects(behind, { code: 'EIO' })
  t.equal(core.length, 0)
  t.equal(await appender.append([sealed('again')]), 0)
  t.equal((await core.get(0, here))?.toString(), 'again')
  await appender.close()
  await core.close()
  await store.close()
})

await test('barriers are shared, and cover logs that come and go', async (t) => {
  const store = await Store.open({ directory: await tempDirectory(t), cipher })
  const core = await store.openCore({ keyPair: newSigningPair() })
  for (let round = 0; round < 3; round++) {
    await append(store, core, [Buffer.alloc(5000, round)])
    await Promise.all([store.barrier(), store.barrier(), store.barrier()])
    await store.flush() // a new log takes the old one's place
  }
  await store.barrier()
  t.equal(core.length, 3)
  await core.close()
  await store.close()
})

await test('a torn tail of the log is cut, what a barrier covered stays', async (t) => {
  const directory = await tempDirectory(t)
  const copy = join(await tempDirectory(t), 'copy')
  const keyPair = newSigningPair()
  const store = await Store.open({ directory, cipher })
  const core = await store.openCore({ keyPair })
  await append(store, core, [Buffer.from('kept')])
  await store.barrier()
  await cp(directory, copy, { recursive: true })
  await core.close()
  await store.close()
  // The copy is what a power loss leaves: the log without a flush, and rubbish behind it.
  await rm(join(copy, 'CORESTORE'))
  const log = (await filesOf(copy))
    .filter((path) => path.endsWith('.log'))
    .sort()
    .at(-1)
  await appendFile(log ?? '', Buffer.alloc(100, 0xff))
  const again = await Store.open({ directory: copy, cipher })
  const recovered = await again.openCore({ keyPair })
  t.equal((await recovered.get(0, here))?.toString(), 'kept')
  await recovered.close()
  await again.close()
})

// Hypercore 11.37.1 deleted Merkle nodes of retained neighbours here (facts, section 0).
await test('after any clears every block that is left can still be proven to a peer', async (t) => {
  const store = await Store.open({ directory: await tempDirectory(t), cipher })
  const ranges = fc.array(fc.tuple(fc.nat(150), fc.integer({ min: 1, max: 40 })), { maxLength: 6 })
  await fc.assert(
    fc.asyncProperty(fc.integer({ min: 1, max: 150 }), ranges, async (length, cleared) => {
      const core = await store.openCore({ keyPair: newSigningPair() })
      await append(
        store,
        core,
        Array.from({ length }, (_, i) => Buffer.from(`block ${i}`))
      )
      for (const [start, count] of cleared) await core.clear(start, start + count)
      for (let block = 0; block < length; block++) {
        const isCleared = cleared.some(([start, count]) => block >= start && block < start + count)
        assert.equal(core.has(block), !isCleared)
        if (isCleared) continue
        assert.equal((await core.get(block, here))?.toString(), `block ${block}`)
        await core.prove(block)
      }
      await core.close()
    }),
    { numRuns: 40 }
  )
  await store.close()
  t.pass('all proven')
})
