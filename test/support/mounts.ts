/**
 * The kernel's mount table, read from /proc and never by touching a mount, and the ways to get rid
 * of a mount whatever state its server is in.
 */
import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { run, waitFor } from './process.js'

/** One line of the mount table. */
export interface MountEntry {
  readonly path: string
  /** For example `ext4` or `fuse.pcfs`. */
  readonly type: string
  /** Minor device number: the name of a FUSE connection in fusectl. */
  readonly minor: number
}

/** All mounts of this mount namespace, in the order in which they were made. */
export function listMounts(): MountEntry[] {
  const entries: MountEntry[] = []
  for (const line of readFileSync('/proc/self/mountinfo', 'utf8').split('\n')) {
    const [left, right] = line.split(' - ')
    const fields = left?.split(' ') ?? []
    const path = fields[4]
    const minor = fields[2]?.split(':')[1]
    const type = right?.split(' ')[0]
    if (path === undefined || minor === undefined || type === undefined) continue
    entries.push({ path: unescapePath(path), type, minor: Number(minor) })
  }
  return entries
}

/** mountinfo writes space, tab, newline and backslash as three octal digits. */
function unescapePath(path: string): string {
  return path.replace(/\\([0-7]{3})/g, (_, octal: string) =>
    String.fromCodePoint(Number.parseInt(octal, 8))
  )
}

/** The topmost mount at a path, or null when nothing is mounted there. */
export function findMount(path: string): MountEntry | null {
  return listMounts().findLast((entry) => entry.path === path) ?? null
}

/**
 * Waits until something is mounted at a path.
 * @returns false when that took longer than `timeoutMs`
 */
export function waitMounted(path: string, timeoutMs = 15_000): Promise<boolean> {
  return waitFor(() => findMount(path) !== null, timeoutMs)
}

/**
 * Cuts a FUSE connection: every waiting request fails with ENOTCONN, so that processes in state D
 * can be killed. Needs no answer from the server. Does nothing for what is not FUSE.
 */
export async function abortMount(path: string): Promise<void> {
  const entry = findMount(path)
  if (entry === null || !entry.type.startsWith('fuse')) return
  const abort = join('/sys/fs/fuse/connections', String(entry.minor), 'abort')
  if (existsSync(abort)) {
    writeFileSync(abort, '1')
    return
  }
  // fusectl is not mounted: umount -f aborts the connection first, even when it then says "busy".
  await run('umount', ['-f', path], { timeoutMs: 5_000 })
}

/**
 * Removes every mount at a path, whatever state its server is in: abort, then a lazy unmount.
 * @returns whether the mount table is clean now
 */
export async function forceUnmount(path: string): Promise<boolean> {
  for (let i = 0; i < 8 && findMount(path) !== null; i++) {
    await abortMount(path)
    const lazily = await run('umount', ['-l', path], { timeoutMs: 5_000 })
    if (lazily.code !== 0) await run('fusermount3', ['-uz', path], { timeoutMs: 5_000 })
  }
  return findMount(path) === null
}

/** As `forceUnmount`, but synchronous: for the early end of a test process. */
export function forceUnmountNow(path: string): void {
  for (let i = 0; i < 8 && findMount(path) !== null; i++) {
    spawnSync('umount', ['-f', path], { timeout: 2_000 })
    if (findMount(path) !== null) spawnSync('umount', ['-l', path], { timeout: 2_000 })
  }
}

/**
 * Unmounts politely.
 * @returns whether it is unmounted
 */
export async function unmount(path: string, timeoutMs = 10_000): Promise<boolean> {
  if (findMount(path) === null) return true
  await run('umount', [path], { timeoutMs })
  return findMount(path) === null
}
