/**
 * What is mounted where, and getting rid of dead mounts. Nothing here touches a mounted directory
 * from this process: a call into a dead or hung mount may never come back.
 */
import { execFile } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { Failure } from '../control/failure.js'

/** How long a mount may take to answer before it counts as dead. */
const PROBE_MS = 5000
/** Mounts stacked on one directory that are removed at most. */
const MAX_STACKED = 16

/** One line of /proc/self/mountinfo, see proc(5). */
export interface MountedAt {
  readonly path: string
  /** For example `fuse.pcfs`. */
  readonly type: string
  /** For pcfs the home that it comes from. */
  readonly source: string
}

/** Reads /proc/self/mountinfo. */
export function parseMountInfo(text: string): MountedAt[] {
  const found: MountedAt[] = []
  for (const line of text.split('\n')) {
    const [before = '', after] = line.split(' - ')
    const path = before.split(' ')[4]
    const [type, source] = (after ?? '').split(' ')
    if (path === undefined || type === undefined || source === undefined) continue
    found.push({ path: unescape(path), type, source: unescape(source) })
  }
  return found
}

/**
 * The mounts on one directory, the lowest first; only the last is seen.
 * @param path absolute, without symbolic links
 */
export async function mountsOn(path: string): Promise<MountedAt[]> {
  const text = await readFile('/proc/self/mountinfo', 'utf8')
  return parseMountInfo(text).filter((mount) => mount.path === path)
}

/**
 * Whether a mounted directory answers. A dead one says ENOTCONN; one that says nothing in time
 * counts as dead too.
 */
export async function answers(path: string): Promise<boolean> {
  return (await run('stat', ['-f', '--', path])).ok
}

/**
 * Detaches the pcfs mounts that lie on top of a directory. Who has files open in one keeps them
 * until closed.
 * @param path absolute, without symbolic links
 * @param home only mounts of this home
 * @throws {Failure} `mount-point` when one stays
 */
export async function detachAll(path: string, home: string): Promise<void> {
  let said = ''
  for (let tries = 0; tries < MAX_STACKED; tries++) {
    const top = (await mountsOn(path)).at(-1)
    if (top?.type !== 'fuse.pcfs' || top.source !== home) return
    const done =
      process.geteuid?.() === 0
        ? await run('umount', ['-l', '--', path])
        : await run('fusermount3', ['-u', '-z', '--', path])
    said = done.said
  }
  throw new Failure('mount-point', `a dead mount stays on ${path} (${said})`, { code: 'EBUSY' })
}

interface Ran {
  readonly ok: boolean
  /** Last line of what it said. */
  readonly said: string
}

async function run(program: string, args: readonly string[]): Promise<Ran> {
  return new Promise((resolve) => {
    const options = { timeout: PROBE_MS, killSignal: 'SIGKILL' } as const
    const child = execFile(program, args, options, (error, _stdout, stderr) => {
      finish({ ok: error === null, said: stderr.trim().split('\n').at(-1) ?? '' })
    })
    // A child that hangs in the kernel does not even die by SIGKILL; it is left behind.
    const timer = setTimeout(() => finish({ ok: false, said: 'no answer' }), PROBE_MS + 1000)
    const finish = (result: Ran): void => {
      clearTimeout(timer)
      child.unref()
      resolve(result)
    }
  })
}

function unescape(text: string): string {
  return text.replace(/\\([0-7]{3})/g, (_, octal: string) =>
    String.fromCharCode(Number.parseInt(octal, 8))
  )
}
