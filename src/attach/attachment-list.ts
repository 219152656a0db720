/**
 * What is attached, kept in one file of the home: this device's own affair, which no other device
 * hears of. Replaced as a whole, and durable when a call returns.
 */
import { FsError } from '../base/errors.js'
import { closeSync, fsyncSync, openSync, readFileSync, renameSync, writeSync } from 'node:fs'
import { dirname } from 'node:path'

/** A foreign drive at a place of the tree. */
export interface Attachment {
  /** Of the drive, hexadecimal. */
  readonly key: string
  /** In the tree, beginning with `/`. */
  readonly path: string
  /** Wall clock. */
  readonly addedMs: number
}

/** Reads the file. @returns nothing when there is none @throws {FsError} EIO: it is damaged */
export function readAttachments(file: string): Attachment[] {
  try {
    const parsed: unknown = JSON.parse(readFileSync(file, 'utf8'))
    if (isList(parsed)) return [...parsed.attachments]
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return []
    throw new FsError('EIO', `${file} can not be read: remove it, and attach again`, {
      cause: error
    })
  }
  throw new FsError('EIO', `${file} is no list of attachments: remove it, and attach again`)
}

/** Replaces the file. @throws {Error} ENOSPC, EIO */
export function writeAttachments(file: string, attachments: readonly Attachment[]): void {
  const temporary = `${file}.new`
  const fd = openSync(temporary, 'w', 0o600)
  try {
    writeSync(fd, `${JSON.stringify({ version: 1, attachments }, null, 2)}\n`)
    fsyncSync(fd)
  } finally {
    closeSync(fd)
  }
  renameSync(temporary, file)
  const directory = openSync(dirname(file), 'r')
  fsyncSync(directory)
  closeSync(directory)
}

function isList(value: unknown): value is { readonly attachments: readonly Attachment[] } {
  if (typeof value !== 'object' || value === null || !('attachments' in value)) return false
  return Array.isArray(value.attachments) && value.attachments.every(isAttachment)
}

function isAttachment(value: unknown): value is Attachment {
  if (typeof value !== 'object' || value === null) return false
  const { key, path, addedMs }: { key?: unknown; path?: unknown; addedMs?: unknown } = value
  const isKey = typeof key === 'string' && /^[0-9a-f]{64}$/.test(key)
  return isKey && typeof path === 'string' && path.startsWith('/') && typeof addedMs === 'number'
}
