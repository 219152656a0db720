/**
 * Finds and removes what a test file left behind: mounts below its own temporary directory, and
 * processes that carry its mark in their environment. Mounts are only ever touched from child
 * processes, and aborted before they are detached, so that a hung one cannot hang the runner.
 */
import { execFileSync } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'

/** A mounted filesystem, as /proc/self/mounts has it. */
export interface MountEntry {
  readonly path: string
  readonly type: string
}

/** A process that is alive. */
export interface ProcessEntry {
  readonly pid: number
  readonly command: string
}

/** All mounts of this mount namespace. */
export function listMounts(): MountEntry[] {
  return parseMounts(readFileSync('/proc/self/mounts', 'utf8'))
}

/** @param text in the format of /proc/mounts; see fstab(5) for the octal escapes */
export function parseMounts(text: string): MountEntry[] {
  const entries: MountEntry[] = []
  for (const line of text.split('\n')) {
    const [, path, type] = line.split(' ')
    if (path === undefined || type === undefined) continue
    const unescaped = path.replace(/\\([0-7]{3})/g, (_, octal: string) =>
      String.fromCharCode(Number.parseInt(octal, 8))
    )
    entries.push({ path: unescaped, type })
  }
  return entries
}

/** Mounts at or below a directory, the innermost first. */
export function mountsBelow(directory: string): MountEntry[] {
  return listMounts()
    .filter(({ path }) => path === directory || path.startsWith(`${directory}/`))
    .reverse()
}

/** Aborts and detaches a mount; returns when it is gone or cannot be removed. */
export function removeMount(path: string): void {
  for (const [command, ...args] of [
    ['umount', '-f', path],
    ['umount', '-l', path],
    ['fusermount3', '-uz', path]
  ] as const) {
    if (!listMounts().some((entry) => entry.path === path)) return
    try {
      execFileSync(command, args, { stdio: 'ignore', timeout: 10_000, killSignal: 'SIGKILL' })
    } catch {
      // The next way may do it; what stays is reported by the caller.
    }
  }
}

/**
 * Processes whose environment has `mark`. Those of other users are only seen by root.
 * @param mark `NAME=value`
 */
export function processesMarked(mark: string): ProcessEntry[] {
  const found: ProcessEntry[] = []
  for (const name of readdirSync('/proc')) {
    const pid = Number(name)
    if (!Number.isInteger(pid) || pid === process.pid) continue
    try {
      if (!readFileSync(`/proc/${pid}/environ`, 'latin1').split('\0').includes(mark)) continue
      const command = readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ').trim()
      if (command !== '') found.push({ pid, command: command.slice(0, 120) })
    } catch {
      // It ended while we looked, or is not ours to see.
    }
  }
  return found
}

/** Kills one process that a test left; one that has ended already is no error. */
export function killLeft(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL')
  } catch {
    // Gone already.
  }
}
