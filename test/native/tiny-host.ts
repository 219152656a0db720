/**
 * Mounts a TinyFs, runs one shell script against it in a child process, unmounts, and prints one
 * line of JSON: argv = mountpoint, script, and optionally a program of this process: 'self' touches
 * its own mount.
 */
import { execFile } from 'node:child_process'
import { readdirSync, rmSync, statfsSync } from 'node:fs'
import { OP, TinyFs } from './tiny-fs.js'

const [mountpoint = '', script = '', mode = ''] = process.argv.slice(2)
const filesystem = new TinyFs({
  mountpoint,
  fsname: 'tiny',
  allowOther: true,
  suid: false,
  dev: false,
  watchdogMs: 1000
})
const result: Record<string, unknown> = {}
/** The errno name of a failing call. */
const codeOf = (act: () => unknown): string => {
  try {
    act()
    return 'ok'
  } catch (error) {
    return error instanceof Error && 'code' in error ? String(error.code) : String(error)
  }
}
if (mode === 'self') {
  result['listing'] = codeOf(() => readdirSync(mountpoint))
  result['statfs'] = codeOf(() => statfsSync(mountpoint))
}
if (mode === 'silent') filesystem.silent.add(OP.statfs)
if (mode === 'stalled')
  setTimeout(() => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 4000), 300)
if (mode === 'elsewhere')
  // What another device would cause: `a` (inode 2) is cut to 3 bytes and renamed to `b`.
  setTimeout(() => {
    const { session } = filesystem
    session.truncate(2, 3, 1n)
    session.removeDirent(1, Buffer.from('a'))
    session.addDirent(1, Buffer.from('b'), 2, 8)
    session.invalidateEntry(1, Buffer.from('a'))
    session.invalidateEntry(1, Buffer.from('b'))
    session.invalidateInode(2, 0, 0)
  }, 700)
// An environment of its own: a sanitizer preloaded here is not the script's.
const options = { timeout: 20_000, cwd: '/', env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin' } }
await new Promise<void>((resolve) => {
  execFile('bash', ['-c', script, 'bash', mountpoint], options, (error, stdout, stderr) => {
    if (error) result['failed'] = [error.code, stdout, stderr]
    else result['out'] = stdout
    resolve()
  })
})
result['stats'] = filesystem.session.stats()
if (mode === 'abort') filesystem.session.abort()
else if (mode === 'close') filesystem.session.close()
else
  result['unmount'] = await filesystem.session.unmount().then(
    () => 'ok',
    (error: unknown) => String(error)
  )
if (result['unmount'] !== 'ok' && mode !== 'close')
  await filesystem.session.unmount({ lazy: true }).catch(() => undefined)
rmSync(filesystem.directory, { recursive: true, force: true })
process.stdout.write(`${JSON.stringify(result)}\n`)
