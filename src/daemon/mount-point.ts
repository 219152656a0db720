/**
 * The directory that is mounted on. While nothing is mounted it is empty and not writable, so that
 * no program puts files there that the mount would hide later.
 */
import {
  closeSync,
  constants,
  fchmodSync,
  fstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  realpathSync
} from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { Failure } from '../control/failure.js'
import { answers, detachAll, mountsOn } from './mount-table.js'

const READ_ONLY = 0o555
/** fusermount3 refuses a directory that its caller cannot write to. */
const WRITABLE = 0o755

/** A directory that is ready to be mounted on. */
export interface MountPoint extends Disposable {
  /** Absolute, without symbolic links. */
  readonly path: string
  /** It is mounted: what lies below will not be writable. Otherwise its mode stays what it was. */
  cover(): void
}

/**
 * Follows symbolic links of a mount point without touching the directory itself, which may be a
 * dead mount.
 * @throws {Failure} `mount-point` when the directory it lies in is missing
 */
export function resolveMountPoint(path: string): string {
  try {
    return join(realpathSync(dirname(path)), basename(path))
  } catch (cause) {
    throw new Failure('mount-point', `${dirname(path)} is missing; make it first`, {
      code: 'ENOENT',
      cause
    })
  }
}

/**
 * Gets a directory ready: a dead pcfs mount on it is removed, a missing one is made.
 * @param wanted absolute
 * @returns to be covered after mounting, and disposed of in any case
 * @throws {Failure} `mount-point` when it cannot be mounted on; the message says why
 */
export async function prepareMountPoint(wanted: string): Promise<MountPoint> {
  mkdirIfPossible(dirname(wanted))
  const path = resolveMountPoint(wanted)
  await removeDeadMount(path)
  mkdirIfPossible(path)
  const fd = openDirectory(path)
  const { mode } = fstatSync(fd)
  let after = mode
  try {
    checkEmpty(path)
    if (process.geteuid?.() !== 0) makeWritable(path, fd)
  } catch (error) {
    closeSync(fd)
    throw error
  }
  return {
    path,
    cover: () => (after = READ_ONLY),
    [Symbol.dispose]: () => {
      fchmodSync(fd, after & 0o7777)
      closeSync(fd)
    }
  }
}

async function removeDeadMount(path: string): Promise<void> {
  const top = (await mountsOn(path)).at(-1)
  if (top?.type !== 'fuse.pcfs') return
  if (await answers(path)) {
    throw new Failure('mount-point', `${path} is mounted already, from the home ${top.source}`, {
      code: 'EBUSY'
    })
  }
  await detachAll(path, top.source)
  // There may be another home's dead mount below it.
  await removeDeadMount(path)
}

function mkdirIfPossible(path: string): void {
  try {
    mkdirSync(path, { recursive: true })
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : null
    // Something that is there already is judged by what is done with it next.
    if (code === 'EEXIST' || code === 'ENOTDIR') return
    throw new Failure('mount-point', `${path} cannot be made (${String(code)})`, { cause: error })
  }
}

function openDirectory(path: string): number {
  try {
    return openSync(path, constants.O_RDONLY | constants.O_DIRECTORY)
  } catch (cause) {
    const code = cause instanceof Error && 'code' in cause ? cause.code : null
    const message =
      code === 'ENOTDIR'
        ? `${path} is not a directory; name another one to mount`
        : `${path} cannot be opened (${String(code)})`
    throw new Failure('mount-point', message, { code: 'ENOTDIR', cause })
  }
}

function checkEmpty(path: string): void {
  const names = readdirSync(path)
  if (names.length === 0) return
  const some = names.slice(0, 3).join(', ')
  const more = names.length > 3 ? ` and ${names.length - 3} more` : ''
  throw new Failure(
    'mount-point',
    `${path} is not empty (${some}${more}); move what is in it away, then copy it into the mount`,
    { code: 'ENOTEMPTY' }
  )
}

function makeWritable(path: string, fd: number): void {
  const { uid, mode } = fstatSync(fd)
  if (uid === process.geteuid?.()) fchmodSync(fd, mode | WRITABLE)
  else {
    throw new Failure(
      'mount-point',
      `${path} belongs to another user; mount a directory of yours`,
      {
        code: 'EPERM'
      }
    )
  }
}
