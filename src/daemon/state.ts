/**
 * What must be known before the store is opened: which boot and which copy of the home wrote it
 * last, and whether anything left the device that the disk may have lost since.
 *
 * The question behind it: a store that was rolled back (power loss, a restored backup, a copied
 * home) and then appended to forks its cores for ever. So nothing is appended until it is certain
 * that nobody has seen more than is here.
 */
import {
  closeSync,
  fsyncSync,
  openSync,
  readFileSync,
  renameSync,
  statSync,
  writeSync
} from 'node:fs'
import { dirname } from 'node:path'
import { Failure } from '../control/failure.js'

/** Contents of `state.json`. */
export interface HomeState {
  readonly version: 1
  /** Boot during which the home was last open (/proc/sys/kernel/random/boot_id). */
  readonly bootId: string
  /** Device and inode of the home: another one after a copy or a restore. */
  readonly homeId: string
  /** Whether blocks or heads have ever been sent to a peer or a bucket. */
  readonly hasSent: boolean
  /** Whether any were sent since the last WAL barrier. */
  readonly hasSentSinceBarrier: boolean
}

/** Whether the store may be appended to. */
export type StoreTrust =
  | { readonly kind: 'append' }
  /** Only after peers or bucket have answered with their longest signed heads. */
  | { readonly kind: 'prove-first'; readonly reason: 'power-loss' | 'copied-home' }

/**
 * Decides whether the old cores may be appended to (DESIGN section 5). Pure.
 * @param before the state that the last process left; null in a new home
 * @param now this boot, this home
 */
export function decideTrust(
  before: HomeState | null,
  now: Pick<HomeState, 'bootId' | 'homeId'>
): StoreTrust {
  if (before === null || !before.hasSent) return { kind: 'append' }
  if (before.homeId !== now.homeId) return { kind: 'prove-first', reason: 'copied-home' }
  if (before.bootId === now.bootId || !before.hasSentSinceBarrier) return { kind: 'append' }
  return { kind: 'prove-first', reason: 'power-loss' }
}

/** This boot's id. */
export function currentBootId(): string {
  return readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()
}

/** The identity of a directory: it changes when the directory is copied or restored. */
export function identityOf(directory: string): string {
  const { dev, ino } = statSync(directory, { bigint: true })
  return `${dev}:${ino}`
}

/**
 * Reads the state.
 * @returns null when there is none
 * @throws {Failure} `damaged` when it cannot be understood
 */
export function readState(path: string): HomeState | null {
  const text = readIfThere(path)
  if (text === null) return null
  const state = parseState(text)
  if (state !== null) return state
  throw new Failure('damaged', `${path} is damaged; 'pcfs doctor' says the mend`)
}

/** Replaces the state; durable when it returns. */
export function writeState(path: string, state: HomeState): void {
  const temporary = `${path}.new`
  const fd = openSync(temporary, 'w', 0o600)
  try {
    writeSync(fd, `${JSON.stringify(state, null, 2)}\n`)
    fsyncSync(fd)
  } finally {
    closeSync(fd)
  }
  renameSync(temporary, path)
  const directory = openSync(dirname(path), 'r')
  try {
    fsyncSync(directory)
  } finally {
    closeSync(directory)
  }
}

function readIfThere(path: string): string | null {
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return null
    throw error
  }
}

function parseState(text: string): HomeState | null {
  try {
    const value: Partial<HomeState> | null = JSON.parse(text)
    const { version, bootId, homeId, hasSent, hasSentSinceBarrier } = value ?? {}
    const isWhole =
      version === 1 &&
      typeof bootId === 'string' &&
      typeof homeId === 'string' &&
      typeof hasSent === 'boolean' &&
      typeof hasSentSinceBarrier === 'boolean'
    return isWhole ? { version, bootId, homeId, hasSent, hasSentSinceBarrier } : null
  } catch {
    return null
  }
}
