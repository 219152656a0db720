/**
 * A target: a folder on some file system that a suite or a benchmark row runs in. The suites are
 * written for pcfs, but run the same on the disk's own file system (which checks the suite) and on
 * the FUSE file systems that pcfs is compared with.
 */
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { ChildProcess } from 'node:child_process'
import { onEarlyEnd } from './cleanup.js'
import { forceUnmount, forceUnmountNow, unmount, waitMounted } from './mounts.js'
import { killGroup, must, start, waitFor } from './process.js'
import { Pcfs } from './pcfs.js'
import { makeTempFolder, type TempFolder } from './workspace.js'

/** The file systems that a suite can run on. */
export const TARGET_NAMES = ['disk', 'bindfs', 'gocryptfs', 'rclone', 'pcfs'] as const

/** One of the file systems that a suite can run on. */
export type TargetName = (typeof TARGET_NAMES)[number]

/** A folder on one file system; `start` before use, `stop` always. */
export interface Target {
  readonly name: TargetName
  /** The folder to work in; valid after `start`. */
  readonly dir: string
  /** Where its data lies on the disk (the home of pcfs, the peer's backing folder). */
  readonly backing: string
  /** Mounts it, empty. @throws {Error} when that does not succeed in time */
  start(): Promise<void>
  /** Unmounts and ends its server, by force where needed, and removes its data. Idempotent. */
  stop(): Promise<void>
  /** Unmounts and mounts again, with the content kept. */
  remount(): Promise<void>
  /** Kills its server with SIGKILL; the mount stays behind as a crash leaves it. */
  kill9(): Promise<void>
  /** Mounts again after `kill9`. @throws {Error} when that does not succeed in time */
  revive(): Promise<void>
  /** Gets waiting processes out of state D; for `RunOptions.onStuck`. */
  abort(): Promise<void>
  /** The pcfs behind the target, where it is one. */
  readonly pcfs: Pcfs | null
}

/** Parses a target's name. @throws {Error} naming the ones there are */
export function parseTargetName(text: string): TargetName {
  const name = TARGET_NAMES.find((known) => known === text)
  if (name === undefined) throw new Error(`no target ${text}; there are ${TARGET_NAMES.join(', ')}`)
  return name
}

/** The target of the suites: pcfs, or what PCFS_TEST_TARGET names. */
export function targetUnderTest(): Target {
  return makeTarget(parseTargetName(process.env['PCFS_TEST_TARGET'] ?? 'pcfs'))
}

/** Makes a target; nothing is mounted before its `start`. */
export function makeTarget(name: TargetName): Target {
  const folder = makeTempFolder(name)
  if (name === 'disk') return new DiskTarget(folder)
  if (name === 'pcfs') return new PcfsTarget(folder)
  return new PeerTarget(name, folder)
}

/** A plain folder of the disk's own file system. */
class DiskTarget implements Target {
  readonly name = 'disk'
  readonly pcfs = null
  readonly dir: string
  readonly backing: string

  constructor(private readonly folder: TempFolder) {
    this.dir = join(folder.path, 'dir')
    this.backing = this.dir
  }

  async start(): Promise<void> {
    mkdirSync(this.dir)
    await Promise.resolve()
  }

  async stop(): Promise<void> {
    this.folder[Symbol.dispose]()
    await Promise.resolve()
  }

  async remount(): Promise<void> {
    await must('sync', ['-f', this.dir])
  }

  async kill9(): Promise<void> {
    await Promise.resolve()
  }

  async revive(): Promise<void> {
    await Promise.resolve()
  }

  async abort(): Promise<void> {
    await Promise.resolve()
  }
}

/** A FUSE file system from Debian, over a folder of the disk. */
class PeerTarget implements Target {
  readonly pcfs = null
  readonly dir: string
  readonly backing: string
  private server: ChildProcess | null = null
  private forget: () => void = () => undefined

  constructor(
    readonly name: 'bindfs' | 'gocryptfs' | 'rclone',
    private readonly folder: TempFolder
  ) {
    this.dir = join(folder.path, 'mnt')
    this.backing = join(folder.path, 'data')
  }

  async start(): Promise<void> {
    mkdirSync(this.dir)
    mkdirSync(this.backing)
    if (this.name === 'gocryptfs') {
      writeFileSync(join(this.folder.path, 'password'), 'test\n')
      // The weakest key derivation: what is compared is the file system, not scrypt.
      await must('gocryptfs', ['-init', '-q', '-scryptn', '10', ...this.password(), this.backing])
    }
    this.forget = onEarlyEnd(() => {
      if (this.server !== null) killGroup(this.server)
      forceUnmountNow(this.dir)
    })
    await this.serve()
  }

  async stop(): Promise<void> {
    await this.unserve()
    this.forget()
    this.folder[Symbol.dispose]()
  }

  async remount(): Promise<void> {
    await this.unserve()
    await this.serve()
  }

  async kill9(): Promise<void> {
    const child = this.server
    if (child === null) return
    killGroup(child)
    await waitFor(() => child.signalCode !== null || child.exitCode !== null, 10_000)
    this.server = null
  }

  async revive(): Promise<void> {
    // The peers do not clean up after themselves; pcfs must.
    await forceUnmount(this.dir)
    await this.serve()
  }

  async abort(): Promise<void> {
    await forceUnmount(this.dir)
  }

  private password(): string[] {
    return ['-passfile', join(this.folder.path, 'password')]
  }

  /** The command line of each peer, in the foreground, open to other users where it can be. */
  private command(): string[] {
    const { backing, dir } = this
    if (this.name === 'bindfs') return ['bindfs', '-f', backing, dir]
    if (this.name === 'gocryptfs') {
      return ['gocryptfs', '-fg', '-q', '-allow_other', ...this.password(), backing, dir]
    }
    // Its full cache mode is the one in which rclone's mount is a read-write file system.
    const cache = ['--vfs-cache-mode', 'full', '--cache-dir', join(this.folder.path, 'cache')]
    return ['rclone', 'mount', ...cache, '--allow-other', '--config', '/dev/null', backing, dir]
  }

  private async serve(): Promise<void> {
    const [program, ...args] = this.command()
    if (program === undefined) throw new Error('no command')
    const child = start(program, args, { stdio: 'ignore' })
    this.server = child
    if (await waitMounted(this.dir)) return
    throw new Error(`${this.name} did not mount (exit code ${child.exitCode ?? 'none'})`)
  }

  private async unserve(): Promise<void> {
    const child = this.server
    if (!(await unmount(this.dir))) await forceUnmount(this.dir)
    if (child === null) return
    const ended = (): boolean => child.exitCode !== null || child.signalCode !== null
    if (!(await waitFor(ended, 10_000))) killGroup(child)
    this.server = null
  }
}

/** pcfs itself, on a new home, mounted with all POSIX options. */
class PcfsTarget implements Target {
  readonly name = 'pcfs'
  readonly pcfs: Pcfs
  readonly dir: string
  readonly backing: string

  constructor(private readonly folder: TempFolder) {
    this.pcfs = new Pcfs({ folder: folder.path })
    this.dir = this.pcfs.dir
    this.backing = this.pcfs.home
  }

  start(): Promise<void> {
    return this.pcfs.mount()
  }

  async stop(): Promise<void> {
    await this.pcfs.destroy()
    this.folder[Symbol.dispose]()
  }

  async remount(): Promise<void> {
    await this.pcfs.stop()
    await this.pcfs.mount()
  }

  kill9(): Promise<void> {
    return this.pcfs.kill9()
  }

  async revive(): Promise<void> {
    if (!(await this.pcfs.mountUnsupervised()))
      throw new Error(`${this.pcfs.lastMount}\n${this.pcfs.logTail()}`)
  }

  abort(): Promise<void> {
    return this.pcfs.abort()
  }
}
