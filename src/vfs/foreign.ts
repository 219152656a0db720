/**
 * The trees of attached drives, read-only: brings what is asked for into the data plane's tables,
 * and takes it out when the drive has changed. Content goes through to whoever asks; the kernel
 * caches it.
 */
import type { ForeignChange, ForeignDrives, ForeignEntry } from '../attach/types.js'
import { FsError } from '../base/errors.js'
import { STAT_BYTES } from '../union/row.js'
import { type ForeignNode, ForeignNodes } from './foreign-nodes.js'
import type { Grafts } from './grafts.js'
import type { DataPlane } from './plane.js'
import { PLAIN } from './plane.js'
import type { Ownership } from './volume.js'

/** Flag of a packed inode: a write is EROFS. */
const READ_ONLY = 4
/** Inodes handed over in one call. */
const BATCH = 2048
/** Calls that may be on their way: each holds a slot that the rest of the mount needs too. */
const CALLS_MAX = 24
/** How often something is read anew because the drive has changed meanwhile. */
const ATTEMPTS = 8

const MODES = { dir: 0o040755, file: 0o100644, link: 0o120777 } as const
const DTYPES = { dir: 4, file: 8, link: 10 } as const

/** The parts it works with. */
export interface ForeignParts {
  readonly plane: DataPlane
  readonly drives: ForeignDrives
  readonly grafts: Pick<Grafts, 'placeOf'>
  readonly ownership: Ownership
}

interface Drive {
  readonly id: number
  readonly addedMs: number
  /** The newest that is known here. */
  version: number
}

/** See the file's head. All calls throw FsErrors; ESTALE where the drive was detached. */
export class Foreign {
  readonly #nodes = new ForeignNodes()
  readonly #drives = new Map<number, Drive>()
  #calls = 0

  constructor(private readonly parts: ForeignParts) {}

  /** Adds a drive. @returns the inode number of its top */
  attach(id: number, addedMs: number): number {
    this.#drives.set(id, { id, addedMs, version: 0 })
    const top = this.#nodes.top(id)
    this.#show([top])
    return top.ino
  }

  /** Forgets a drive, also for those who have its files open. */
  detach(id: number): void {
    this.#drives.delete(id)
    const nodes = [...this.#nodes.ofDrive(id)]
    for (const node of nodes) {
      this.#drop(node)
      this.parts.plane.invalidateInode(node.ino, -1, 0)
    }
  }

  /** Gives one node to the data plane. */
  showNode(ino: number): void {
    this.#show([this.#nodes.of(ino)])
  }

  /** The node that a name of a directory stands for, in the data plane; null: none. */
  async lookup(parent: number, name: string): Promise<number | null> {
    const path = `${this.#directory(parent).path}/${name}`
    const { entry } = await this.#current(parent, async ({ id }) => {
      return this.parts.drives.lookup(id, path)
    })
    if (entry === null) return null
    const node = this.#nodes.child(this.#directory(parent), entry)
    this.#show([node])
    return node.ino
  }

  /** Gives a directory, all its names and their inodes, to the data plane. */
  async load(ino: number): Promise<void> {
    const { path } = this.#directory(ino)
    const { entries } = await this.#current(ino, async ({ id }) => this.parts.drives.list(id, path))
    const dir = this.#directory(ino)
    const nodes = entries.map((entry) => this.#nodes.child(dir, entry))
    this.#show(nodes)
    const packed = packNames(nodes)
    this.parts.plane.putDir(ino, packed, nodes.length, this.#parentOf(dir))
    for (const node of this.#nodes.surplus()) this.#drop(node)
  }

  /** Bytes of a file. @throws {FsError} EIO: the drive has less than it says */
  async read(ino: number, fileOffset: number, length: number): Promise<Uint8Array> {
    const { drive, entry } = this.#nodes.of(ino)
    const wanted = Math.max(0, Math.min(length, entry.size - fileOffset))
    const { blob } = entry
    if (blob === null || wanted === 0) return Buffer.alloc(0)
    const range = { fileOffset, length: wanted }
    const bytes = await this.#call(async () => this.parts.drives.read(drive, blob, range))
    if (bytes.length === wanted) return bytes
    throw new FsError('EIO', 'an attached drive has less content than it says')
  }

  /** The size of a file. */
  sizeOf(ino: number): number {
    return this.#nodes.of(ino).entry.size
  }

  /** The target of a link. @throws {FsError} EINVAL: it is none */
  readlink(ino: number): Buffer {
    const { target } = this.#nodes.of(ino).entry
    if (target === null) throw new FsError('EINVAL')
    return Buffer.from(target, 'latin1')
  }

  /** A drive has changed: the kernel forgets what is not so any more. */
  async onChanged(id: number, { version, paths }: ForeignChange): Promise<void> {
    const drive = this.#drives.get(id)
    if (!drive) return
    drive.version = version
    if (paths === null) {
      this.#forgetAll(id)
      return
    }
    const onTheWay = new Map<string, ForeignNode>()
    for (const path of paths) {
      for (const node of this.#forgetPath(id, path)) onTheWay.set(node.path, node)
    }
    for (const node of onTheWay.values()) await this.#checkDirectory(node)
  }

  /** @returns directories below the top that are known and had a change in them */
  *#forgetPath(id: number, path: string): Generator<ForeignNode> {
    let at = ''
    for (const name of path.split('/').slice(1)) {
      const dir = this.#nodes.directory(id, at)
      if (dir === null) return
      if (at !== '') yield dir
      this.#forgetNames(dir)
      at += `/${name}`
      const isLeaf = at.length >= path.length
      if (isLeaf || this.#nodes.directory(id, at) === null) this.#forgetEntry(dir, name)
    }
  }

  /** A directory exists as long as something is in it. */
  async #checkDirectory({ ino, drive, parent, path, entry }: ForeignNode): Promise<void> {
    try {
      const found = await this.parts.drives.lookup(drive, path)
      if (found.entry?.kind === 'dir') return
    } catch {
      // Then it is looked up again by who wants it.
    }
    const dir = this.#nodes.of(parent)
    this.#forgetEntry(dir, entry.name)
    this.parts.plane.dropDir(ino)
  }

  #forgetNames(dir: ForeignNode): void {
    this.parts.plane.dropDir(dir.ino)
    this.#show([dir])
    this.parts.plane.invalidateInode(dir.ino, -1, 0)
  }

  #forgetEntry(dir: ForeignNode, name: string): void {
    this.parts.plane.invalidateEntry(dir.ino, Buffer.from(name, 'latin1'))
  }

  /** Also of names that are not there: the kernel drops all that is below the top. */
  #forgetAll(id: number): void {
    for (const node of this.#nodes.ofDrive(id)) {
      if (node.entry.kind === 'dir') this.#forgetNames(node)
    }
    const place = this.parts.grafts.placeOf(this.#nodes.top(id).ino)
    if (!place) return
    this.parts.plane.invalidateEntry(place.parent, Buffer.from(place.name, 'latin1'))
  }

  #drop(node: ForeignNode): void {
    const { ino, entry } = node
    this.#nodes.forget(node)
    if (entry.kind === 'dir') this.parts.plane.dropDir(ino)
    this.parts.plane.dropInode(ino)
  }

  #directory(ino: number): ForeignNode {
    const node = this.#nodes.of(ino)
    if (node.entry.kind !== 'dir') throw new FsError('ENOTDIR')
    return node
  }

  #parentOf(dir: ForeignNode): number {
    if (dir.path !== '') return dir.parent
    return this.parts.grafts.placeOf(dir.ino)?.parent ?? dir.ino
  }

  /** Asks until the answer is as new as what is known of the drive. */
  async #current<T extends { readonly version: number }>(
    ino: number,
    ask: (drive: Drive) => Promise<T>
  ): Promise<T> {
    for (let attempt = 1; ; attempt++) {
      const drive = this.#drives.get(this.#nodes.of(ino).drive)
      if (!drive) throw new FsError('ESTALE')
      const answer = await this.#call(async () => ask(drive))
      if (answer.version >= drive.version || attempt === ATTEMPTS) return answer
    }
  }

  async #call<T>(work: () => Promise<T>): Promise<T> {
    if (this.#calls >= CALLS_MAX) {
      throw new FsError('ETIMEDOUT', 'too many requests wait for attached drives')
    }
    this.#calls++
    try {
      return await work()
    } finally {
      this.#calls--
    }
  }

  #show(nodes: readonly ForeignNode[]): void {
    for (let from = 0; from < nodes.length; from += BATCH) {
      const batch = nodes.slice(from, from + BATCH)
      const packed = Buffer.alloc(batch.length * STAT_BYTES)
      batch.forEach((node, i) => this.#packStat(node, packed.subarray(i * STAT_BYTES)))
      this.parts.plane.putInodes(packed, batch.length)
    }
  }

  /**
   * A drive knows no times. A file's are those of its attachment, and a microsecond later for each
   * block of the drive before it, so that a file that was written again looks newer, always.
   */
  #packStat({ ino, drive, entry }: ForeignNode, stat: Buffer): void {
    const { addedMs, version } = this.#drives.get(drive) ?? { addedMs: 0, version: 0 }
    const block = entry.kind === 'dir' ? version : entry.seq
    const timeNs = BigInt(Math.floor(addedMs)) * 1_000_000n + BigInt(block) * 1000n
    const { uid, gid } = this.parts.ownership
    stat.writeUIntLE(ino, 0, 6)
    stat.writeUIntLE(entry.size, 8, 6)
    for (const at of [16, 24, 32, 40]) stat.writeBigInt64LE(timeNs, at)
    stat.writeUInt32LE(modeOf(entry), 48)
    stat.writeUInt32LE(entry.kind === 'dir' ? 2 : 1, 52)
    stat.writeUInt32LE(uid, 56)
    stat.writeUInt32LE(gid, 60)
    stat.writeUInt32LE(PLAIN | READ_ONLY, 68)
    // All content is the base's: none is held locally.
    if (entry.kind === 'file') stat.writeUIntLE(entry.size, 72, 6)
    stat.writeUIntLE(entry.size, 88, 6)
  }
}

function modeOf({ kind, isExecutable }: ForeignEntry): number {
  return MODES[kind] | (kind === 'file' && isExecutable ? 0o111 : 0)
}

function packNames(nodes: readonly ForeignNode[]): Buffer {
  const names = nodes.map(({ ino, entry }) => {
    const head = Buffer.alloc(10)
    head.writeUIntLE(ino, 0, 6)
    head[8] = DTYPES[entry.kind]
    head[9] = entry.name.length
    return Buffer.concat([head, Buffer.from(entry.name, 'latin1')])
  })
  return Buffer.concat(names)
}
