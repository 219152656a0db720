/**
 * A disk that can lose power: an ext4 or XFS file system in an image file, mounted by a loop device
 * in the private mount namespace of this process (`unshare -m`), so that nothing of it is left
 * behind whatever happens. A power loss shuts the file system down without flushing its journal;
 * the next "boot" mounts the image again and has another boot id.
 */
import { readdirSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { randomUUID } from 'node:crypto'
import { must, run, waitFor } from '../support/process.js'
import { compileHelper } from '../support/workspace.js'
import { findMount } from '../support/mounts.js'

const BOOT_ID = '/proc/sys/kernel/random/boot_id'
const IMAGE_BYTES = 3 * 2 ** 30

/** The file systems that the disk can have; `journal` is ext4 with its data in the journal, too. */
export type DiskKind = 'ext4' | 'xfs' | 'journal'

/** The disk. */
export class PowerDisk {
  /** Where it is mounted. */
  readonly path: string
  private readonly image: string
  private readonly bootIdFile: string

  /** @param folder a folder of another disk, for the image */
  constructor(
    folder: string,
    private readonly kind: DiskKind
  ) {
    this.path = join(folder, 'disk')
    this.image = join(folder, 'image')
    this.bootIdFile = join(folder, 'boot-id')
  }

  /** Makes the file system and mounts it. */
  async make(): Promise<void> {
    writeFileSync(this.image, '')
    truncateSync(this.image, IMAGE_BYTES)
    await must('mkdir', [this.path])
    const make = this.kind === 'xfs' ? ['mkfs.xfs', '-q'] : ['mkfs.ext4', '-q', '-F']
    await must(make[0] ?? '', [...make.slice(1), this.image])
    await this.boot()
  }

  /** Mounts the image as it is, with a new boot id. */
  async boot(): Promise<void> {
    writeFileSync(this.bootIdFile, `${randomUUID()}\n`)
    if (findMount(BOOT_ID) !== null) await must('umount', [BOOT_ID])
    await must('mount', ['--bind', this.bootIdFile, BOOT_ID])
    const options = this.kind === 'journal' ? 'loop,data=journal' : 'loop'
    await must('mount', ['-o', options, this.image, this.path])
  }

  /** Loses everything that was not made durable. The file system answers EIO from then on. */
  async lose(): Promise<void> {
    await must(await compileHelper('test/crash/power.c'), ['lose', this.path])
  }

  /** Unmounts; nothing may use it any more. A killed process may take a moment to let go. */
  async unmount(): Promise<void> {
    const gone = await waitFor(
      async () => findMount(this.path) === null || (await run('umount', [this.path])).code === 0,
      10_000,
      100
    )
    if (gone) return
    const users = await run('fuser', ['-vm', this.path])
    throw new Error(`${this.path} is still in use: ${users.stderr}${users.stdout}`)
  }

  /**
   * Writes some files' dirty pages to the disk without making them durable.
   * @param chosen decides for each file of the disk below `below`
   */
  async writeBackSome(below: string, chosen: (file: string) => boolean): Promise<void> {
    const program = await compileHelper('test/crash/power.c')
    let names: string[] = []
    try {
      names = readdirSync(below, { recursive: true, encoding: 'utf8' })
    } catch {
      // a file went while it was listed
    }
    for (const name of names.filter((file) => chosen(file)).slice(0, 40)) {
      await run(program, ['writeback', join(below, name)], { timeoutMs: 10_000 })
    }
  }
}
