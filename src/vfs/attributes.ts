/**
 * Operations on a node's attributes: mode, owner, times, extended attributes, the whole drive's.
 */
import { statfsSync } from 'node:fs'
import { FsError } from '../base/errors.js'
import { withAttr, withData } from '../format/edit.js'
import type { AttrChange as RecordChange } from '../format/edit.js'
import { attrWinner, dataWinner } from '../format/winner.js'
import type { NodeRecord } from '../format/record.js'
import type { Row } from '../union/row.js'
import type { Merger } from './merger.js'
import { Operation } from './operation.js'
import { ATTR, PLAIN } from './plane.js'
import type { Volume } from './volume.js'

const S_ISUID = 0o4000
const S_ISGID = 0o2000
const S_IXGRP = 0o0010
/** Flags of setxattr(2). */
const XATTR = { create: 1, replace: 2 } as const
/** The namespaces of xattr(7) that a filesystem only has to store. */
const STORED = /^(user|trusted|security)\../
/** Bytes of all extended attributes of one node: they are part of its record. */
const XATTR_TOTAL = 1024 * 1024

/** What setattr(2) and its kin change; what is not given stays. */
export interface AttrChange {
  readonly mode?: number
  readonly uid?: number
  readonly gid?: number
  readonly atimeNs?: bigint
  readonly mtimeNs?: bigint
  readonly ctimeNs?: bigint
  /** Clear set-user-id and, where the group may execute, set-group-id. */
  readonly killSuidGid?: boolean
}

/** The mode without the bits that a write by an ordinary user takes away. */
export function withoutSuidGid(mode: number): number {
  const cleared = mode & ~S_ISUID
  return cleared & S_IXGRP ? cleared & ~S_ISGID : cleared
}

/** See the file's head. */
export class Attributes {
  constructor(
    private readonly volume: Volume,
    private readonly merger: Merger
  ) {}

  /** Changes attributes; journaled when it returns. @throws {FsError} ENOENT */
  set(ino: number, change: AttrChange): void {
    const { clock, plane } = this.volume.parts
    const old = this.volume.current(ino)
    const mode = this.#newMode(old, change)
    const uid = change.uid ?? old.uid
    const gid = change.gid ?? old.gid
    const owns = change.uid !== undefined || change.gid !== undefined
    const isWritten = mode !== old.mode || owns || change.mtimeNs !== undefined
    const owner = owns ? { owner: this.volume.ownerOf(uid, gid) } : {}
    const attr = mode !== old.mode || owns ? { mode: mode & 0o7777, ...owner } : null
    const mtimeNs = change.mtimeNs ?? null
    // Where there are conflicts the record is written by an operation, and the rest is local.
    const isTangled = isWritten && this.#isTangled(old)
    if (isTangled) this.#writeAll(ino, attr, mtimeNs)
    const recorded = isWritten && !isTangled
    const record = recorded ? this.#written(old, attr, mtimeNs) : null
    const fields = {
      mode,
      uid,
      gid,
      atimeNs: change.atimeNs ?? old.atimeNs,
      mtimeNs: change.mtimeNs ?? old.mtimeNs,
      ctimeNs: change.ctimeNs ?? clock.nowNs(),
      ...(owns && { ownedBySelf: this.volume.ownerOf(uid, gid).type === 'self' ? 1 : 0 }),
      ...(change.mtimeNs !== undefined && { childAtNs: 0n })
    }
    const row = record
      ? old.with(fields, record)
      : (isTangled ? this.volume.current(ino) : old).with(fields)
    this.volume.put(row, !recorded)
    plane.setAttr(
      ino,
      ATTR.mode | ATTR.uid | ATTR.gid | ATTR.atime | ATTR.mtime | ATTR.ctime,
      this.volume.statOf(row)
    )
  }

  /** The value of an extended attribute. @throws {FsError} ENODATA, EOPNOTSUPP */
  getXattr(ino: number, name: string): Buffer {
    if (!STORED.test(name)) throw new FsError('EOPNOTSUPP')
    const value = attrWinner(this.volume.row(ino).record)?.xattrs.get(name)
    if (!value) throw new FsError('ENODATA')
    return value
  }

  /** The names of all extended attributes, each with a NUL behind it. */
  listXattr(ino: number): Buffer {
    const names = attrWinner(this.volume.row(ino).record)?.xattrs.keys() ?? []
    return Buffer.from([...names].map((name) => `${name}\0`).join(''), 'latin1')
  }

  /**
   * Sets an extended attribute.
   * @param flags XATTR_CREATE or XATTR_REPLACE
   * @throws {FsError} EEXIST, ENODATA, ENOSPC, EOPNOTSUPP
   */
  setXattr(ino: number, name: string, value: Buffer, flags: number): void {
    if (!STORED.test(name)) throw new FsError('EOPNOTSUPP')
    const xattrs = attrWinner(this.volume.row(ino).record)?.xattrs
    const old = xattrs?.get(name)
    if (old && flags & XATTR.create) throw new FsError('EEXIST')
    if (!old && flags & XATTR.replace) throw new FsError('ENODATA')
    let total = name.length + value.length
    for (const [other, bytes] of xattrs ?? []) {
      if (other !== name) total += other.length + bytes.length
    }
    if (total > XATTR_TOTAL) throw new FsError('ENOSPC', 'extended attributes of one file: 1 MiB')
    this.#changeXattr(ino, name, value)
  }

  /** Removes an extended attribute. @throws {FsError} ENODATA, EOPNOTSUPP */
  removeXattr(ino: number, name: string): void {
    this.getXattr(ino, name)
    this.#changeXattr(ino, name, null)
  }

  /** The target of a symlink. @throws {FsError} EINVAL */
  readlink(ino: number): Buffer {
    const content = this.volume.parts.tables.contentOf(this.volume.row(ino))?.content
    if (content?.type !== 'link') throw new FsError('EINVAL')
    return content.target
  }

  /**
   * `struct fuse_kstatfs`: the room on the disk that holds the home.
   * @param reservedBytes what is kept back from files
   */
  statfs(reservedBytes: number): Buffer {
    const disk = statfsSync(this.volume.parts.files.directory)
    const reserved = Math.ceil(reservedBytes / disk.bsize)
    const bytes = Buffer.alloc(80)
    bytes.writeBigUInt64LE(BigInt(disk.blocks), 0)
    bytes.writeBigUInt64LE(BigInt(Math.max(0, disk.bfree - reserved)), 8)
    bytes.writeBigUInt64LE(BigInt(Math.max(0, disk.bavail - reserved)), 16)
    bytes.writeBigUInt64LE(BigInt(disk.files), 24)
    bytes.writeBigUInt64LE(BigInt(disk.ffree), 32)
    bytes.writeUInt32LE(disk.bsize, 40)
    bytes.writeUInt32LE(255, 44)
    bytes.writeUInt32LE(disk.bsize, 48)
    return bytes
  }

  #newMode(old: Row, change: AttrChange): number {
    const mode =
      change.mode === undefined ? old.mode : (old.mode & 0o170000) | (change.mode & 0o7777)
    return change.killSuidGid ? withoutSuidGid(mode) : mode
  }

  #changeXattr(ino: number, name: string, value: Buffer | null): void {
    const change = { xattrs: new Map([[name, value]]) }
    const old = this.volume.current(ino)
    const isTangled = this.#isTangled(old)
    if (isTangled) this.#writeAll(ino, change, null)
    const record = isTangled ? this.volume.row(ino).record : this.#written(old, change, null)
    const flags = attrWinner(record)?.xattrs.size === 0 ? PLAIN : 0
    const ctimeNs = this.volume.parts.clock.nowNs()
    const row = isTangled
      ? this.volume.current(ino).with({ ctimeNs, flags })
      : old.with({ ctimeNs, flags }, record)
    this.volume.put(row, isTangled)
    this.volume.showAttr(row, ATTR.ctime | ATTR.flags)
  }

  /** A node's record after a change of its attributes, its times, or both. */
  #written(old: Row, attr: RecordChange | null, mtimeNs: bigint | null): NodeRecord {
    const { author } = this.volume.parts
    this.volume.apply(author.reserve(0))
    const write = author.write()
    const record = attr ? withAttr(old.record, attr, write) : old.record
    return mtimeNs !== null && dataWinner(record) ? withData(record, { mtimeNs }, write) : record
  }

  /** The same for every node that stands for the names of one. */
  #writeAll(ino: number, attr: RecordChange | null, mtimeNs: bigint | null): void {
    const operation = new Operation(this.merger)
    const nodes = operation.nodesOf(this.volume.parts.author.idOf(ino))
    if (attr) operation.setAttr(nodes, attr)
    if (mtimeNs !== null) operation.setMtime(nodes, mtimeNs)
    operation.commit()
  }

  #isTangled(row: Row): boolean {
    return !this.volume.orphans.has(row.ino) && this.volume.parts.tables.isTangled(row)
  }
}
