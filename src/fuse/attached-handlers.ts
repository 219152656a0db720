/**
 * What concerns attached drives, before the handlers of the tree are asked: everything in a drive,
 * and the name in the tree under which it is shown. Nothing of this runs while none is attached.
 */
import { FsError } from '../base/errors.js'
import { isForeign } from '../vfs/foreign-nodes.js'
import type { Foreign } from '../vfs/foreign.js'
import type { Grafts } from '../vfs/grafts.js'
import type { Session } from './native.js'
import { OPCODE, type RequestView } from './request.js'

const SEEK_DATA = 3

/** The parts it works with. */
export interface AttachedParts {
  readonly session: Session
  readonly foreign: Foreign
  readonly grafts: Grafts
}

/** Answers what concerns attached drives. */
export class AttachedHandlers {
  constructor(private readonly parts: AttachedParts) {}

  /**
   * Answers a request, now or later, if it concerns an attached drive.
   * @returns false: it does not, and nothing was done
   * @throws what the answer is to be; a promise rejects with it
   */
  serve(request: RequestView, slot: number): boolean | Promise<void> {
    // How much room there is, is asked of the home's disk wherever it is asked.
    if (request.opcode === OPCODE.statfs) return false
    if (isForeign(request.ino)) return this.#serveForeign(request, slot)
    if (this.parts.grafts.isEmpty) return false
    return this.#serveTree(request, slot)
  }

  /** A name in the tree: it may be a drive's, or be about to go into one. */
  #serveTree(request: RequestView, slot: number): boolean {
    const { ino } = request
    switch (request.opcode) {
      case OPCODE.lookup:
        return this.#lookupGraft(request, slot)
      case OPCODE.mknod:
      case OPCODE.create:
        return this.#checkFree(ino, request.name(16))
      case OPCODE.mkdir:
        return this.#checkFree(ino, request.name(8))
      case OPCODE.symlink:
        return this.#checkFree(ino, request.name(0))
      case OPCODE.link:
        if (isForeign(request.u64(0))) throw new FsError('EXDEV')
        return this.#checkFree(ino, request.name(8))
      case OPCODE.unlink:
      case OPCODE.rmdir:
        this.parts.grafts.checkIdle(ino, request.name(0))
        return false
      case OPCODE.rename:
        return this.#checkRename(request, 8)
      case OPCODE.rename2:
        return this.#checkRename(request, 16)
      default:
        return false
    }
  }

  #lookupGraft(request: RequestView, slot: number): boolean {
    const { session, foreign, grafts } = this.parts
    const graft = grafts.at(request.ino, request.name(0))
    if (graft === null) return false
    foreign.showNode(graft)
    session.replyEntry(slot, graft)
    return true
  }

  #checkFree(parent: number, name: string): false {
    if (this.parts.grafts.at(parent, name) !== null) throw new FsError('EEXIST')
    return false
  }

  #checkRename(request: RequestView, headBytes: number): false {
    const from = request.name(headBytes)
    const parent = request.u64(0)
    if (isForeign(parent)) throw new FsError('EXDEV')
    this.parts.grafts.checkIdle(request.ino, from)
    this.parts.grafts.checkIdle(parent, request.name(headBytes + from.length + 1))
    return false
  }

  #serveForeign(request: RequestView, slot: number): true | Promise<void> {
    const { session, foreign } = this.parts
    const { ino } = request
    switch (request.opcode) {
      case OPCODE.lookup:
        return this.#lookup(ino, request.name(0), slot)
      case OPCODE.getattr:
      case OPCODE.statx:
        foreign.showNode(ino)
        session.replyAttr(slot, ino)
        return true
      case OPCODE.readlink:
        session.replyData(slot, foreign.readlink(ino))
        return true
      case OPCODE.opendir:
      case OPCODE.readdir:
      case OPCODE.readdirplus:
        return foreign.load(ino).then(() => void session.resume(slot))
      case OPCODE.read:
        return this.#read(ino, request.u64(8), request.u32(16), slot)
      case OPCODE.lseek:
        return this.#seek(request, slot)
      default:
        throw new FsError(refusalOf(request))
    }
  }

  async #lookup(parent: number, name: string, slot: number): Promise<void> {
    const { session, foreign } = this.parts
    const ino = await foreign.lookup(parent, name)
    if (ino === null) session.replyNegative(slot)
    else session.replyEntry(slot, ino)
  }

  async #read(ino: number, fileOffset: number, length: number, slot: number): Promise<void> {
    const bytes = await this.parts.foreign.read(ino, fileOffset, length)
    this.parts.session.replyData(slot, bytes)
  }

  /** A file of a drive has no holes. */
  #seek(request: RequestView, slot: number): true {
    const size = this.parts.foreign.sizeOf(request.ino)
    const fileOffset = request.u64(8)
    if (fileOffset >= size) throw new FsError('ENXIO')
    const reply = Buffer.alloc(8)
    const found = request.u32(16) === SEEK_DATA ? fileOffset : size
    reply.writeBigUInt64LE(BigInt(found), 0)
    this.parts.session.replyData(slot, reply)
    return true
  }
}

function refusalOf(request: RequestView): 'ENODATA' | 'ENOSYS' | 'EXDEV' | 'EROFS' {
  switch (request.opcode) {
    case OPCODE.getxattr:
    case OPCODE.listxattr:
      return 'ENODATA'
    case OPCODE.copyFileRange:
      return 'ENOSYS'
    case OPCODE.rename:
    case OPCODE.rename2:
      return isForeign(request.u64(0)) ? 'EROFS' : 'EXDEV'
    default:
      return 'EROFS'
  }
}
