/**
 * The kernel's end of a session over a socket pair: sends FUSE requests, gets their replies. No
 * caches: every look reaches the filesystem. It counts the lookups that it must forget.
 */
import { closeSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { FsError, isErrnoName } from '../../src/base/errors.js'
import { loadNative, type Native } from '../../src/fuse/native.js'
import { OPCODE } from '../../src/fuse/request.js'
import { getSystemErrorName } from 'node:util'

const HEADER_BYTES = 40
const MESSAGE_BYTES = (1 << 20) + 65_536
const REPLY_TIMEOUT_MS = 20_000
const OP = {
  ...OPCODE,
  forget: 2,
  release: 18,
  fsync: 20,
  init: 26,
  releasedir: 29
} as const

/** `struct fuse_attr`, what of it tests look at. */
export interface Attr {
  readonly ino: number
  readonly size: number
  readonly blocks: number
  readonly mtimeNs: bigint
  readonly ctimeNs: bigint
  readonly mode: number
  readonly nlink: number
  readonly uid: number
  readonly gid: number
}

/** Who the kernel says is asking. */
export interface Who {
  readonly uid: number
  readonly gid: number
}

/** An error reply as an error with the errno's name. */
function errorOf(errno: number): FsError {
  const known = getSystemErrorName(-errno)
  // Linux has one number for both.
  const name = known === 'ENOTSUP' ? 'EOPNOTSUPP' : known
  return new FsError(isErrnoName(name) ? name : 'EIO', name)
}

function attrAt(body: Buffer, byteOffset: number): Attr {
  const u64 = (at: number): number => Number(body.readBigUInt64LE(byteOffset + at))
  const u32 = (at: number): number => body.readUInt32LE(byteOffset + at)
  return {
    ino: u64(0),
    size: u64(8),
    blocks: u64(16),
    mtimeNs: body.readBigInt64LE(byteOffset + 32) * 1_000_000_000n + BigInt(u32(52)),
    ctimeNs: body.readBigInt64LE(byteOffset + 40) * 1_000_000_000n + BigInt(u32(56)),
    mode: u32(60),
    nlink: u32(64),
    uid: u32(68),
    gid: u32(72)
  }
}

/** A request's fixed part: 64-bit and 32-bit numbers at byte offsets. */
export function fields(byteLength: number, u64: object = {}, u32: object = {}): Buffer {
  const body = Buffer.alloc(byteLength)
  for (const [at, value] of Object.entries(u64)) body.writeBigUInt64LE(BigInt(value), Number(at))
  for (const [at, value] of Object.entries(u32)) body.writeUInt32LE(value, Number(at))
  return body
}

function named(head: Buffer, ...names: readonly string[]): Buffer {
  return Buffer.concat([head, ...names.map((name) => Buffer.from(`${name}\0`, 'latin1'))])
}

/** See the file's head. Calls reject with an FsError of the reply's errno. */
export class TestKernel {
  readonly native: Native = loadNative()
  /** For the session. */
  readonly transportFd: number
  readonly #fd: number
  readonly #message = Buffer.alloc(MESSAGE_BYTES)
  readonly #replies = new Map<bigint, { readonly errno: number; readonly body: Buffer }>()
  readonly #lookups = new Map<number, number>()
  #nextUnique = 2n
  /** What the kernel was told to forget: inode numbers, or `parent/name`. */
  readonly told = new Set<string>()

  constructor() {
    const [ours, theirs] = this.native.socketpair()
    this.#fd = ours
    this.transportFd = theirs
  }

  /** The process that asks. */
  pid = 1

  /** Sends a request and does not wait. @returns its unique number */
  send(opcode: number, ino: number, body: Uint8Array, who: Who = { uid: 0, gid: 0 }): bigint {
    const unique = this.#nextUnique
    this.#nextUnique += 2n
    const message = Buffer.alloc(HEADER_BYTES + body.length)
    message.writeUInt32LE(message.length, 0)
    message.writeUInt32LE(opcode, 4)
    message.writeBigUInt64LE(unique, 8)
    message.writeBigUInt64LE(BigInt(ino), 16)
    message.writeUInt32LE(who.uid, 24)
    message.writeUInt32LE(who.gid, 28)
    message.writeUInt32LE(this.pid, 32)
    message.set(body, HEADER_BYTES)
    this.native.rawSend(this.#fd, message)
    return unique
  }

  #receive(ms: number): boolean {
    const length = this.native.rawRecv(this.#fd, this.#message, ms)
    if (length <= 0) return false
    const copy = Buffer.from(this.#message.subarray(0, length))
    const unique = copy.readBigUInt64LE(8)
    if (unique === 0n) this.#tell(copy)
    else {
      this.#replies.set(unique, { errno: -copy.readInt32LE(4), body: copy.subarray(16) })
    }
    return true
  }

  /** A notification: FUSE_NOTIFY_INVAL_INODE or FUSE_NOTIFY_INVAL_ENTRY. */
  #tell(message: Buffer): void {
    const code = message.readInt32LE(4)
    const ino = Number(message.readBigUInt64LE(16))
    if (code === 2) this.told.add(String(ino))
    if (code !== 3) return
    const end = 32 + message.readUInt32LE(24)
    this.told.add(`${ino}/${message.toString('latin1', 32, end)}`)
  }

  #take(unique: bigint): Buffer | null {
    const reply = this.#replies.get(unique)
    if (!reply) return null
    this.#replies.delete(unique)
    if (reply.errno) throw errorOf(reply.errno)
    return reply.body
  }

  /** Waits for a reply; JavaScript works meanwhile. */
  async reply(unique: bigint): Promise<Buffer> {
    const until = performance.now() + REPLY_TIMEOUT_MS
    for (let spins = 0; ; spins++) {
      while (this.#receive(0));
      const body = this.#take(unique)
      if (body) return body
      if (performance.now() > until) throw new Error('no reply in time')
      await (spins < 50 ? new Promise((resolve) => setImmediate(resolve)) : sleep(1))
    }
  }

  /** Waits for a reply that the native side gives by itself: JavaScript does nothing meanwhile. */
  replyNow(unique: bigint): Buffer {
    const until = performance.now() + REPLY_TIMEOUT_MS
    while (!this.#replies.has(unique) && performance.now() < until) this.#receive(5)
    const body = this.#take(unique)
    if (!body) throw new Error('only JavaScript can answer this')
    return body
  }

  async call(opcode: number, ino: number, body: Uint8Array, who?: Who): Promise<Buffer> {
    return this.reply(this.send(opcode, ino, body, who))
  }

  /** The handshake of a mount. */
  async init(): Promise<void> {
    const body = fields(64, {}, { 0: 7, 4: 45, 8: 131_072, 12: 0xffff_ffff, 16: 0xffff_fdff })
    await this.call(OP.init, 0, body)
  }

  #entry(body: Buffer): Attr {
    const ino = Number(body.readBigUInt64LE(0))
    if (ino === 0) throw new FsError('ENOENT')
    this.#lookups.set(ino, (this.#lookups.get(ino) ?? 0) + 1)
    return attrAt(body, 40)
  }

  async lookup(parent: number, name: string): Promise<Attr> {
    return this.#entry(await this.call(OP.lookup, parent, named(Buffer.alloc(0), name)))
  }

  async getattr(ino: number): Promise<Attr> {
    return attrAt(await this.call(OP.getattr, ino, Buffer.alloc(16)), 16)
  }

  /** @param body numbers of fuse_setattr_in, `valid` at 0 */
  async setattr(ino: number, u64: object, u32: object): Promise<Attr> {
    return attrAt(await this.call(OP.setattr, ino, fields(88, u64, u32)), 16)
  }

  /** Creates and opens. */
  async create(parent: number, name: string, mode: number, who?: Who): Promise<Attr> {
    const flags = 0o102 | 0o200
    const body = named(fields(16, {}, { 0: flags, 4: mode | 0o100000 }), name)
    return this.#entry(await this.call(OP.create, parent, body, who))
  }

  /** Makes an open file without a name. */
  async tmpfile(parent: number, mode: number): Promise<Attr> {
    const body = named(fields(16, {}, { 0: 2, 4: mode | 0o100000 }), '/')
    return this.#entry(await this.call(OP.tmpfile, parent, body))
  }

  async mkdir(parent: number, name: string, mode: number): Promise<Attr> {
    return this.#entry(await this.call(OP.mkdir, parent, named(fields(8, {}, { 0: mode }), name)))
  }

  async mknod(parent: number, name: string, mode: number, rdev: number): Promise<Attr> {
    const body = named(fields(16, {}, { 0: mode, 4: rdev }), name)
    return this.#entry(await this.call(OP.mknod, parent, body))
  }

  async symlink(parent: number, name: string, target: string): Promise<Attr> {
    return this.#entry(await this.call(OP.symlink, parent, named(Buffer.alloc(0), name, target)))
  }

  async link(ino: number, parent: number, name: string): Promise<Attr> {
    return this.#entry(await this.call(OP.link, parent, named(fields(8, { 0: ino }), name)))
  }

  async unlink(parent: number, name: string): Promise<void> {
    await this.call(OP.unlink, parent, named(Buffer.alloc(0), name))
  }

  async rmdir(parent: number, name: string): Promise<void> {
    await this.call(OP.rmdir, parent, named(Buffer.alloc(0), name))
  }

  async rename(from: [number, string], to: [number, string], flags: number): Promise<void> {
    const body = named(fields(16, { 0: to[0] }, { 8: flags }), from[1], to[1])
    await this.call(OP.rename2, from[0], body)
  }

  static writeBody(fileOffset: number, data: Uint8Array, flags = 0): Buffer {
    return Buffer.concat([fields(40, { 8: fileOffset }, { 16: data.length, 20: flags }), data])
  }

  async write(ino: number, fileOffset: number, data: Uint8Array, flags = 0): Promise<number> {
    const reply = await this.call(OP.write, ino, TestKernel.writeBody(fileOffset, data, flags))
    return reply.readUInt32LE(0)
  }

  async read(ino: number, fileOffset: number, byteLength: number): Promise<Buffer> {
    return this.call(OP.read, ino, fields(40, { 8: fileOffset }, { 16: byteLength }))
  }

  async fsync(ino: number): Promise<void> {
    await this.call(OP.fsync, ino, Buffer.alloc(16))
  }

  async fallocate(ino: number, mode: number, fileOffset: number, length: number): Promise<void> {
    await this.call(OP.fallocate, ino, fields(32, { 8: fileOffset, 16: length }, { 24: mode }))
  }

  async lseek(ino: number, fileOffset: number, whence: number): Promise<number> {
    const reply = await this.call(OP.lseek, ino, fields(24, { 8: fileOffset }, { 16: whence }))
    return Number(reply.readBigUInt64LE(0))
  }

  async readlink(ino: number): Promise<string> {
    return (await this.call(OP.readlink, ino, Buffer.alloc(0))).toString('latin1')
  }

  async setxattr(ino: number, name: string, value: Buffer, flags: number): Promise<void> {
    const head = fields(8, {}, { 0: value.length, 4: flags })
    await this.call(OP.setxattr, ino, Buffer.concat([named(head, name), value]))
  }

  async getxattr(ino: number, name: string, byteLength = 65_536): Promise<Buffer> {
    return this.call(OP.getxattr, ino, named(fields(8, {}, { 0: byteLength }), name))
  }

  async listxattr(ino: number): Promise<string[]> {
    const names = await this.call(OP.listxattr, ino, fields(8, {}, { 0: 65_536 }))
    return names.toString('latin1').split('\0').slice(0, -1)
  }

  async removexattr(ino: number, name: string): Promise<void> {
    await this.call(OP.removexattr, ino, named(Buffer.alloc(0), name))
  }

  /** All names of a directory but "." and "..". */
  async readdir(ino: number): Promise<string[]> {
    await this.call(OP.opendir, ino, fields(8))
    const names: string[] = []
    for (let cookie = 0n; ;) {
      const body = await this.call(OP.readdir, ino, fields(40, { 8: cookie }, { 16: 32_768 }))
      if (body.length === 0) break
      for (let at = 0; at < body.length;) {
        cookie = body.readBigUInt64LE(at + 8)
        const end = at + 24 + body.readUInt32LE(at + 16)
        names.push(body.toString('latin1', at + 24, end))
        at = Math.ceil(end / 8) * 8
      }
    }
    await this.call(OP.releasedir, ino, fields(24))
    return names.filter((name) => name !== '.' && name !== '..')
  }

  /** The kernel drops its caches: every inode but the root is forgotten. */
  forgetAll(): void {
    for (const [ino, count] of this.#lookups) this.forget(ino, count)
    this.#lookups.clear()
  }

  /** All lookups of one inode are forgotten. */
  forget(ino: number, count = this.#lookups.get(ino) ?? 0): void {
    if (count > 0) this.send(OP.forget, ino, fields(8, { 0: count }))
    this.#lookups.delete(ino)
  }

  close(): void {
    closeSync(this.#fd)
  }
}
