/** The reference: a tree in memory that does what POSIX and Linux say, errno included. */
import { FsError } from '../../src/base/errors.js'
import { dataOf, type Op } from './operations.js'

/** A node of the reference. Hard links share one. */
export interface RefNode {
  readonly kind: 'file' | 'dir' | 'symlink'
  mode: number
  links: number
  data: Buffer
  target: string
  readonly xattrs: Map<string, string>
  readonly children: Map<string, RefNode>
  /** It never had a name, so it may get one. */
  linkable: boolean
  /** What it is known to be (ns); null = not looked at since it changed. */
  mtimeNs: bigint | null
  /** Number that the filesystem gave it, once looked at. */
  ino: number | null
}

function makeNode(kind: RefNode['kind'], mode: number): RefNode {
  return {
    kind,
    mode,
    links: kind === 'dir' ? 2 : 1,
    data: Buffer.alloc(0),
    target: '',
    xattrs: new Map(),
    children: new Map(),
    linkable: false,
    mtimeNs: null,
    ino: null
  }
}

interface Spot {
  readonly dir: RefNode
  readonly name: string
  readonly node: RefNode | null
}

const FALLOC = { keepSize: 1, punch: 2, zero: 16 } as const

/** What an operation gives: nothing, bytes, or names. */
export type Result = null | string | readonly string[]

/** See the file's head. */
export class Reference {
  root = makeNode('dir', 0o755)
  handles = new Map<number, RefNode>()

  /** @throws {FsError} as the system call would */
  run(op: Op): Result {
    switch (op.op) {
      case 'create':
        return this.#add(op.path, makeNode('file', op.mode))
      case 'mkdir':
        return this.#add(op.path, makeNode('dir', op.mode & 0o1777))
      case 'symlink':
        return this.#add(op.path, { ...makeNode('symlink', 0o777), target: op.target })
      case 'unlink':
        return this.#unlink(op.path)
      case 'rmdir':
        return this.#rmdir(op.path)
      case 'link':
        return this.#link(op.path, op.to)
      case 'rename':
        return this.#rename(op.path, op.to, op.flags)
      case 'list':
        return [...this.#directory(this.#node(op.path, true)).children.keys()].sort()
      case 'chmod':
        this.#node(op.path, true).mode = op.mode
        return null
      case 'utimes':
        this.#node(op.path, false).mtimeNs = BigInt(op.mtimeS) * 1_000_000_000n
        return null
      case 'setxattr':
      case 'removexattr':
        return this.#xattr(op)
      case 'tmpfile':
        this.#directory(this.#node(op.path, true))
        this.handles.set(op.handle, { ...makeNode('file', 0o600), links: 0, linkable: true })
        return null
      case 'open':
        this.handles.set(op.handle, this.#file(op.path))
        return null
      case 'close':
        if (!this.handles.delete(op.handle)) throw new FsError('EBADF')
        return null
      case 'fsync':
        this.#file(op.path)
        return null
      default:
        return this.#content(op)
    }
  }

  #content(
    op: Extract<
      Op,
      { op: 'write' | 'read' | 'truncate' | 'allocate' | 'hwrite' | 'hread' | 'hlink' }
    >
  ): Result {
    const node = 'handle' in op ? this.#handle(op.handle) : this.#file(op.path)
    switch (op.op) {
      case 'write':
      case 'hwrite':
        return this.#write(node, op.at, dataOf(op.length, op.byte))
      case 'read':
      case 'hread':
        return node.data.subarray(op.at, op.at + op.length).toString('latin1')
      case 'truncate':
        return this.#resize(node, op.size)
      case 'allocate':
        return this.#allocate(node, op.mode, op.at, op.length)
      case 'hlink':
        return this.#linkUnnamed(node, op.to)
    }
  }

  #allocate(node: RefNode, mode: number, at: number, length: number): Result {
    const end = at + length
    if (!(mode & FALLOC.keepSize) && end > node.data.length) this.#resize(node, end)
    if (!(mode & (FALLOC.punch | FALLOC.zero))) return null
    const data = Buffer.from(node.data)
    data.fill(0, Math.min(at, data.length), Math.min(end, data.length))
    node.data = data
    node.mtimeNs = null
    return null
  }

  #write(node: RefNode, at: number, bytes: Buffer): Result {
    if (bytes.length === 0) return null
    const data = Buffer.alloc(Math.max(node.data.length, at + bytes.length))
    node.data.copy(data)
    bytes.copy(data, at)
    node.data = data
    node.mtimeNs = null
    return null
  }

  #resize(node: RefNode, size: number): Result {
    const data = Buffer.alloc(size)
    node.data.copy(data)
    node.data = data
    node.mtimeNs = null
    return null
  }

  #xattr(op: Extract<Op, { op: 'setxattr' | 'removexattr' }>): Result {
    const node = this.#node(op.path, true)
    const has = node.xattrs.has(op.name)
    if (op.op === 'removexattr') {
      if (!node.xattrs.delete(op.name)) throw new FsError('ENODATA')
      return null
    }
    if (has && op.flags & 1) throw new FsError('EEXIST')
    if (!has && op.flags & 2) throw new FsError('ENODATA')
    node.xattrs.set(op.name, op.value)
    return null
  }

  #add(path: string, node: RefNode): Result {
    const { dir, name, node: old } = this.#spot(path)
    if (old) throw new FsError('EEXIST')
    if (node.kind === 'dir') node.mode |= dir.mode & 0o2000
    this.#put(dir, name, node)
    return null
  }

  #put(dir: RefNode, name: string, node: RefNode): void {
    dir.children.set(name, node)
    if (node.kind === 'dir') dir.links++
    dir.mtimeNs = null
  }

  #take(dir: RefNode, name: string, node: RefNode): void {
    dir.children.delete(name)
    if (node.kind === 'dir') dir.links--
    dir.mtimeNs = null
  }

  #unlink(path: string): Result {
    const { dir, name, node } = this.#there(path)
    if (node.kind === 'dir') throw new FsError('EISDIR')
    this.#take(dir, name, node)
    node.links--
    return null
  }

  #rmdir(path: string): Result {
    const { dir, name, node } = this.#there(path)
    if (this.#directory(node).children.size > 0) throw new FsError('ENOTEMPTY')
    this.#take(dir, name, node)
    return null
  }

  #link(path: string, to: string): Result {
    const node = this.#node(path, false)
    const spot = this.#spot(to)
    if (spot.node) throw new FsError('EEXIST')
    if (node.kind === 'dir') throw new FsError('EPERM')
    this.#put(spot.dir, spot.name, node)
    node.links++
    return null
  }

  #linkUnnamed(node: RefNode, to: string): Result {
    const spot = this.#spot(to)
    if (spot.node) throw new FsError('EEXIST')
    if (node.links === 0 && !node.linkable) throw new FsError('ENOENT')
    node.linkable = false
    this.#put(spot.dir, spot.name, node)
    node.links++
    return null
  }

  #rename(path: string, to: string, flags: number): Result {
    // The order of these checks is that of do_renameat2 and vfs_rename.
    const from = this.#spot(path)
    const onto = this.#spot(to)
    if (!from.node) throw new FsError('ENOENT')
    if (flags === 1 && onto.node) throw new FsError('EEXIST')
    if (flags === 2 && !onto.node) throw new FsError('ENOENT')
    if (within(from.node, onto.dir)) throw new FsError('EINVAL')
    if (onto.node && within(onto.node, from.dir)) {
      throw new FsError(flags === 2 ? 'EINVAL' : 'ENOTEMPTY')
    }
    if (from.node === onto.node) return null
    if (flags === 2 && onto.node) return this.#exchange(from, onto, from.node, onto.node)
    if (onto.node) this.#replace(from.node, { ...onto, node: onto.node })
    this.#take(from.dir, from.name, from.node)
    this.#put(onto.dir, onto.name, from.node)
    return null
  }

  #exchange(from: Spot, onto: Spot, a: RefNode, b: RefNode): Result {
    this.#take(from.dir, from.name, a)
    this.#take(onto.dir, onto.name, b)
    this.#put(from.dir, from.name, b)
    this.#put(onto.dir, onto.name, a)
    return null
  }

  #replace(moved: RefNode, onto: Spot & { readonly node: RefNode }): void {
    const { dir, name, node } = onto
    if (moved.kind === 'dir' && node.kind !== 'dir') throw new FsError('ENOTDIR')
    if (moved.kind !== 'dir' && node.kind === 'dir') throw new FsError('EISDIR')
    if (node.children.size > 0) throw new FsError('ENOTEMPTY')
    this.#take(dir, name, node)
    if (node.kind !== 'dir') node.links--
  }

  #handle(handle: number): RefNode {
    const node = this.handles.get(handle)
    if (!node) throw new FsError('EBADF')
    return node
  }

  #spot(path: string): Spot {
    const parts = path.split('/')
    const name = parts.pop() ?? ''
    let dir = this.root
    for (const part of parts) {
      const next = this.#directory(dir).children.get(part)
      if (!next || next.kind === 'symlink') throw new FsError('ENOENT')
      dir = next
    }
    return { dir: this.#directory(dir), name, node: dir.children.get(name) ?? null }
  }

  #there(path: string): Spot & { readonly node: RefNode } {
    const spot = this.#spot(path)
    if (!spot.node) throw new FsError('ENOENT')
    return { ...spot, node: spot.node }
  }

  /** @param follow symbolic links all dangle: to follow one answers ENOENT */
  #node(path: string, follow: boolean): RefNode {
    if (path === '') return this.root
    const { node } = this.#there(path)
    if (follow && node.kind === 'symlink') throw new FsError('ENOENT')
    return node
  }

  #directory(node: RefNode): RefNode {
    if (node.kind !== 'dir') throw new FsError('ENOTDIR')
    return node
  }

  #file(path: string): RefNode {
    const node = this.#node(path, true)
    if (node.kind === 'dir') throw new FsError('EISDIR')
    return node
  }

  /** A copy with the same sharing, to go back to. */
  copy(): RefNode {
    const copies = new Map<RefNode, RefNode>()
    const copyOf = (node: RefNode): RefNode => {
      let copy = copies.get(node)
      if (copy) return copy
      // Contents are never changed in place, so they may be shared.
      copy = { ...node, xattrs: new Map(node.xattrs), children: new Map() }
      copies.set(node, copy)
      for (const [name, child] of node.children) copy.children.set(name, copyOf(child))
      return copy
    }
    return copyOf(this.root)
  }
}

/** Whether a directory is another or lies below it. */
function within(dir: RefNode, inner: RefNode): boolean {
  if (dir === inner) return true
  return [...dir.children.values()].some((child) => within(child, inner))
}
