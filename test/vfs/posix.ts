/**
 * System calls on a test volume by path: walks, opens and checks as the kernel would, which sends
 * nothing that it can refuse itself.
 */
import { FsError } from '../../src/base/errors.js'
import { dataOf, type Op } from './operations.js'
import type { Result } from './reference.js'
import type { Attr, TestKernel } from './test-kernel.js'

const KIND = 0o170000
const DIR = 0o040000
const LINK = 0o120000
const FATTR = { mode: 1, size: 8, mtime: 32 } as const
const CHUNK = 1 << 20

interface Spot {
  readonly dir: Attr
  readonly name: string
}

interface Handle {
  readonly ino: number
  linkable: boolean
}

/** What a tree looks like from outside. */
export interface Seen {
  readonly attr: Attr
  readonly data: Buffer | null
  readonly target: string | null
  readonly xattrs: ReadonlyMap<string, string>
  readonly children: ReadonlyMap<string, Seen>
}

/** See the file's head. */
export class Posix {
  readonly #handles = new Map<number, Handle>()

  /**
   * @param kernel asks
   * @param root directory that paths begin at
   */
  constructor(
    private readonly kernel: TestKernel,
    private readonly root: number
  ) {}

  /** @throws {FsError} as the system call would */
  async run(op: Op): Promise<Result> {
    switch (op.op) {
      case 'create':
      case 'mkdir':
      case 'symlink':
        return this.#make(op)
      case 'unlink':
      case 'rmdir':
        return this.#remove(op.op, op.path)
      case 'link':
        return this.#link((await this.#at(op.path, false)).ino, true, op.to)
      case 'rename':
        return this.#rename(op.path, op.to, op.flags)
      case 'list': {
        const dir = this.#directory(await this.#at(op.path, true))
        return (await this.kernel.readdir(dir.ino)).map(decoded).sort()
      }
      case 'chmod':
      case 'utimes':
      case 'setxattr':
      case 'removexattr':
        return this.#attributes(op)
      case 'tmpfile': {
        const dir = this.#directory(await this.#at(op.path, true))
        const { ino } = await this.kernel.tmpfile(dir.ino, 0o600)
        return this.#keep(op.handle, { ino, linkable: true })
      }
      case 'open': {
        const { ino } = await this.#file(op.path)
        return this.#keep(op.handle, { ino, linkable: false })
      }
      case 'close':
        this.#handle(op.handle)
        this.#handles.delete(op.handle)
        return null
      default:
        return this.#content(op)
    }
  }

  async #content(op: Op): Promise<Result> {
    switch (op.op) {
      case 'write':
        return this.#write((await this.#file(op.path)).ino, op.at, dataOf(op.length, op.byte))
      case 'hwrite':
        return this.#write(this.#handle(op.handle).ino, op.at, dataOf(op.length, op.byte))
      case 'read':
        return this.#read((await this.#file(op.path)).ino, op.at, op.length)
      case 'hread':
        return this.#read(this.#handle(op.handle).ino, op.at, op.length)
      case 'truncate': {
        const { ino } = await this.#file(op.path)
        await this.kernel.setattr(ino, { 16: op.size }, { 0: FATTR.size })
        return null
      }
      case 'allocate':
        await this.kernel.fallocate((await this.#file(op.path)).ino, op.mode, op.at, op.length)
        return null
      case 'fsync':
        await this.kernel.fsync((await this.#file(op.path)).ino)
        return null
      case 'hlink': {
        const handle = this.#handle(op.handle)
        const { nlink } = await this.kernel.getattr(handle.ino)
        await this.#link(handle.ino, nlink > 0 || handle.linkable, op.to)
        handle.linkable = false
        return null
      }
      default:
        throw new Error(`unknown operation ${op.op}`)
    }
  }

  async #make(op: Extract<Op, { op: 'create' | 'mkdir' | 'symlink' }>): Promise<Result> {
    const { dir, name } = await this.#spot(op.path)
    if (await this.#find(dir, name)) throw new FsError('EEXIST')
    if (op.op === 'mkdir') await this.kernel.mkdir(dir.ino, name, op.mode & 0o1777)
    else if (op.op === 'symlink') await this.kernel.symlink(dir.ino, name, op.target)
    else await this.kernel.create(dir.ino, name, op.mode)
    return null
  }

  async #remove(op: 'unlink' | 'rmdir', path: string): Promise<Result> {
    const { dir, name } = await this.#spot(path)
    await this.kernel[op](dir.ino, name)
    return null
  }

  async #link(ino: number, linkable: boolean, to: string): Promise<Result> {
    const { dir, name } = await this.#spot(to)
    if (await this.#find(dir, name)) throw new FsError('EEXIST')
    if (!linkable) throw new FsError('ENOENT')
    await this.kernel.link(ino, dir.ino, name)
    return null
  }

  async #rename(path: string, to: string, flags: number): Promise<Result> {
    const from = await this.#spot(path)
    const onto = await this.#spot(to)
    const source = await this.#find(from.dir, from.name)
    if (!source) throw new FsError('ENOENT')
    const target = await this.#find(onto.dir, onto.name)
    if (flags === 1 && target) throw new FsError('EEXIST')
    if (flags === 2 && !target) throw new FsError('ENOENT')
    if (await this.#isAbove(source, to)) throw new FsError('EINVAL')
    if (target && (await this.#isAbove(target, path))) {
      throw new FsError(flags === 2 ? 'EINVAL' : 'ENOTEMPTY')
    }
    if (source.ino === target?.ino) return null
    await this.kernel.rename([from.dir.ino, from.name], [onto.dir.ino, onto.name], flags)
    return null
  }

  /** Whether a node is a directory on the way to a path. */
  async #isAbove(node: Attr, path: string): Promise<boolean> {
    const parts = path.split('/').slice(0, -1)
    for (let count = 1; count <= parts.length; count++) {
      const above = await this.#at(parts.slice(0, count).join('/'), false)
      if (above.ino === node.ino) return true
    }
    return false
  }

  async #attributes(
    op: Extract<Op, { op: 'chmod' | 'utimes' | 'setxattr' | 'removexattr' }>
  ): Promise<Result> {
    const { ino } = await this.#at(op.path, op.op !== 'utimes')
    if (op.op === 'chmod') await this.kernel.setattr(ino, {}, { 0: FATTR.mode, 68: op.mode })
    else if (op.op === 'utimes') {
      await this.kernel.setattr(ino, { 40: op.mtimeS }, { 0: FATTR.mtime })
    } else if (op.op === 'removexattr') await this.kernel.removexattr(ino, op.name)
    else await this.kernel.setxattr(ino, op.name, Buffer.from(op.value), op.flags)
    return null
  }

  async #write(ino: number, at: number, data: Buffer): Promise<Result> {
    if (data.length > 0) await this.kernel.write(ino, at, data)
    return null
  }

  async #read(ino: number, at: number, length: number): Promise<Result> {
    if (length === 0) return ''
    return (await this.kernel.read(ino, at, length)).toString('latin1')
  }

  #keep(handle: number, opened: Handle): Result {
    this.#handles.set(handle, opened)
    return null
  }

  #handle(handle: number): Handle {
    const opened = this.#handles.get(handle)
    if (!opened) throw new FsError('EBADF')
    return opened
  }

  /** Whether files are open. */
  get hasHandles(): boolean {
    return this.#handles.size > 0
  }

  closeAll(): void {
    this.#handles.clear()
  }

  async #find(dir: Attr, name: string): Promise<Attr | null> {
    try {
      return await this.kernel.lookup(dir.ino, name)
    } catch (error) {
      if (error instanceof FsError && error.code === 'ENOENT') return null
      throw error
    }
  }

  async #spot(path: string): Promise<Spot> {
    const parts = path.split('/').map((part) => Buffer.from(part).toString('latin1'))
    const name = parts.pop() ?? ''
    let dir = await this.kernel.getattr(this.root)
    for (const part of parts) {
      const next = await this.kernel.lookup(this.#directory(dir).ino, part)
      if ((next.mode & KIND) === LINK) throw new FsError('ENOENT')
      dir = next
    }
    return { dir: this.#directory(dir), name }
  }

  async #at(path: string, follow: boolean): Promise<Attr> {
    if (path === '') return this.kernel.getattr(this.root)
    const { dir, name } = await this.#spot(path)
    const found = await this.kernel.lookup(dir.ino, name)
    if (follow && (found.mode & KIND) === LINK) throw new FsError('ENOENT')
    return found
  }

  #directory(attr: Attr): Attr {
    if ((attr.mode & KIND) !== DIR) throw new FsError('ENOTDIR')
    return attr
  }

  async #file(path: string): Promise<Attr> {
    const attr = await this.#at(path, true)
    if ((attr.mode & KIND) === DIR) throw new FsError('EISDIR')
    return attr
  }

  /** Everything below the root. */
  async look(ino = this.root): Promise<Seen> {
    const attr = await this.kernel.getattr(ino)
    const kind = attr.mode & KIND
    const children = new Map<string, Seen>()
    if (kind === DIR) {
      for (const name of await this.kernel.readdir(ino)) {
        const child = await this.kernel.lookup(ino, name)
        children.set(decoded(name), await this.look(child.ino))
      }
    }
    const xattrs = new Map<string, string>()
    for (const name of await this.kernel.listxattr(ino)) {
      xattrs.set(name, (await this.kernel.getxattr(ino, name)).toString('latin1'))
    }
    const target = kind === LINK ? await this.kernel.readlink(ino) : null
    return {
      attr,
      data: kind === 0o100000 ? await this.#all(attr) : null,
      target,
      xattrs,
      children
    }
  }

  async #all(attr: Attr): Promise<Buffer> {
    const parts: Buffer[] = []
    for (let at = 0; at < attr.size; at += CHUNK) {
      parts.push(await this.kernel.read(attr.ino, at, Math.min(CHUNK, attr.size - at)))
    }
    return Buffer.concat(parts)
  }
}

/** A name as bytes, as the text that it is. */
function decoded(name: string): string {
  return Buffer.from(name, 'latin1').toString()
}
