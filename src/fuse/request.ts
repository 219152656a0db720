/**
 * One request of the kernel, read out of its slot. The layouts are those of <linux/fuse.h>; only
 * requests that the native side did not answer itself come here.
 */

/** `FUSE_*` opcodes that may reach JavaScript. */
export const OPCODE = {
  lookup: 1,
  getattr: 3,
  setattr: 4,
  readlink: 5,
  symlink: 6,
  mknod: 8,
  mkdir: 9,
  unlink: 10,
  rmdir: 11,
  rename: 12,
  link: 13,
  read: 15,
  write: 16,
  statfs: 17,
  setxattr: 21,
  getxattr: 22,
  listxattr: 23,
  removexattr: 24,
  opendir: 27,
  readdir: 28,
  create: 35,
  fallocate: 43,
  readdirplus: 44,
  rename2: 45,
  lseek: 46,
  copyFileRange: 47,
  tmpfile: 51,
  statx: 52
} as const

const HEADER_BYTES = 40

/** A view of the slab of request slots; one instance serves all slots in turn. */
export class RequestView {
  readonly #slab: Buffer
  #at = 0
  #end = 0

  /**
   * @param slab all slots
   * @param slotBytes size of one slot
   */
  constructor(
    slab: ArrayBuffer,
    private readonly slotBytes: number
  ) {
    this.#slab = Buffer.from(slab)
  }

  /** Points the view at a slot. The bytes are the kernel's request until it is answered. */
  select(slot: number): this {
    this.#at = slot * this.slotBytes
    this.#end = this.#at + this.#slab.readUInt32LE(this.#at)
    return this
  }

  get opcode(): number {
    return this.#slab.readUInt32LE(this.#at + 4)
  }
  /** The kernel's number of the request. */
  get unique(): number {
    return this.#safe(this.#at + 8)
  }
  /** The inode (or, for an operation on a name, the directory) that is meant. */
  get ino(): number {
    return this.#safe(this.#at + 16)
  }
  get uid(): number {
    return this.#slab.readUInt32LE(this.#at + 24)
  }
  get gid(): number {
    return this.#slab.readUInt32LE(this.#at + 28)
  }
  get pid(): number {
    return this.#slab.readUInt32LE(this.#at + 32)
  }

  /** A u32 of the body. */
  u32(bodyOffset: number): number {
    return this.#slab.readUInt32LE(this.#at + HEADER_BYTES + bodyOffset)
  }

  /** A u64 of the body that must be a safe integer; larger ones come out inexact. */
  u64(bodyOffset: number): number {
    return this.#safe(this.#at + HEADER_BYTES + bodyOffset)
  }

  /** A signed 64-bit second count and 32-bit nanoseconds of the body, as nanoseconds. */
  time(secondsOffset: number, nanosOffset: number): bigint {
    const seconds = this.#slab.readBigInt64LE(this.#at + HEADER_BYTES + secondsOffset)
    return seconds * 1_000_000_000n + BigInt(this.u32(nanosOffset))
  }

  /** A NUL-terminated string of the body, one character per byte. */
  name(bodyOffset: number): string {
    const start = this.#at + HEADER_BYTES + bodyOffset
    const nul = this.#slab.indexOf(0, start)
    return this.#slab.toString('latin1', start, nul < 0 || nul > this.#end ? this.#end : nul)
  }

  /** A copy of a part of the body. */
  bytes(bodyOffset: number, length: number): Buffer {
    const start = this.#at + HEADER_BYTES + bodyOffset
    return Buffer.from(this.#slab.subarray(start, Math.min(start + length, this.#end)))
  }

  #safe(byteOffset: number): number {
    return (
      this.#slab.readUInt32LE(byteOffset) + this.#slab.readUInt32LE(byteOffset + 4) * 0x1_0000_0000
    )
  }
}
