/**
 * What the crash harness knows about a folder: a small tree in memory, seeded random operations
 * that are valid on it, and their effect. Pure and deterministic: the workload and the verifier
 * both replay the same operations from the seed alone.
 */

/** A file-system object of the model. Hard links share one. `data` is never changed in place. */
export interface Node {
  readonly id: number
  readonly kind: 'file' | 'dir' | 'symlink'
  mode: number
  links: number
  data: Buffer
  target: string
}

/** One operation: one system call that changes something, or a sync. */
export type Op =
  | { readonly type: 'create' | 'mkdir'; readonly path: string; readonly mode: number }
  | {
      readonly type: 'write'
      readonly path: string
      readonly fileOffset: number
      readonly byteLength: number
      readonly seed: number
    }
  | { readonly type: 'truncate'; readonly path: string; readonly size: number }
  | { readonly type: 'unlink' | 'rmdir' | 'fsync'; readonly path: string }
  | { readonly type: 'rename' | 'link'; readonly path: string; readonly to: string }
  | { readonly type: 'symlink'; readonly path: string; readonly target: string }
  | { readonly type: 'chmod'; readonly path: string; readonly mode: number }

/** A seeded random number generator (mulberry32). */
export type Random = () => number

/** @param seed any integer */
export function makeRandom(seed: number): Random {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = state
    mixed = Math.imul(mixed ^ (mixed >>> 15), mixed | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296
  }
}

const POOL_BYTES = 1 << 20
const pool = ((): Buffer => {
  const random = makeRandom(7)
  const bytes = Buffer.allocUnsafe(2 * POOL_BYTES)
  for (let i = 0; i < bytes.length; i += 4) bytes.writeUInt32LE((random() * 4294967296) >>> 0, i)
  return bytes
})()

/** The bytes of one write: a window of a fixed random pool. At most 1 MiB. */
export function makeData(seed: number, byteLength: number): Buffer {
  const from = seed % POOL_BYTES
  return pool.subarray(from, from + byteLength)
}

const MAX_FILE_BYTES = 600_000
const MAX_ENTRIES = 120
const MAX_DEPTH = 4
const EMPTY = Buffer.alloc(0)
const FILE_MODES = [0o644, 0o600, 0o755, 0o640] as const

/** The tree, by path relative to the workload's folder; the folder itself is ''. */
export class Model {
  readonly nodes = new Map<string, Node>([['', makeNode(0, 'dir', 0o755)]])
  private nextId = 1
  private names = 0

  /** Chooses an operation that succeeds on the present tree. */
  choose(random: Random): Op {
    for (;;) {
      const op = this.propose(random)
      if (op !== null) return op
    }
  }

  /** Applies an operation that `choose` gave. */
  apply(op: Op): void {
    switch (op.type) {
      case 'create':
        this.add(op.path, 'file', op.mode)
        break
      case 'mkdir':
        this.add(op.path, 'dir', op.mode)
        break
      case 'symlink':
        this.add(op.path, 'symlink', 0o777).target = op.target
        break
      case 'write':
        this.write(op)
        break
      case 'truncate': {
        const node = this.node(op.path)
        const grown = Buffer.alloc(op.size)
        node.data.copy(grown)
        node.data = grown
        break
      }
      case 'unlink':
      case 'rmdir':
        this.node(op.path).links--
        this.nodes.delete(op.path)
        break
      case 'rename':
        this.rename(op.path, op.to)
        break
      case 'link':
        this.node(op.path).links++
        this.nodes.set(op.to, this.node(op.path))
        break
      case 'chmod':
        this.node(op.path).mode = op.mode
        break
      case 'fsync':
        break
    }
  }

  /** The object at a path. @throws {Error} when there is none: a bug of the model */
  node(path: string): Node {
    const node = this.nodes.get(path)
    if (node === undefined) throw new Error(`the model has no ${path}`)
    return node
  }

  /** One line per object: everything but the content. Sorted by path. */
  signature(): string {
    const lines: string[] = []
    for (const [path, node] of this.nodes) if (path !== '') lines.push(describeNode(path, node))
    return lines.sort().join('\n')
  }

  private add(path: string, kind: Node['kind'], mode: number): Node {
    const node = makeNode(this.nextId++, kind, mode)
    this.nodes.set(path, node)
    return node
  }

  private write(op: Extract<Op, { type: 'write' }>): void {
    const node = this.node(op.path)
    const size = Math.max(node.data.length, op.fileOffset + op.byteLength)
    const data = Buffer.alloc(size)
    node.data.copy(data)
    makeData(op.seed, op.byteLength).copy(data, op.fileOffset)
    node.data = data
  }

  private rename(from: string, to: string): void {
    const replaced = this.nodes.get(to)
    if (replaced !== undefined) replaced.links--
    const moved = [...this.nodes].filter(([path]) => path === from || path.startsWith(`${from}/`))
    for (const [path] of moved) this.nodes.delete(path)
    for (const [path, node] of moved) this.nodes.set(to + path.slice(from.length), node)
  }

  private propose(random: Random): Op | null {
    const dice = random()
    const full = this.nodes.size >= MAX_ENTRIES
    if (dice < 0.16) return full ? this.remove(random) : this.make(random)
    if (dice < 0.58) return this.proposeWrite(random)
    if (dice < 0.64) return this.proposeTruncate(random)
    if (dice < 0.72) return this.remove(random)
    if (dice < 0.86) return this.proposeRename(random)
    if (dice < 0.89) return this.proposeLink(random)
    if (dice < 0.94) return this.proposeChmod(random)
    const path = pick(random, [...this.nodes.keys()])
    return this.node(path).kind === 'symlink' ? null : { type: 'fsync', path }
  }

  private make(random: Random): Op {
    const path = this.freshPath(random)
    const dice = random()
    if (dice < 0.2) return { type: 'mkdir', path, mode: 0o755 }
    if (dice < 0.3) return { type: 'symlink', path, target: `to/${this.names}` }
    return { type: 'create', path, mode: pick(random, FILE_MODES) }
  }

  private proposeWrite(random: Random): Op | null {
    const path = this.pickOf(random, 'file')
    if (path === null) return null
    const size = this.node(path).data.length
    const byteLength = 1 + Math.floor(random() ** 4 * 200_000)
    const append = random() < 0.5
    const fileOffset = append ? size : Math.floor(random() * (size + 5_000))
    if (fileOffset + byteLength > MAX_FILE_BYTES) return { type: 'truncate', path, size: 0 }
    return { type: 'write', path, fileOffset, byteLength, seed: Math.floor(random() * 2 ** 31) }
  }

  private proposeTruncate(random: Random): Op | null {
    const path = this.pickOf(random, 'file')
    if (path === null) return null
    const size = Math.floor(random() * (this.node(path).data.length + 10_000))
    return { type: 'truncate', path, size: Math.min(size, MAX_FILE_BYTES) }
  }

  private remove(random: Random): Op | null {
    const path = pick(random, [...this.nodes.keys()])
    if (path === '') return null
    if (this.node(path).kind !== 'dir') return { type: 'unlink', path }
    return this.isEmpty(path) ? { type: 'rmdir', path } : null
  }

  private proposeRename(random: Random): Op | null {
    const path = pick(random, [...this.nodes.keys()])
    if (path === '') return null
    const node = this.node(path)
    // Half of the renames of files replace another one, as editors do.
    if (node.kind !== 'dir' && random() < 0.5) {
      const to = pick(random, [...this.nodes.keys()])
      const target = this.node(to)
      return target.kind === 'dir' || target.id === node.id ? null : { type: 'rename', path, to }
    }
    const to = this.freshPath(random)
    return to.startsWith(`${path}/`) ? null : { type: 'rename', path, to }
  }

  private proposeLink(random: Random): Op | null {
    const path = this.pickOf(random, 'file')
    if (path === null || this.nodes.size >= MAX_ENTRIES) return null
    return { type: 'link', path, to: this.freshPath(random) }
  }

  private proposeChmod(random: Random): Op | null {
    const path = this.pickOf(random, 'file')
    return path === null ? null : { type: 'chmod', path, mode: pick(random, FILE_MODES) }
  }

  private freshPath(random: Random): string {
    // Moved folders bring their depth along, so trees get somewhat deeper than this.
    const folders = [...this.nodes].filter(
      ([path, node]) => node.kind === 'dir' && path.split('/').length < MAX_DEPTH
    )
    const [folder] = pick(random, folders)
    const name = `${pick(random, ['a', 'note', 'ärger', 'x'.repeat(20)])}${this.names++}`
    return folder === '' ? name : `${folder}/${name}`
  }

  private pickOf(random: Random, kind: Node['kind']): string | null {
    const found = [...this.nodes].filter(([, node]) => node.kind === kind)
    return found.length === 0 ? null : pick(random, found)[0]
  }

  private isEmpty(path: string): boolean {
    return ![...this.nodes.keys()].some((other) => other.startsWith(`${path}/`))
  }
}

/** The line of `Model.signature` for one object; the verifier makes the same from the real one. */
export function describeNode(
  path: string,
  node: Omit<Node, 'id' | 'data'> & { data: Buffer }
): string {
  const mode = node.mode.toString(8)
  if (node.kind === 'dir') return `${path}|dir|${mode}`
  if (node.kind === 'symlink') return `${path}|symlink|${node.links}|${node.target}`
  return `${path}|file|${mode}|${node.links}|${node.data.length}`
}

function makeNode(id: number, kind: Node['kind'], mode: number): Node {
  return { id, kind, mode, links: 1, data: EMPTY, target: '' }
}

function pick<T>(random: Random, from: readonly T[]): T {
  const item = from[Math.floor(random() * from.length)]
  if (item === undefined) throw new Error('nothing to pick from')
  return item
}
