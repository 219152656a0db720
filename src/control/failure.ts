/**
 * Failures that a person is told about: an operating error with a kind that a script can tell apart
 * from the others. They cross the control socket and come out at the other end as what they were.
 */
import { FsError, isErrnoName, type ErrnoName } from '../base/errors.js'

/** Why a command failed; `cli/exit-codes.ts` gives each its exit code. */
export type FailureKind =
  | 'failed'
  | 'usage'
  | 'not-running'
  | 'no-home'
  | 'home-busy'
  | 'home-unsafe'
  | 'mount-point'
  | 'no-fuse'
  | 'mount-busy'
  | 'timeout'
  | 'damaged'
  | 'refused'

const KINDS: ReadonlySet<string> = new Set<FailureKind>([
  'failed',
  'usage',
  'not-running',
  'no-home',
  'home-busy',
  'home-unsafe',
  'mount-point',
  'no-fuse',
  'mount-busy',
  'timeout',
  'damaged',
  'refused'
])

/** An operating error with a kind. Its message is one line: what happened and what to do. */
export class Failure extends FsError {
  readonly kind: FailureKind

  /**
   * @param kind what a script can tell apart
   * @param message one line for a person: what happened, what to do
   * @param options `code`, the errno (EIO when not given); `cause`, the error underneath
   */
  constructor(kind: FailureKind, message: string, options?: { code?: ErrnoName; cause?: unknown }) {
    super(options?.code ?? 'EIO', message, { cause: options?.cause })
    this.name = 'Failure'
    this.kind = kind
  }
}

/** A failure as it goes through a socket or a pipe. */
export interface FailureRecord {
  readonly kind: FailureKind
  readonly code: ErrnoName
  readonly message: string
}

/**
 * What to tell of any error. Only the message goes out, never a stack: that is for the log.
 * @param error anything that was thrown
 */
export function toFailureRecord(error: unknown): FailureRecord {
  if (error instanceof Failure) {
    return { kind: error.kind, code: error.code, message: error.message }
  }
  if (error instanceof FsError) {
    const kind = error.code === 'ETIMEDOUT' ? 'timeout' : 'failed'
    return { kind, code: error.code, message: error.message }
  }
  const message = error instanceof Error ? error.message : String(error)
  return { kind: 'failed', code: 'EIO', message }
}

/**
 * The failure that a record stands for.
 * @param record as it was received; what does not fit becomes `failed` and EIO
 */
export function fromFailureRecord(record: unknown): Failure {
  const { kind, code, message } = asFields(record)
  return new Failure(
    isKind(kind) ? kind : 'failed',
    typeof message === 'string' ? message : 'the other side failed without saying why',
    { code: isErrnoName(code) ? code : 'EIO' }
  )
}

function asFields(value: unknown): { kind?: unknown; code?: unknown; message?: unknown } {
  return typeof value === 'object' && value !== null ? value : {}
}

function isKind(value: unknown): value is FailureKind {
  return typeof value === 'string' && KINDS.has(value)
}
