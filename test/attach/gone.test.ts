import { killGroup, start, waitFor } from '../support/process.js'
import { root } from '../support/workspace.js'
import { bootstrapOf, ForeignDriveServer, noise, privateDht, type Testnet } from './foreign.js'
import { mounted, output, sh } from './mounted.js'
import type { ChildProcess } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type Test } from 'tap'

const CHILD = join(root, 'dist', 'test', 'attach', 'serve-child.js')

/** Somebody who serves a drive in another process. */
async function serve(t: Test, testnet: Testnet): Promise<{ child: ChildProcess; key: string }> {
  const directory = await mkdtemp(join(tmpdir(), 'pcfs-serve-'))
  const child = start(process.execPath, [CHILD, directory, bootstrapOf(testnet)])
  t.teardown(async () => {
    killGroup(child)
    await rm(directory, { recursive: true, force: true })
  })
  let printed = ''
  child.stdout?.on('data', (part: Buffer) => (printed += part.toString()))
  if (!(await waitFor(() => printed.endsWith('\n'), 30_000))) throw new Error('it does not serve')
  return { child, key: printed.trim() }
}

await test('a peer that falls silent is an error within seconds, one that is gone EHOSTUNREACH; what is held is served', async (t) => {
  const testnet = await privateDht(t)
  const { child, key } = await serve(t, testnet)
  const pcfs = await mounted(t, bootstrapOf(testnet))
  await pcfs.json(['attach', key, '/drive'])
  t.equal(await output(pcfs, 'cat drive/held; ls drive'), 'heldheld\nlarge\n')

  child.kill('SIGSTOP')
  const silent = await sh(pcfs, 'dd if=drive/large bs=4096 skip=1000 count=1 status=none | wc -c')
  t.match(silent.stderr, /timed out|No route to host/)
  t.equal(silent.timedOut, false)
  t.equal(
    await output(pcfs, 'cat drive/held; ls drive; stat -c %s drive/large'),
    'heldheld\nlarge\n8388608\n'
  )
  child.kill('SIGKILL')
  const isGone = async (): Promise<boolean> => {
    const { attached } = await pcfs.json(['attach', '--list'])
    return Array.isArray(attached) && attached[0]?.peers === 0
  }
  t.ok(await waitFor(isGone, 60_000, 1000))
  const gone = await sh(pcfs, 'dd if=drive/large bs=4096 skip=1000 count=1 status=none | wc -c')
  t.match(gone.stderr, /No route to host/)
  t.equal(await output(pcfs, 'cat drive/held; echo own > own; cat own'), 'heldown\n')
  t.match((await sh(pcfs, 'stat drive/nothing')).stderr, /No such file/)
  await pcfs.stop()
})

await test('a peer that has not what is asked for is ETIMEDOUT', async (t) => {
  const testnet = await privateDht(t)
  const server = await ForeignDriveServer.create(t, testnet)
  await server.drive.put('/gone', noise(2 ** 20, 8))
  await server.drive.put('/there', Buffer.from('there'))
  await server.drive.clear('/gone')
  const pcfs = await mounted(t, bootstrapOf(testnet))
  await pcfs.json(['attach', server.key, '/drive'])
  t.match((await sh(pcfs, 'cat drive/gone')).stderr, /timed out/)
  t.equal(await output(pcfs, 'cat drive/there; ls drive'), 'theregone\nthere\n')
  await pcfs.stop()
})

await test('without a network what is held is served, and nothing is waited for', async (t) => {
  const testnet = await privateDht(t)
  const server = await ForeignDriveServer.create(t, testnet)
  await server.drive.put('/dir/held', Buffer.from('held'))
  await server.drive.put('/dir/large', noise(2 ** 20, 6))
  const pcfs = await mounted(t, bootstrapOf(testnet))
  await pcfs.json(['attach', server.key, '/drive'])
  t.equal(await output(pcfs, 'cat drive/dir/held'), 'held')
  await pcfs.cli(['stop'])
  pcfs.env['PCFS_BOOTSTRAP'] = ''
  await pcfs.mount()
  t.equal(
    await output(pcfs, 'ls drive drive/dir; cat drive/dir/held'),
    'drive:\ndir\n\ndrive/dir:\nheld\nlarge\nheld'
  )
  t.match((await sh(pcfs, 'cat drive/dir/large')).stderr, /No route to host/)
  const never = await pcfs.json(['attach', 'ab'.repeat(32)])
  t.match(never, { path: '/Attached/abababab', isShown: true, version: 0, peers: 0 })
  t.match((await sh(pcfs, 'ls Attached/abababab')).stderr, /No route to host/)
  t.match(await pcfs.json(['detach', 'ab'.repeat(32)]), { path: '/Attached/abababab' })
  await pcfs.stop()
})
