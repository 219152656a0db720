/** A new node's row and record. */
import { FsError } from '../base/errors.js'
import { newRecord, type Write } from '../format/edit.js'
import type { Content, NodeKind, Place } from '../format/record.js'
import { Row } from '../union/row.js'
import { PLAIN } from './plane.js'
import type { Caller, Volume } from './volume.js'

const S_IFMT = 0o170000
const S_ISGID = 0o2000
/** `st_size` of a directory, as ext4 shows a small one. */
const DIRECTORY_BYTES = 4096

const KIND_OF_TYPE: Readonly<Record<number, NodeKind>> = {
  0o010000: 'fifo',
  0o020000: 'char',
  0o040000: 'dir',
  0o060000: 'block',
  0o100000: 'file',
  0o120000: 'symlink',
  0o140000: 'socket'
}

/** What a new node is to be. */
export interface NewNode {
  /** Type and permission bits as in `st_mode`; the umask has been applied. */
  readonly mode: number
  readonly rdev?: number
  /** For a symlink. */
  readonly target?: Buffer
}

/** Who makes what, where. */
export interface Making {
  readonly node: NewNode
  readonly dir: Row
  readonly caller: Caller
  /** null: without a name. */
  readonly place: Place | null
}

/**
 * The row of a new node, with its record.
 * @param write its id must have been reserved too
 * @throws {FsError} EINVAL unknown type
 */
export function newNodeRow(volume: Volume, making: Making, write: Write): Row {
  const { node, dir, caller, place } = making
  const kind = KIND_OF_TYPE[node.mode & S_IFMT]
  if (!kind) throw new FsError('EINVAL', 'unknown file type')
  const inherits = (dir.mode & S_ISGID) !== 0
  const gid = inherits ? dir.gid : caller.gid
  const mode = kind === 'dir' && inherits ? node.mode | S_ISGID : node.mode
  const owner = volume.ownerOf(caller.uid, gid)
  const { ino } = volume.parts.author.newNode()
  const content: Content | undefined = node.target && { type: 'link', target: node.target }
  const rdev = kind === 'char' || kind === 'block' ? (node.rdev ?? 0) : 0
  const record = newRecord(
    { kind, rdev, place, mode: mode & 0o7777, owner, ...(content && { content }) },
    write
  )
  const atNs = write.atNs
  const fields = {
    ino,
    mode,
    rdev,
    flags: PLAIN,
    gid,
    uid: caller.uid,
    nlink: kind === 'dir' ? 2 : 1,
    size: kind === 'dir' ? DIRECTORY_BYTES : (node.target?.length ?? 0),
    atimeNs: atNs,
    mtimeNs: atNs,
    ctimeNs: atNs,
    btimeNs: atNs,
    ownedBySelf: owner.type === 'self' ? 1 : 0
  }
  return Row.create(fields, record)
}
