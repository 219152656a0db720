/**
 * The typed door to the C++ addon in `native/`: loads it and declares what it offers. No policy
 * here.
 *
 * Words: an `ino` is a safe integer; every offset and length is in bytes; `…Ns` is nanoseconds
 * since 1970 as a bigint; a `slot` is the index of a request that waits for an answer. Every call
 * is synchronous and short unless it says otherwise, may be made from the main thread only (the
 * worker uses {@link Native.attach}), and throws an `Error` whose `code` is an errno name when it
 * fails.
 */
import { createRequire } from 'node:module'

/** Bytes of one inode record, see {@link Session.putInodes}. */
export const INODE_RECORD_BYTES = 112

/** Byte positions within an inode record (little endian); the last 16 bytes are zero. */
export const INODE_RECORD = {
  ino: 0,
  size: 8,
  atimeNs: 16,
  mtimeNs: 24,
  ctimeNs: 32,
  btimeNs: 40,
  mode: 48,
  nlink: 52,
  uid: 56,
  gid: 60,
  rdev: 64,
  flags: 68,
  baseEnd: 72,
  baseEpoch: 80,
  allocatedBytes: 88
} as const

/** Mask bits of {@link Session.setAttr}. */
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
  btime: 512,
  flags: 1024
} as const

/** First number of an event triple, see {@link Session.takeEvents}. The third is 0 unless named. */
export const EVENT = {
  /** (ino) got its first dirty byte since the last freeze, or was thawed without being ingested. */
  dirtied: 1,
  /** (seq) everything up to this journal sequence is durable. Only the newest is kept. */
  marked: 2,
  /** (segmentId) the journal switched to this spare segment: bring another. */
  journalLow: 3,
  /** (ino) has nlink 0 and neither lookups nor opens any more: nothing can reach it. */
  orphanGone: 4,
  /** (slot, unique) the caller was interrupted; answering EINTR is allowed, answering later too.
   * The slot may be another request's by now: compare `unique` with its header. */
  interrupted: 5,
  /** (0 unmounted | 1 aborted | 2 error, errno) no request will come any more; then `close`. */
  ended: 6,
  /**
   * (errno, fileId or 0 for the journal) a background sync failed: bytes may not survive power
   * loss.
   */
  syncFailed: 7
} as const

/** Kinds of byte ranges of an inode's local file. */
export const RANGES = { valid: 0, dirty: 1, frozen: 2 } as const

/** A kind from {@link RANGES}. */
export type RangeKind = 0 | 1 | 2

/** What to mount, or which transport to speak on instead. */
export interface MountOptions {
  /** Absolute path of an existing directory. */
  readonly mountpoint: string
  /** Shown as the source in /proc/mounts. */
  readonly fsname: string
  readonly allowOther: boolean
  /** Honour set-user-id bits; otherwise MS_NOSUID. */
  readonly suid: boolean
  /** Honour device files; otherwise MS_NODEV. */
  readonly dev: boolean
  readonly readOnly?: boolean
  /** Reader threads, 1 to 8. Default 3. */
  readonly maxReaders?: number
  /** Longest spin before poll. Default 30. */
  readonly spinUs?: number
  /** The kernel aborts the mount when a request takes longer; 0 (default) = never. */
  readonly requestTimeoutS?: number
  /** JavaScript silent this long while requests wait: EIO to them. 0 = never. Default 60,000. */
  readonly watchdogMs?: number
  /** How long the kernel may trust a name. Default 3,600. */
  readonly entryTtlS?: number
  /** How long the kernel may trust attributes. Default 3,600. */
  readonly attrTtlS?: number
  /** How long the kernel may trust that a name is absent. Default 3,600. */
  readonly negativeTtlS?: number
  /** Unsynced work is made durable at least this often. Default 1,000; 0 = only when asked. */
  readonly syncIntervalMs?: number
  /** Bound of the inode table (those without lookups, opens or local state go first). 400,000. */
  readonly maxInodes?: number
  /** Bound of cached directory entries (directories that are not open go first). 1,000,000. */
  readonly maxDirents?: number
  /** Directory for the undo file (O_TMPFILE), on the disk of the local files. Default: memory. */
  readonly undoDir?: string
  /** Speak on this SOCK_SEQPACKET socket (it is taken over) and mount nothing: for tests. */
  readonly transportFd?: number
}

/** What the addon calls back. */
export interface Callbacks {
  /** There are requests or events; take all of both. Coalesced; also called now and then as a
   * sign of life is wanted, with nothing to take. Must not throw. */
  onWork(): void
}

/** One piece of an inode's valid bytes, see {@link Session.nextLocal}. */
export interface LocalPiece {
  readonly start: number
  readonly end: number
  /** The local file has a hole here: it reads as zeros and is SEEK_HOLE's hole. */
  readonly hole: boolean
}

/** Which journal segment to append to. */
export interface JournalOpenOptions {
  /** Open for reading and writing; the session takes it over, also when it throws. */
  readonly fd: number
  readonly segmentId: number
  /** Where the next entry goes; 0 = an empty segment, its header is written now. */
  readonly fileOffset: number
  /** No entry ends beyond this file offset; the file is allocated up to it. */
  readonly limit: number
  readonly nextSeq: number
  /** Seeds every checksum, 64 bits: a home's constant. */
  readonly salt: bigint
}

/** Where an inode's bytes live: file offset `o` is at `base + o` of the local file, `o < limit`. */
export interface Binding {
  readonly fileId: number
  readonly base: number
  readonly limit: number
}

/** Counters since the mount, by name; more may be added. */
export type Stats = Readonly<Record<string, number>>

/** What both the main thread and the worker may call; safe while requests are served. */
export interface ContentAccess {
  /**
   * Copies the frozen bytes of [fileOffset, fileOffset + buffer.length), as they were at the
   * freeze, to their places in `buffer`; other bytes of it are untouched. Blocks on disk.
   * @returns pairs [start, end) of file offsets that were copied, ascending; empty if not frozen
   */
  readFrozen(ino: number, fileOffset: number, buffer: Uint8Array): Float64Array
  /** The next frozen file offset at or after `fileOffset` that is not in a physical hole, or -1. */
  nextFrozenData(ino: number, fileOffset: number): number
  /**
   * Brings base content into the local file: writes only what is not yet valid and below baseEnd
   * (and below the binding's limit), and marks it valid. Blocks on disk.
   * @param length how many bytes of `buffer` count
   * @returns false: not bound, unknown, or its base is not `baseEpoch` any more; nothing was done
   */
  fill(
    ...args: [
      ino: number,
      fileOffset: number,
      buffer: Uint8Array,
      length: number,
      baseEpoch: number
    ]
  ): boolean
}

/** One mount. Nothing but `close` and the answers may be called after `close`. */
export interface Session extends ContentAccess {
  /** For {@link Native.attach}. */
  readonly id: number
  /**
   * All slots; request `s` begins with its fuse_in_header at `s * slotBytes`. Copy what you keep.
   */
  readonly slab: ArrayBuffer
  readonly slotBytes: number

  /** Fills `into` with slots to answer; each must be answered (or resumed) exactly once. */
  takeRequests(into: Uint32Array): number
  /** Fills `into` with triples (type, value, arg) of {@link EVENT}. @returns how many triples */
  takeEvents(into: Float64Array): number

  // Answers. All return false when the watchdog has answered already; the slot is free afterwards.
  // They throw EINVAL for a slot that JavaScript does not hold, and ENOENT for an unknown ino.

  /** @param errno positive errno number */
  replyError(slot: number, errno: number): boolean
  /** Answers LOOKUP, MKNOD, MKDIR, SYMLINK, LINK from the table, counts a lookup, and remembers
   * (parent, name) -> ino of the request. The inode must have been put. */
  replyEntry(slot: number, ino: number): boolean
  /** Answers LOOKUP: no such name; the kernel remembers that for negativeTtlS. */
  replyNegative(slot: number): boolean
  /** Answers GETATTR, SETATTR or STATX from the table. */
  replyAttr(slot: number, ino: number): boolean
  /** Answers CREATE and TMPFILE as replyEntry does (TMPFILE remembers no name); opens are not
   * counted: whoever has the file open keeps it looked up.
   * @param fh comes back in READ, WRITE, FSYNC …
   * @param openFlags FOPEN_* bits */
  replyCreate(slot: number, ino: number, fh: number, openFlags: number): boolean
  /** Answers with these bytes as they are (READ, READLINK, xattrs, STATFS, LSEEK …). */
  replyData(slot: number, data: Uint8Array): boolean
  /** Answers success without data. */
  replyOk(slot: number): boolean
  /** Lets native try again, after what it lacked was put; what it still lacks comes back. */
  resume(slot: number): boolean

  /**
   * Inserts or updates `count` inode records. Of an inode with local state (bound or dirty) size,
   * mtime, ctime, base and allocation stay, unless its flags have bit 0. Flags bit 1: it has no
   * extended attributes, which is then answered natively. Flags bit 2: a write is EROFS. rdev is
   * encoded as the kernel sends it in MKNOD.
   */
  putInodes(records: Uint8Array, count: number): void
  /** Writes the current record. @returns false: unknown */
  getInode(ino: number, record: Uint8Array): boolean
  /**
   * As getInode, but size, mtime, ctime and base as they were at the freeze. @returns false: not
   * frozen
   */
  getFrozen(ino: number, record: Uint8Array): boolean
  /** Changes the fields that `mask` ({@link ATTR}) names. @throws ENOENT unknown */
  setAttr(ino: number, mask: number, record: Uint8Array): void
  /**
   * New base content: all non-valid bytes below `baseEnd` are to be filled from it. When a freeze
   * was ingested, call this before `thaw` with the size of the freeze: native lowers `baseEnd` to
   * the least size that the file has had since, so that bytes cut off meanwhile do not come back.
   */
  setBase(ino: number, baseEnd: number, baseEpoch: number): void
  /**
   * Forgets the record (lookups stay counted, so it may come back by putInodes) and its
   * local state. @returns false, and does nothing: it has dirty or frozen bytes and nlink > 0
   */
  dropInode(ino: number): boolean

  /**
   * A complete directory; replaces what was known. A name that was known keeps its cookie.
   * @param packed `count` times u64 ino, u8 dtype (DT_*), u8 name length, name; no "." and ".."
   * @param parent ino for ".."
   */
  putDir(ino: number, packed: Uint8Array, count: number, parent: number): void
  /** Adds or replaces a name. In a directory that is not known yet it is partial knowledge. */
  addDirent(parent: number, name: Uint8Array, ino: number, dtype: number): void
  /** Removes a name. In a complete directory that name is then absent. */
  removeDirent(parent: number, name: Uint8Array): void
  /** A directory was moved: what ".." is. Does nothing when the directory is not known. */
  setParent(ino: number, parent: number): void
  /** Forgets all names; the next lookup or readdir comes to JavaScript. Open handles go on. */
  dropDir(ino: number): void
  /** Whether all names of the directory are known. */
  hasDir(ino: number): boolean

  /** Gives a local file; the fd is taken over. @throws EEXIST the id is in use */
  addFile(fileId: number, fd: number): void
  /** Closes it. @throws EBUSY an inode is bound to it */
  removeFile(fileId: number): void
  /** Binds an inode that has no binding: journals BIND. @throws EBUSY it is bound */
  bind(ino: number, fileId: number, base: number, limit: number): void
  /** The binding, or null. */
  binding(ino: number): Binding | null
  /** Recovery: as bind, but without a journal entry. */
  restoreBinding(ino: number, fileId: number, base: number, limit: number): void
  /** Copies valid and frozen bytes to the new place and binds there: journals BIND. Blocks on disk.
   * The old place may be used again when a MARK covers the returned sequence. */
  rebind(ino: number, fileId: number, base: number, limit: number): number
  /** Drops the binding and the valid ranges. @returns false: dirty, frozen, or I/O in flight */
  unbind(ino: number): boolean
  /** Recovery: replaces valid or dirty (which adds to valid) ranges by pairs [start, end). No event
   * tells of these dirty bytes, nor of the next ones. */
  setRanges(ino: number, kind: 0 | 1, pairs: Float64Array): void
  /** Pairs [start, end), ascending. */
  ranges(ino: number, kind: RangeKind): Float64Array
  /** How many bytes of these inodes are dirty, all together. */
  dirtyBytes(inos: Float64Array): number
  /** Native writes may dirty this many further bytes before WRITE comes to JavaScript. At first
   * unlimited. */
  setWriteBudget(bytes: number): void
  /**
   * Journals TRUNCATE and cuts or extends; mtime and ctime become `timeNs`. @returns its sequence
   */
  truncate(ino: number, size: number, timeNs: bigint): number
  /** Journals ZERO: the range reads as zeros and is dirty. Size becomes max(size, newSize).
   * @throws ENXIO not bound that far @returns its sequence */
  zeroRange(
    ...args: [ino: number, fileOffset: number, length: number, newSize: number, timeNs: bigint]
  ): number
  /** The piece of valid bytes at or next after `fileOffset` (cut at the size), or null. What is not
   * local is the base's below baseEnd and a hole beyond. */
  nextLocal(ino: number, fileOffset: number): LocalPiece | null

  /** Starts or continues the journal. WRITE comes to JavaScript until this was called. */
  journalOpen(options: JournalOpenOptions): void
  /** Gives a segment to switch to (header is written at the switch); fd is taken over. Up to 4. */
  journalSpare(fd: number, segmentId: number, limit: number): void
  /**
   * Appends a META entry. @returns its sequence @throws EAGAIN full and no spare; EFBIG too long
   */
  journalAppend(payload: Uint8Array, length: number): number
  /** The sequence of the last entry that is no MARK, or nextSeq - 1 when there is none. */
  lastSeq(): number
  /** Everything up to this sequence survives power loss. */
  durableSeq(): number
  /** Asks for a MARK soon; event `marked` follows. */
  sync(): void

  /** frozen = dirty, dirty = {} for all of them at once. @throws EBUSY one is frozen already
   * @returns last sequence: every byte of the cut is in the journal up to it */
  freeze(inos: Float64Array): number
  /** Ends a freeze. `ingested` false: the bytes are dirty again. */
  thaw(ino: number, ingested: boolean): void

  // Kernel caches. Put the new truth into the tables first, then call these: they tell the kernel
  // only. From their own thread, coalesced, never blocking.

  /** The kernel forgets (parent, name), and the cached listing and attributes of parent. */
  invalidateEntry(parent: number, name: Uint8Array): void
  /**
   * The kernel forgets attributes and cached bytes. length 0 = to the end; offset -1 = attributes.
   */
  invalidateInode(ino: number, fileOffset: number, length: number): void

  /** Fault points: SIGKILL to this process when the named point is passed the `countdown`-th time:
   * write.data, write.journal, sync.data, sync.mark, sync.done. 0 disarms. */
  setFault(name: string, countdown: number): void
  /** Unmounts from a thread of its own. Rejects with EBUSY when files are open and not lazy. */
  unmount(options?: { readonly lazy?: boolean }): Promise<void>
  /** Breaks the connection: all waiting and later calls of clients fail; event `ended` follows. */
  abort(): void
  /** Stops all threads and closes all fds; an existing mount is detached. Runs twice harmlessly. */
  close(): void
  stats(): Stats
}

/** The addon. */
export interface Native {
  /** Mounts and starts to serve. */
  mount(options: MountOptions, callbacks: Callbacks): Session
  /** From any thread of this process. @throws ENOENT no such session */
  attach(sessionId: number): ContentAccess
  /** CRC-32C that continues from `seed`: crc32c(b, crc32c(a, 0)) = crc32c(a + b, 0). */
  crc32c(data: Uint8Array, seed: number): number
  /** CLOCK_REALTIME. */
  nowNs(): bigint
  /**
   * Whether a crash leaves a core file and others of this user may look into our memory (prctl(2),
   * PR_SET_DUMPABLE).
   */
  setDumpable(dumpable: boolean): void
  /** posix_fallocate: makes room on disk, so that writing there cannot fail for space. */
  allocate(fd: number, fileOffset: number, length: number): void
  /** fallocate(PUNCH_HOLE | KEEP_SIZE): gives space back. */
  punch(fd: number, fileOffset: number, length: number): void
  /** Tests: a SOCK_SEQPACKET pair. */
  socketpair(): [number, number]
  /** Tests: sends one message. */
  rawSend(fd: number, data: Uint8Array): void
  /** Tests: receives one message. @returns its length, 0 at the end, -1 after timeoutMs */
  rawRecv(fd: number, into: Uint8Array, timeoutMs: number): number
}

const require = createRequire(import.meta.url)

/** Loads the addon; may be called in every thread. @throws when `native/` is not built */
export function loadNative(): Native {
  const loaded: Native = require('../../../native/build/Release/pcfs.node')
  return loaded
}
