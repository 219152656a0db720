/**
 * Operating errors. An error that a caller can act on is an `FsError` with an errno, made where the
 * meaning is known; anything else that is thrown is a broken invariant and stops the process.
 */
import { constants } from 'node:os'

/** The name of an errno as Linux spells it, for example `ENOENT`. */
export type ErrnoName = keyof typeof constants.errno | 'ENOATTR'

/** Linux value of ENODATA, which Linux also uses for "no such extended attribute". */
const ENODATA = 61

/**
 * The positive Linux number of an errno name.
 * @param name for example `ENOENT`
 */
export function errnoNumber(name: ErrnoName): number {
  return name === 'ENOATTR' ? ENODATA : constants.errno[name]
}

/** Whether a value that came from outside is the name of an errno. */
export function isErrnoName(value: unknown): value is ErrnoName {
  return typeof value === 'string' && (value === 'ENOATTR' || Object.hasOwn(constants.errno, value))
}

/** An operating error: it has an errno, and a message that says what happened and what to do. */
export class FsError extends Error {
  /** The errno by name, also what `code` is on Node's own errors. */
  readonly code: ErrnoName

  /**
   * @param code errno by name
   * @param message one line for a person; never a secret or a file's content
   * @param options `cause`, the error underneath
   */
  constructor(code: ErrnoName, message?: string, options?: ErrorOptions) {
    super(message ?? code, options)
    this.name = 'FsError'
    this.code = code
  }

  /** The positive errno number. */
  get errno(): number {
    return errnoNumber(this.code)
  }
}

/**
 * The one place that turns any error into an errno number: ours, Node's, and EIO for the rest.
 * @param error anything that was thrown
 */
export function errnoOf(error: unknown): number {
  if (error instanceof FsError) return error.errno
  if (error instanceof Error && 'code' in error && typeof error.code === 'string') {
    const known: Readonly<Record<string, number>> = constants.errno
    return known[error.code] ?? constants.errno.EIO
  }
  return constants.errno.EIO
}
