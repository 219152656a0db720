/**
 * The smallest control plane that makes a session a filesystem: one flat namespace kept in the
 * native tables, every file in a local file of its own. For tests of the native part on a real
 * mount.
 */
import { constants, mkdtempSync, openSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  ATTR,
  EVENT,
  INODE_RECORD,
  INODE_RECORD_BYTES,
  loadNative,
  type MountOptions,
  type Session
} from '../../src/fuse/native.js'

/** Opcodes of the kernel's protocol that the control plane sees. */
export const OP = {
  lookup: 1,
  forget: 2,
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
  open: 14,
  read: 15,
  write: 16,
  statfs: 17,
  release: 18,
  fsync: 20,
  flush: 25,
  init: 26,
  opendir: 27,
  readdir: 28,
  releasedir: 29,
  fsyncdir: 30,
  create: 35,
  interrupt: 36,
  batchForget: 42,
  readdirplus: 44,
  statx: 52
} as const

/** What a record says, with defaults of a plain file. */
export interface RecordFields {
  readonly ino: number
  readonly size?: number
  readonly mode?: number
  readonly nlink?: number
  readonly uid?: number
  readonly gid?: number
  readonly timeNs?: bigint
  readonly baseEnd?: number
  readonly baseEpoch?: number
  readonly flags?: number
}

/** Encodes an inode record. */
export function record(fields: RecordFields): Buffer {
  const out = Buffer.alloc(INODE_RECORD_BYTES)
  out.writeBigUInt64LE(BigInt(fields.ino), INODE_RECORD.ino)
  out.writeBigUInt64LE(BigInt(fields.size ?? 0), INODE_RECORD.size)
  for (const at of [
    INODE_RECORD.atimeNs,
    INODE_RECORD.mtimeNs,
    INODE_RECORD.ctimeNs,
    INODE_RECORD.btimeNs
  ])
    out.writeBigInt64LE(fields.timeNs ?? 1_700_000_000_123_456_789n, at)
  out.writeUInt32LE(fields.mode ?? 0o100644, INODE_RECORD.mode)
  out.writeUInt32LE(fields.nlink ?? 1, INODE_RECORD.nlink)
  out.writeUInt32LE(fields.uid ?? 0, INODE_RECORD.uid)
  out.writeUInt32LE(fields.gid ?? 0, INODE_RECORD.gid)
  out.writeUInt32LE(fields.flags ?? 0, INODE_RECORD.flags)
  out.writeBigUInt64LE(BigInt(fields.baseEnd ?? 0), INODE_RECORD.baseEnd)
  out.writeBigUInt64LE(BigInt(fields.baseEpoch ?? 0), INODE_RECORD.baseEpoch)
  return out
}

/** A request's header. */
export interface Header {
  readonly length: number
  readonly opcode: number
  readonly unique: bigint
  readonly nodeid: number
  readonly uid: number
  readonly gid: number
  readonly body: Buffer
}

/** Decodes the request in a slot; the body is a view into the slab. */
export function header(session: Session, slot: number): Header {
  const at = Buffer.from(session.slab, slot * session.slotBytes, session.slotBytes)
  const length = at.readUInt32LE(0)
  return {
    length,
    opcode: at.readUInt32LE(4),
    unique: at.readBigUInt64LE(8),
    nodeid: Number(at.readBigUInt64LE(16)),
    uid: at.readUInt32LE(24),
    gid: at.readUInt32LE(28),
    body: at.subarray(40, length)
  }
}

/** Opens a new local file in `directory`. */
export function newLocalFile(directory: string, name: string): number {
  return openSync(join(directory, name), constants.O_RDWR | constants.O_CREAT, 0o600)
}

/** A filesystem that lives until it is unmounted. */
export class TinyFs {
  readonly session: Session
  readonly directory = mkdtempSync(join(tmpdir(), 'pcfs-native-'))
  readonly events: [number, number, number][] = []
  /** Opcodes that get no answer, to test what happens then. */
  readonly silent = new Set<number>()
  ended = false
  private nextIno = 2
  private readonly requests = new Uint32Array(64)
  private readonly triples = new Float64Array(3 * 64)

  constructor(options: MountOptions) {
    this.session = loadNative().mount(options, { onWork: () => this.work() })
    const journal = newLocalFile(this.directory, 'journal-1')
    loadNative().allocate(journal, 0, 64 << 20)
    this.session.journalOpen({
      fd: journal,
      segmentId: 1,
      fileOffset: 0,
      limit: 64 << 20,
      nextSeq: 1,
      salt: 7n
    })
    this.session.putInodes(record({ ino: 1, mode: 0o40755, nlink: 2 }), 1)
    this.session.putDir(1, new Uint8Array(), 0, 1)
  }

  private work(): void {
    for (;;) {
      const count = this.session.takeRequests(this.requests)
      for (const slot of this.requests.subarray(0, count)) this.answer(slot)
      const events = this.session.takeEvents(this.triples)
      for (let i = 0; i < events; i++) {
        const [type = 0, value = 0, argument = 0] = this.triples.subarray(i * 3, i * 3 + 3)
        this.events.push([type, value, argument])
        if (type === EVENT.orphanGone) this.session.dropInode(value)
        if (type === EVENT.ended) this.ended = true
      }
      if (count === 0 && events === 0) break
    }
    if (this.ended) this.session.close()
  }

  private add(request: Header, mode: number): number {
    const ino = this.nextIno++
    const timeNs = loadNative().nowNs()
    const owner = { uid: request.uid, gid: request.gid }
    const directory = (mode & 0o170000) === 0o40000
    this.session.putInodes(record({ ino, mode, nlink: directory ? 2 : 1, timeNs, ...owner }), 1)
    if (directory) this.session.putDir(ino, new Uint8Array(), 0, request.nodeid)
    return ino
  }

  private answer(slot: number): void {
    const request = header(this.session, slot)
    if (this.silent.has(request.opcode)) return
    switch (request.opcode) {
      case OP.create: {
        const ino = this.add(request, request.body.readUInt32LE(4))
        this.session.replyCreate(slot, ino, 0, 2)
        return
      }
      case OP.mkdir: {
        const ino = this.add(request, 0o40000 | request.body.readUInt32LE(0))
        this.session.replyEntry(slot, ino)
        return
      }
      case OP.write: {
        const file = newLocalFile(this.directory, `file-${request.nodeid}`)
        this.session.addFile(request.nodeid, file)
        this.session.bind(request.nodeid, request.nodeid, 0, 2 ** 43)
        this.session.resume(slot)
        return
      }
      case OP.unlink:
      case OP.rmdir:
        this.unlink(slot, request)
        return
      case OP.setattr:
        this.setattr(slot, request)
        return
      case OP.statfs: {
        const out = Buffer.alloc(80)
        out.writeUInt32LE(4096, 40)
        out.writeUInt32LE(255, 44)
        out.writeUInt32LE(4096, 48)
        this.session.replyData(slot, out)
        return
      }
      default:
        this.session.replyError(slot, 38)
    }
  }

  private unlink(slot: number, request: Header): void {
    const name = Buffer.from(request.body.subarray(0, request.body.length - 1))
    const at = Buffer.alloc(INODE_RECORD_BYTES)
    const ino = this.inoOf.get(`${request.nodeid}/${name.toString('latin1')}`)
    this.session.removeDirent(request.nodeid, name)
    if (ino !== undefined) this.session.setAttr(ino, ATTR.nlink, at)
    this.session.replyOk(slot)
  }

  /** Only for names that a test told; unlink works without, but leaves the inode. */
  readonly inoOf = new Map<string, number>()

  private setattr(slot: number, request: Header): void {
    const valid = request.body.readUInt32LE(0)
    if (valid & 8) {
      const size = Number(request.body.readBigUInt64LE(16))
      this.session.truncate(request.nodeid, size, loadNative().nowNs())
    }
    const at = Buffer.alloc(INODE_RECORD_BYTES)
    at.writeUInt32LE(request.body.readUInt32LE(68), INODE_RECORD.mode)
    let mask = 0
    if (valid & 1) {
      this.session.getInode(request.nodeid, at)
      const type = at.readUInt32LE(INODE_RECORD.mode) & 0o170000
      const mode = type | (request.body.readUInt32LE(68) & 0o7777)
      at.writeUInt32LE(mode, INODE_RECORD.mode)
      mask |= ATTR.mode
    }
    this.session.setAttr(request.nodeid, mask, at)
    this.session.replyAttr(slot, request.nodeid)
  }
}
