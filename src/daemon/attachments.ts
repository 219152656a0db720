/** Attached drives of one daemon: the list in the home, the thread that reads, what is shown. */
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { parseDriveKey } from '../attach/drive-key.js'
import { type Attachment, readAttachments, writeAttachments } from '../attach/attachment-list.js'
import type { Logger } from '../base/log.js'
import { Failure } from '../control/failure.js'
import type { AttachedReport, Operations } from '../control/operations.js'
import { ROOT_INO } from '../format/ids.js'
import type { Name } from '../union/changes.js'
import type { Filesystem } from '../vfs/filesystem.js'
import { Foreign } from '../vfs/foreign.js'
import type { Grafts } from '../vfs/grafts.js'
import { AttachClient } from './attach-client.js'
import type { NetworkSetting } from './config.js'
import type { HomePaths } from './home.js'

/** Most drives: each has a store, and a socket, of its own. */
const ATTACHED_MAX = 32
/** Where a drive is shown when nobody says where. */
const FOLDER = '/Attached'
const S_IFDIR = 0o040000

/** What an operator can ask of attached drives. */
export type AttachOperations = Pick<Operations, 'attach' | 'detach' | 'attached'>

/** The parts it works with. */
export interface AttachmentsParts {
  readonly home: Pick<HomePaths, 'attached' | 'attachments'>
  readonly vfs: Filesystem
  readonly network: NetworkSetting | null
  /** Content that is kept of each drive. */
  readonly keepBytes: number
  readonly nowMs: () => number
  readonly log: Logger
}

interface Attached extends Attachment {
  /** Of this run: what the other parts call it. */
  readonly drive: number
  /** Inode of its top. */
  readonly ino: number
}

/** See the file's head. */
export class Attachments {
  readonly foreign: Foreign
  readonly operations: AttachOperations = {
    attach: async ({ key, path }) => this.#attach(parseDriveKey(key), path),
    detach: async ({ which }) => this.#detach(which),
    attached: async () => ({ attached: await this.#list() })
  }
  readonly #client: AttachClient
  #attached: readonly Attached[] = []
  #nextDrive = 1

  /** Shows what is in the list; nothing is waited for. @throws {FsError} EIO: it is damaged */
  constructor(private readonly parts: AttachmentsParts) {
    const { vfs, network, keepBytes, log, home } = parts
    this.#client = new AttachClient({
      network,
      keepBytes,
      log,
      onChange: (drive, change) => {
        this.foreign.onChanged(drive, change).catch((error: unknown) => {
          log.warn({ err: error }, 'a change of an attached drive may not be shown')
        })
      }
    })
    const { plane, ownership } = vfs.volume.parts
    this.foreign = new Foreign({ plane, drives: this.#client, grafts: this.grafts, ownership })
    this.#show(readAttachments(home.attachments).map((each) => this.#open(each)))
  }

  /** Where they are shown. */
  get grafts(): Grafts {
    return this.parts.vfs.volume.grafts
  }

  /**
   * Attaches a drive, and gives it some seconds to be found.
   * @param key of the drive
   * @param path in the tree; null = `/Attached` and the key's first digits
   * @throws {Failure} `failed` when it is attached already, or cannot be shown there
   */
  async #attach(key: Buffer, path: string | null): Promise<AttachedReport> {
    const hex = key.toString('hex')
    const names = namesOf(path ?? `${FOLDER}/${hex.slice(0, 8)}`)
    const place = pathOf(names)
    this.#checkNew(hex, place)
    this.#makeWay(names)
    const attachment = { key: hex, path: place, addedMs: this.parts.nowMs() }
    writeAttachments(this.parts.home.attachments, [...this.#stored(), attachment])
    const attached = this.#open(attachment)
    this.#show([...this.#attached, attached])
    // Whatever it fails of: the report says how it is.
    await this.#client.lookup(attached.drive, '/.').catch(() => undefined)
    return this.#report(attached)
  }

  /**
   * Takes a drive out of the tree, and removes what was kept of it.
   * @param which its key in hexadecimal, or its path
   * @throws {Failure} `failed` when there is none
   */
  async #detach(which: string): Promise<{ readonly key: string; readonly path: string }> {
    const place = which.startsWith('/') ? pathOf(namesOf(which)) : null
    const found = this.#attached.find(({ key, path }) => key === which || path === place)
    if (!found) throw failed('ENOENT', `nothing is attached at ${which}; see pcfs attach --list`)
    writeAttachments(
      this.parts.home.attachments,
      this.#stored().filter(({ key }) => key !== found.key)
    )
    this.#show(this.#attached.filter((each) => each !== found))
    this.foreign.detach(found.drive)
    await this.#client.remove(found.drive)
    return { key: found.key, path: found.path }
  }

  /** All that is attached. */
  async #list(): Promise<AttachedReport[]> {
    return Promise.all(this.#attached.map(async (each) => this.#report(each)))
  }

  /** Ends all reading. What is attached stays so. */
  async close(): Promise<void> {
    await this.#client.close()
  }

  #open(attachment: Attachment): Attached {
    const drive = this.#nextDrive++
    const directory = join(this.parts.home.attached, attachment.key.slice(0, 32))
    mkdirSync(directory, { recursive: true, mode: 0o700 })
    this.#client.open(drive, { directory, key: attachment.key })
    return { ...attachment, drive, ino: this.foreign.attach(drive, attachment.addedMs) }
  }

  #show(attached: readonly Attached[]): void {
    this.#attached = attached
    this.grafts.set(attached.map(({ path, ino }) => ({ names: namesOf(path), ino })))
  }

  #stored(): Attachment[] {
    return this.#attached.map(({ key, path, addedMs }) => ({ key, path, addedMs }))
  }

  #checkNew(key: string, place: string): void {
    if (this.#attached.length >= ATTACHED_MAX) {
      throw failed('EMFILE', `${ATTACHED_MAX} drives are attached; detach one first`)
    }
    for (const other of this.#attached) {
      if (other.key === key) throw failed('EEXIST', `the drive is attached already: ${other.path}`)
      const isIn = `${place}/`.startsWith(`${other.path}/`)
      if (isIn) throw failed('EEXIST', `another drive is attached at ${other.path}`)
    }
  }

  /** Makes the directories that lead to a place. @throws {Failure} when something is in the way */
  #makeWay(names: readonly Name[]): void {
    const { vfs } = this.parts
    const { index, plane, ownership } = vfs.volume.parts
    let parent = ROOT_INO
    names.forEach((name, i) => {
      const at = { parent, name }
      const there = index.dirent(parent, name)
      const path = pathOf(names.slice(0, i + 1))
      if (i === names.length - 1) {
        if (there) throw failed('EEXIST', `there is a ${path} in the tree; give another path`)
        return
      }
      if (there && vfs.volume.row(there.ino).mode >> 12 !== S_IFDIR >> 12) {
        throw failed('ENOTDIR', `${path} is no directory; give another path`)
      }
      parent = there?.ino ?? vfs.names.make(at, { mode: S_IFDIR | 0o755 }, ownership)
      if (!there) plane.invalidateEntry(at.parent, Buffer.from(name, 'latin1'))
    })
  }

  async #report({ drive, ino, key, path }: Attached): Promise<AttachedReport> {
    const { version, peers } = await this.#client.state(drive).catch(() => NOT_OPEN)
    return { key, path, isShown: this.grafts.placeOf(ino) !== null, version, peers }
  }
}

const NOT_OPEN = { version: 0, peers: 0 }

function failed(
  code: 'EEXIST' | 'ENOTDIR' | 'ENOENT' | 'EMFILE' | 'EINVAL',
  message: string
): Failure {
  return new Failure('failed', message, { code })
}

/** The names of a path in the tree, one character per byte. */
function namesOf(path: string): Name[] {
  const names = path.split('/').filter((name) => name !== '')
  const bytes = names.map((name) => Buffer.from(name).toString('latin1'))
  const isWrong = names.some((name) => name === '.' || name === '..' || name.includes('\0'))
  if (isWrong || bytes.length === 0 || bytes.some((name) => name.length > 255)) {
    throw failed('EINVAL', `'${path}' is no path in the tree to attach a drive at`)
  }
  return bytes
}

function pathOf(names: readonly Name[]): string {
  return names.map((name) => `/${Buffer.from(name, 'latin1').toString()}`).join('')
}
