/**
 * A foreign drive's flat keys as a tree. What comes out is safe to show, whatever its writer put
 * in: names are names of a directory, sizes are sizes of a file, links stay within the drive. What
 * can not be shown so is left out.
 *
 * A path may be a file and a directory at once, for a drive has no directories of its own: then it
 * is shown as the directory.
 */
import { FsError } from '../base/errors.js'
import type { ForeignBlob, ForeignEntry } from './types.js'

/** Longest name, bytes. */
const NAME_MAX = 255
/** Longest target of a link, bytes. */
const TARGET_MAX = 4095
/** Largest file that the mount has, bytes. */
const SIZE_MAX = 2 ** 43
/** Largest block that a core can have, bytes. */
const BLOCK_MAX = 2 ** 24
/** Most entries of one directory that is listed. */
const ENTRIES_MAX = 200_000

const SLASH = 0x2f
/** What comes right after all that begins with a name and a slash. */
const AFTER_SLASH = '0'

/** An entry as a drive stores it. */
export interface StoredEntry {
  readonly seq: number
  /** Path, with the slash before it. */
  readonly key: Buffer
  /** JSON, or what somebody has put instead. */
  readonly value: Buffer
}

/** Reads a drive's keys in order, at one version. */
export interface KeyReader {
  /** @param range paths: from the first on, up to before the second */
  entries(range: { readonly gte: Buffer; readonly lt: Buffer }): AsyncIterable<StoredEntry>
  /** What is at a path. */
  entry(path: Buffer): Promise<StoredEntry | null>
}

/**
 * Everything in a directory.
 * @param path '' or `/a/b`
 * @throws {FsError} EFBIG: more than can be listed; each name can still be looked up
 */
export async function listFolder(reader: KeyReader, path: string): Promise<ForeignEntry[]> {
  const found = new Map<string, ForeignEntry>()
  const base = bytesOf(`${path}/`)
  const lt = bytesOf(path + AFTER_SLASH)
  for (let gte: Buffer | null = base; gte !== null;) {
    gte = await listRun(reader, { gte, lt, base, path }, found)
  }
  return [...found.values()]
}

interface Run {
  readonly gte: Buffer
  readonly lt: Buffer
  readonly base: Buffer
  readonly path: string
}

/** @returns where to go on behind a directory; null: that was all */
async function listRun(
  reader: KeyReader,
  { gte, lt, base, path }: Run,
  found: Map<string, ForeignEntry>
): Promise<Buffer | null> {
  for await (const stored of reader.entries({ gte, lt })) {
    const rest = stored.key.subarray(base.length)
    const slash = rest.indexOf(SLASH)
    const name = rest.toString('latin1', 0, slash < 0 ? rest.length : slash)
    const entry = slash < 0 ? entryOf(stored, path, name) : directoryEntry(name)
    if (entry && isName(name)) found.set(name, entry)
    if (found.size > ENTRIES_MAX) throw new FsError('EFBIG', 'a directory has too many entries')
    if (slash >= 0) return bytesOf(`${path}/${name}${AFTER_SLASH}`)
  }
  return null
}

/** What a path stands for. @param path `/a/b` */
export async function lookupPath(reader: KeyReader, path: string): Promise<ForeignEntry | null> {
  const at = path.lastIndexOf('/')
  const name = path.slice(at + 1)
  if (!isName(name)) return null
  const range = { gte: bytesOf(`${path}/`), lt: bytesOf(path + AFTER_SLASH) }
  for await (const _ of reader.entries(range)) return directoryEntry(name)
  const stored = await reader.entry(bytesOf(path))
  return stored && entryOf(stored, path.slice(0, at), name)
}

function directoryEntry(name: string): ForeignEntry {
  const none = { blob: null, target: null, isExecutable: false }
  return { name, kind: 'dir', seq: 0, size: 4096, ...none }
}

function entryOf({ seq, value }: StoredEntry, folder: string, name: string): ForeignEntry | null {
  const { linkname, blob, executable } = fieldsOf(value)
  const common = { name, seq, isExecutable: executable === true }
  if (typeof linkname === 'string' && linkname !== '') {
    const target = targetWithin(folder, Buffer.from(linkname).toString('latin1'))
    const isTarget = target.length <= TARGET_MAX && !target.includes('\0')
    return isTarget ? { ...common, kind: 'link', size: target.length, blob: null, target } : null
  }
  if (blob === null) return { ...common, kind: 'file', size: 0, blob: null, target: null }
  const checked = blobOf(blob)
  if (checked === null) return null
  return { ...common, kind: 'file', size: checked.byteLength, blob: checked, target: null }
}

interface Fields {
  readonly linkname?: unknown
  readonly blob?: unknown
  readonly executable?: unknown
}

function fieldsOf(value: Buffer): Fields {
  try {
    const fields: unknown = JSON.parse(value.toString())
    return typeof fields === 'object' && fields !== null ? fields : {}
  } catch {
    return {}
  }
}

function blobOf(blob: unknown): ForeignBlob | null {
  if (typeof blob !== 'object' || blob === null) return null
  const fields: Readonly<Record<string, unknown>> = { ...blob }
  const numbers = ['byteOffset', 'blockOffset', 'blockLength', 'byteLength'].map(
    (name) => fields[name]
  )
  if (!numbers.every(isCount)) return null
  const [byteOffset = 0, blockOffset = 0, blockLength = 0, byteLength = 0] = numbers
  const place = { byteOffset, blockOffset, blockLength, byteLength }
  const sizeMax = Math.min(SIZE_MAX, blockLength * BLOCK_MAX)
  if (byteLength > sizeMax || !isCount(blockOffset + blockLength)) return null
  return fields['blockMap'] === true ? { ...place, blockMap: true } : place
}

/** Whether a file can have so many bytes. */
export function isSize(value: unknown): value is number {
  return isCount(value) && value <= SIZE_MAX
}

function isCount(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0
}

function isName(name: string): boolean {
  const isLong = name.length === 0 || name.length > NAME_MAX
  return !isLong && name !== '.' && name !== '..' && !name.includes('\0')
}

/**
 * A link's target, relative to the link's directory. A drive's `/` is its own top, and nothing is
 * above that, so what comes out leads to within the drive, also through other links of it.
 */
function targetWithin(folder: string, linkname: string): string {
  const here = folder.split('/').filter((name) => name !== '')
  const there = linkname.startsWith('/') ? [] : [...here]
  for (const name of linkname.split('/')) {
    if (name === '..') there.pop()
    else if (name !== '' && name !== '.') there.push(name)
  }
  let same = 0
  while (same < here.length && here[same] === there[same]) same++
  const up = here.slice(same).map(() => '..')
  return [...up, ...there.slice(same)].join('/') || '.'
}

function bytesOf(path: string): Buffer {
  return Buffer.from(path, 'latin1')
}
