/**
 * One handler for each operation that reaches JavaScript: reads the request, asks the filesystem,
 * answers. A handler throws when the answer is an error, and is asynchronous only where content has
 * to be fetched.
 */
import { FsError } from '../base/errors.js'
import type { Filesystem } from '../vfs/filesystem.js'
import type { At } from '../vfs/namespace.js'
import type { AttrChange } from '../vfs/attributes.js'
import type { Session } from './native.js'
import { OPCODE, type RequestView } from './request.js'

/** Bits of fuse_setattr_in.valid. */
const FATTR = {
  mode: 1,
  uid: 2,
  gid: 4,
  size: 8,
  atime: 16,
  mtime: 32,
  atimeNow: 128,
  mtimeNow: 256,
  ctime: 1024,
  killSuidGid: 2048
} as const
const WRITE_KILL_SUIDGID = 4
const O_EXCL = 0o200
const O_APPEND = 0o2000
/** FOPEN_KEEP_CACHE, as of what the kernel opens without asking, | FOPEN_PARALLEL_DIRECT_WRITES. */
const FILE_OPEN_FLAGS = 0b10 | 0b1000000
const S_IFREG = 0o100000

/** What handlers work with. */
export interface HandlerContext {
  readonly session: Session
  readonly filesystem: Filesystem
  readonly now: () => bigint
}

/** Answers one request, or throws what the answer is to be. */
export type Handler = (
  request: RequestView,
  slot: number,
  context: HandlerContext
) => void | Promise<void>

function at(request: RequestView, nameOffset: number): At {
  return { parent: request.ino, name: request.name(nameOffset) }
}

const lookup: Handler = (request, slot, context) => {
  const { names, ahead } = context.filesystem
  const place = at(request, 0)
  const ino = names.lookup(place)
  if (ino === null && ahead.isNeeded) {
    return ahead.name(place).then(() => replyLookup(slot, names.lookup(place), context))
  }
  return replyLookup(slot, ino, context)
}

function replyLookup(slot: number, ino: number | null, context: HandlerContext): void {
  const { session, filesystem } = context
  if (ino === null) {
    session.replyNegative(slot)
    return
  }
  filesystem.directories.loadNode(ino)
  session.replyEntry(slot, ino)
}

const getattr: Handler = (request, slot, { session, filesystem }) => {
  filesystem.directories.loadNode(request.ino)
  session.replyAttr(slot, request.ino)
}

const setattr: Handler = (request, slot, { session, filesystem, now }) => {
  const { ino } = request
  const valid = request.u32(0)
  const has = (bit: number): boolean => (valid & bit) !== 0
  const change: AttrChange = {
    ...(has(FATTR.mode) && { mode: request.u32(68) }),
    ...(has(FATTR.uid) && { uid: request.u32(76) }),
    ...(has(FATTR.gid) && { gid: request.u32(80) }),
    ...(has(FATTR.atime) && { atimeNs: has(FATTR.atimeNow) ? now() : request.time(32, 56) }),
    ...(has(FATTR.mtime) && { mtimeNs: has(FATTR.mtimeNow) ? now() : request.time(40, 60) }),
    ...(has(FATTR.ctime) && { ctimeNs: request.time(48, 64) }),
    ...(has(FATTR.killSuidGid) && { killSuidGid: true })
  }
  if (has(FATTR.size)) filesystem.content.truncate(ino, request.u64(16))
  if (Object.keys(change).length > 0) filesystem.attributes.set(ino, change)
  session.replyAttr(slot, ino)
}

const symlink: Handler = (request, slot, { session, filesystem }) => {
  const name = request.name(0)
  const target = Buffer.from(request.name(name.length + 1), 'latin1')
  const node = { mode: 0o120777, target }
  session.replyEntry(slot, filesystem.names.make({ parent: request.ino, name }, node, request))
}

const mknod: Handler = (request, slot, { session, filesystem }) => {
  const node = { mode: request.u32(0), rdev: request.u32(4) }
  session.replyEntry(slot, filesystem.names.make(at(request, 16), node, request))
}

const mkdir: Handler = (request, slot, { session, filesystem }) => {
  const node = { mode: 0o040000 | (request.u32(0) & 0o7777) }
  session.replyEntry(slot, filesystem.names.make(at(request, 8), node, request))
}

const create: Handler = (request, slot, { session, filesystem }) => {
  const place = at(request, 16)
  const flags = request.u32(0)
  const existing = filesystem.names.lookup(place)
  if (existing === null) {
    const node = { mode: S_IFREG | (request.u32(4) & 0o7777) }
    const ino = filesystem.names.make(place, node, request)
    filesystem.content.expectWrite(ino)
    session.replyCreate(slot, ino, 0, FILE_OPEN_FLAGS)
    return
  }
  if (flags & O_EXCL) throw new FsError('EEXIST')
  filesystem.directories.loadNode(existing)
  session.replyCreate(slot, existing, 0, FILE_OPEN_FLAGS)
}

const tmpfile: Handler = (request, slot, { session, filesystem }) => {
  const mode = S_IFREG | (request.u32(4) & 0o7777)
  const ino = filesystem.names.makeUnnamed(request.ino, mode, request)
  session.replyCreate(slot, ino, 0, FILE_OPEN_FLAGS)
}

const unlink: Handler = (request, slot, { session, filesystem }) => {
  filesystem.names.unlink(at(request, 0))
  session.replyOk(slot)
}

const rmdir: Handler = (request, slot, { session, filesystem }) => {
  filesystem.names.rmdir(at(request, 0))
  session.replyOk(slot)
}

/** RENAME and RENAME2 differ in the length of their head only. */
function rename(headBytes: number, flags: (request: RequestView) => number): Handler {
  return (request, slot, { session, filesystem }) => {
    const from = at(request, headBytes)
    const to = { parent: request.u64(0), name: request.name(headBytes + from.name.length + 1) }
    filesystem.names.rename(from, to, flags(request))
    session.replyOk(slot)
  }
}

const link: Handler = (request, slot, { session, filesystem }) => {
  const ino = request.u64(0)
  filesystem.names.link(ino, at(request, 8))
  session.replyEntry(slot, ino)
}

const loadDirectory: Handler = (request, slot, { session, filesystem }) => {
  const { ino } = request
  const load = (): void => {
    filesystem.directories.load(ino)
    session.resume(slot)
  }
  return filesystem.ahead.isNeeded ? filesystem.ahead.directory(ino).then(load) : load()
}

const read: Handler = async (request, slot, { session, filesystem }) => {
  const { ino } = request
  const range = { fileOffset: request.u64(8), length: request.u32(16) }
  await filesystem.content.prepareRead(ino, range, request.pid)
  session.resume(slot)
}

const write: Handler = (request, slot, { session, filesystem }) => {
  const kill = (request.u32(20) & WRITE_KILL_SUIDGID) !== 0
  const fileOffset = (request.u32(32) & O_APPEND) === 0 ? request.u64(8) : null
  filesystem.content.prepareWrite(request.ino, fileOffset, request.u32(16), kill)
  session.resume(slot)
}

const readlink: Handler = (request, slot, { session, filesystem }) => {
  session.replyData(slot, filesystem.attributes.readlink(request.ino))
}

const statfs: Handler = (_request, slot, { session, filesystem }) => {
  session.replyData(slot, filesystem.statfs())
}

/** Answers GETXATTR and LISTXATTR: the bytes, or, asked with size 0, how many there are. */
function replySized(context: HandlerContext, slot: number, size: number, value: Buffer): void {
  if (size === 0) {
    const reply = Buffer.alloc(8)
    reply.writeUInt32LE(value.length, 0)
    context.session.replyData(slot, reply)
    return
  }
  if (value.length > size) throw new FsError('ERANGE')
  context.session.replyData(slot, value)
}

const getxattr: Handler = (request, slot, context) => {
  const value = context.filesystem.attributes.getXattr(request.ino, request.name(8))
  replySized(context, slot, request.u32(0), value)
}

const listxattr: Handler = (request, slot, context) => {
  const names = context.filesystem.attributes.listXattr(request.ino)
  replySized(context, slot, request.u32(0), names)
}

const setxattr: Handler = (request, slot, { session, filesystem }) => {
  const name = request.name(8)
  const value = request.bytes(8 + name.length + 1, request.u32(0))
  filesystem.attributes.setXattr(request.ino, name, value, request.u32(4))
  session.replyOk(slot)
}

const removexattr: Handler = (request, slot, { session, filesystem }) => {
  filesystem.attributes.removeXattr(request.ino, request.name(0))
  session.replyOk(slot)
}

const fallocate: Handler = (request, slot, { session, filesystem }) => {
  // The kernel leaves this one to us and does not say whether the caller may keep the bits.
  if (request.uid !== 0) filesystem.attributes.set(request.ino, { killSuidGid: true })
  filesystem.content.allocate(request.ino, request.u32(24), request.u64(8), request.u64(16))
  session.replyOk(slot)
}

const lseek: Handler = (request, slot, { session, filesystem }) => {
  const found = filesystem.content.seek(request.ino, request.u64(8), request.u32(16))
  const reply = Buffer.alloc(8)
  reply.writeBigUInt64LE(BigInt(found), 0)
  session.replyData(slot, reply)
}

/** Handlers by opcode; what is missing is answered ENOSYS. */
export const HANDLERS: ReadonlyMap<number, Handler> = new Map<number, Handler>([
  [OPCODE.lookup, lookup],
  [OPCODE.getattr, getattr],
  [OPCODE.statx, getattr],
  [OPCODE.setattr, setattr],
  [OPCODE.readlink, readlink],
  [OPCODE.symlink, symlink],
  [OPCODE.mknod, mknod],
  [OPCODE.mkdir, mkdir],
  [OPCODE.unlink, unlink],
  [OPCODE.rmdir, rmdir],
  [OPCODE.rename, rename(8, () => 0)],
  [OPCODE.rename2, rename(16, (request) => request.u32(8))],
  [OPCODE.link, link],
  [OPCODE.read, read],
  [OPCODE.write, write],
  [OPCODE.statfs, statfs],
  [OPCODE.setxattr, setxattr],
  [OPCODE.getxattr, getxattr],
  [OPCODE.listxattr, listxattr],
  [OPCODE.removexattr, removexattr],
  [OPCODE.opendir, loadDirectory],
  [OPCODE.readdir, loadDirectory],
  [OPCODE.readdirplus, loadDirectory],
  [OPCODE.create, create],
  [OPCODE.tmpfile, tmpfile],
  [OPCODE.fallocate, fallocate],
  [OPCODE.lseek, lseek]
])
