import { ROOT_ID, generationNumber } from '../../src/format/ids.js'
import type { Generation } from '../../src/generation/generation.js'
import { nodeOf } from './crash-support.js'
import { closeHome, newHome, noise, openHome, wholeFile, withHome } from './support.js'
import { readFile, readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'tap'

const text = (value: string): Buffer => Buffer.from(value)

function direntOf(name: string): Buffer {
  return Buffer.concat([Buffer.from(ROOT_ID, 'hex'), text(`\0${name}`)])
}

async function nodesOf(generation: Generation, options = {}): Promise<string[]> {
  const found: string[] = []
  for await (const { id, record } of generation.scanNodes(options)) {
    found.push(`${id}=${record.toString()}`)
  }
  return found
}

async function namesOf(generation: Generation): Promise<string[]> {
  const names: string[] = []
  for await (const { name, value } of generation.scanDir(ROOT_ID)) {
    names.push(`${name.toString()}=${value.toString()}`)
  }
  return names
}

await test('records and names are there after a commit, deleted ones are not', async (t) => {
  await withHome(async ({ generation }) => {
    await generation.commit({
      nodes: [1, 0].map((n) => ({ id: nodeOf(n), record: text(`r${n}`) })),
      dirents: ['b', 'a', 'a\x01', '\xff'].map((name) => ({
        key: direntOf(name),
        value: text(name)
      }))
    })
    t.same(await nodesOf(generation), [`${nodeOf(0)}=r0`, `${nodeOf(1)}=r1`])
    t.same(await namesOf(generation), ['a=a', 'a\x01=a\x01', 'b=b', '\xff=\xff'])
    const plain = new Uint8Array([1, 2]) // as it comes out of a MessagePort
    await generation.commit({
      nodes: [{ id: nodeOf(9), record: plain }],
      dirents: [{ key: new Uint8Array(direntOf('plain')), value: plain }]
    })
    t.same(await generation.getNode(nodeOf(9)), Buffer.from(plain))
    await generation.commit({
      nodes: [{ id: nodeOf(9), record: null }],
      dirents: [{ key: direntOf('plain'), value: null }]
    })
    t.equal((await generation.getNode(nodeOf(1)))?.toString(), 'r1')
    t.equal(await generation.getNode(nodeOf(2)), null)

    await generation.commit({
      nodes: [{ id: nodeOf(0), record: null }],
      dirents: [{ key: direntOf('a'), value: null }]
    })
    t.same(await nodesOf(generation), [`${nodeOf(1)}=r1`])
    t.same(await namesOf(generation), ['a\x01=a\x01', 'b=b', '\xff=\xff'])
  })
})

await test('a repeated commit changes nothing, not even the version', async (t) => {
  await withHome(async ({ generation }) => {
    const batch = {
      nodes: [{ id: nodeOf(0), record: text('r') }],
      dirents: [
        { key: direntOf('a'), value: text('v') },
        { key: direntOf('gone'), value: null }
      ],
      seen: [{ generation: generationNumber(Buffer.alloc(32, 9)), length: 77 }]
    }
    const version = await generation.commit(batch)
    t.equal(await generation.commit(batch), version)
  })
})

await test('a scan can be paged, and an older version can be scanned', async (t) => {
  await withHome(async ({ generation }) => {
    const nodes = [0, 1, 2, 3].map((n) => ({ id: nodeOf(n), record: text(`r${n}`) }))
    const version = await generation.commit({ nodes, dirents: [] })
    await generation.commit({ nodes: [{ id: nodeOf(1), record: text('new') }], dirents: [] })
    t.same(await nodesOf(generation, { limit: 2 }), [`${nodeOf(0)}=r0`, `${nodeOf(1)}=new`])
    t.same(await nodesOf(generation, { gt: nodeOf(1), limit: 1 }), [`${nodeOf(2)}=r2`])
    t.same((await nodesOf(generation, { version }))[1], `${nodeOf(1)}=r1`)
  })
})

await test('the history tells each change once, by key space, deletions too', async (t) => {
  await withHome(async ({ generation }) => {
    const from = await generation.commit({
      nodes: [{ id: nodeOf(0), record: text('r0') }],
      dirents: []
    })
    await generation.commit({
      nodes: [{ id: nodeOf(0), record: null }],
      dirents: [{ key: direntOf('a'), value: text('v') }],
      seen: [{ generation: generationNumber(Buffer.alloc(32, 9)), length: 77 }]
    })
    const changes: unknown[] = []
    for await (const { space, key, value } of generation.history({ gte: from })) {
      changes.push([space, key.length, value?.length ?? null])
    }
    t.match(changes, [
      ['dir', 15, 1],
      ['node', 13, null],
      ['seen', 6, Number]
    ])
    for await (const change of generation.history({ gte: generation.info().dbLength })) {
      t.fail(`nothing has changed since, not ${change.seq}`)
    }
  })
})

await test('an empty generation has no nodes, no names and no history', async (t) => {
  await withHome(async ({ generation }) => {
    t.same(await nodesOf(generation), [])
    t.same(await namesOf(generation), [])
    for await (const change of generation.history({ gte: 0 })) t.fail(`none, not ${change.seq}`)
    t.equal(generation.info().blobsLength, 0)
  })
})

await test('no name, content or secret is in any file of the store', async (t) => {
  const { directory, keyring } = await newHome()
  t.teardown(() => rm(directory, { recursive: true, force: true }))
  const markers = ['MARKER-small-content', 'MARKER-name', 'MARKER-record', 'MARKER-large']
  const large = Buffer.concat([noise(200_000, 1), text('MARKER-large'), noise(200_000, 2)])
  const home = await openHome(directory, keyring)
  await home.generation.ingest([wholeFile(text('MARKER-small-content')), wholeFile(large)])
  await home.generation.commit({
    nodes: [{ id: nodeOf(0), record: text('MARKER-record') }],
    dirents: [{ key: direntOf('MARKER-name'), value: text('MARKER-record') }]
  })
  const checkFiles = async (): Promise<number> => {
    const entries = await readdir(join(directory, 'store'), {
      recursive: true,
      withFileTypes: true
    })
    let bytes = 0
    for (const entry of entries.filter((one) => one.isFile())) {
      const content = await readFile(join(entry.parentPath, entry.name))
      bytes += content.length
      const pairs = [keyring.db, keyring.blobs, keyring.signing].map((pair) => pair.secretKey)
      for (const secret of [...pairs, ...keyring.epochs.map(({ key }) => key)]) {
        t.notOk(content.includes(secret.subarray(0, 32)), 'a secret key')
      }
      for (const marker of markers) t.notOk(content.includes(marker), marker)
    }
    return bytes
  }
  t.ok((await checkFiles()) > large.length, 'it is in the log')
  await closeHome(home)
  t.ok((await checkFiles()) > large.length, 'it is in the table and blob files')
})
