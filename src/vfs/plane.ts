/**
 * What the filesystem asks of the data plane below it. The native session implements this, over
 * the kernel's device or, in tests, over a socket pair. All calls are synchronous and short; what
 * each promises stands in `fuse/native.ts`, which is typed to fit.
 */

/** Kinds of byte ranges that the data plane keeps of a file. */
export const RANGES = { valid: 0, dirty: 1, frozen: 2 } as const

/** Fields of the packed inode that `setAttr` takes over. */
export const ATTR = {
  mode: 1,
  uid: 2,
  gid: 4,
  atime: 8,
  mtime: 16,
  ctime: 32,
  nlink: 64,
  rdev: 128,
  allocated: 256,
  flags: 1024
} as const

/** Flag of a packed inode: it has no extended attributes. */
export const PLAIN = 2

/** Where a file's local bytes are: file offset x is at `base + x` of the local file. */
export interface Binding {
  readonly fileId: number
  readonly base: number
  /** File offsets at or beyond this do not fit. */
  readonly limit: number
}

/** A piece of a file's locally held bytes. */
export interface LocalPiece {
  readonly start: number
  readonly end: number
  /** It reads as zeros and takes no room. */
  readonly hole: boolean
}

/** See the file's head. */
export interface DataPlane {
  putInodes(records: Uint8Array, count: number): void
  getInode(ino: number, record: Uint8Array): boolean
  getFrozen(ino: number, record: Uint8Array): boolean
  setAttr(ino: number, mask: number, record: Uint8Array): void
  setBase(ino: number, baseEnd: number, baseEpoch: number): void
  dropInode(ino: number): boolean
  putDir(ino: number, packed: Uint8Array, count: number, parent: number): void
  addDirent(parent: number, name: Uint8Array, ino: number, dtype: number): void
  removeDirent(parent: number, name: Uint8Array): void
  setParent(ino: number, parent: number): void
  dropDir(ino: number): void
  hasDir(ino: number): boolean

  addFile(fileId: number, fd: number): void
  removeFile(fileId: number): void
  bind(ino: number, fileId: number, base: number, limit: number): void
  rebind(ino: number, fileId: number, base: number, limit: number): number
  restoreBinding(ino: number, fileId: number, base: number, limit: number): void
  unbind(ino: number): boolean
  setRanges(ino: number, kind: 0 | 1, pairs: Float64Array): void
  ranges(ino: number, kind: 0 | 1 | 2): Float64Array
  dirtyBytes(inos: Float64Array): number
  nextLocal(ino: number, fileOffset: number): LocalPiece | null
  truncate(ino: number, size: number, timeNs: bigint): number
  zeroRange(
    ...args: [ino: number, fileOffset: number, length: number, newSize: number, timeNs: bigint]
  ): number
  setWriteBudget(bytes: number): void

  journalOpen(options: {
    readonly fd: number
    readonly segmentId: number
    readonly fileOffset: number
    readonly limit: number
    readonly nextSeq: number
    readonly salt: bigint
  }): void
  journalSpare(fd: number, segmentId: number, limit: number): void
  journalAppend(payload: Uint8Array, length: number): number
  lastSeq(): number
  durableSeq(): number
  sync(): void

  freeze(inos: Float64Array): number
  thaw(ino: number, ingested: boolean): void

  invalidateEntry(parent: number, name: Uint8Array): void
  invalidateInode(ino: number, fileOffset: number, length: number): void
}
