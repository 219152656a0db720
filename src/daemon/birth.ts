/**
 * How a process that was started in the background tells the one that started it how that went: one
 * message over Node's IPC channel, passed on by the supervisor between daemon and command line.
 */
import type { ChildProcess } from 'node:child_process'
import {
  Failure,
  fromFailureRecord,
  toFailureRecord,
  type FailureRecord
} from '../control/failure.js'

/** The one message. */
export type Birth =
  /** path: what is mounted; null: nothing, on a blind device. */
  | { readonly kind: 'ready'; readonly path: string | null }
  | { readonly kind: 'failed'; readonly failure: FailureRecord }

/** Tells our parent, if there is one that listens. Called at most once in a process. */
export function announce(birth: Birth): void {
  // A parent that is gone does not care any more.
  process.send?.(birth, undefined, undefined, () => undefined)
}

/** A failure as a message. */
export function failedBirth(error: unknown): Birth {
  return { kind: 'failed', failure: toFailureRecord(error) }
}

/**
 * Waits for the message of a child. Without time limit: the opening of a large home after a crash
 * may take long, and a child that dies is noticed.
 * @param child started with an IPC channel
 * @param hint where its last words are, for the message of a child that died silently
 */
export async function birthOf(child: ChildProcess, hint: string): Promise<Birth> {
  return new Promise((resolve) => {
    child.on('message', (message) => {
      const birth = parseBirth(message)
      if (birth !== null) resolve(birth)
    })
    child.once('error', (error) => resolve(failedBirth(error)))
    child.once('exit', (code, signal) => {
      const how = signal ?? `exit code ${code}`
      resolve(failedBirth(new Failure('failed', `the daemon ended (${how}); see ${hint}`)))
    })
  })
}

function parseBirth(message: unknown): Birth | null {
  if (typeof message !== 'object' || message === null || !('kind' in message)) return null
  if (message.kind === 'ready' && 'path' in message) {
    return { kind: 'ready', path: typeof message.path === 'string' ? message.path : null }
  }
  if (message.kind !== 'failed' || !('failure' in message)) return null
  return failedBirth(fromFailureRecord(message.failure))
}
