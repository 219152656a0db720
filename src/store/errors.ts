/** Turns what the Hypercore stack throws into errors that say what happened and what to do. */
import { FsError } from '../base/errors.js'

/** Answers of RocksDB and hypercore that stand for one block that can not be used. */
const DAMAGED = /crc mismatch|checksum mismatch|corrupt|INVALID_CHECKSUM/i
const NO_SPACE = /no space left/i

/** The message with those of its causes: RocksDB's own words are two below. */
function messageOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  return error.cause === undefined ? error.message : `${error.message}: ${messageOf(error.cause)}`
}

function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : ''
}

/**
 * What an attempt to open a store failed of.
 * @param directory the store's directory
 * @param cause what Corestore threw
 */
export function openError(directory: string, cause: unknown): FsError {
  if (cause instanceof FsError) return cause
  const message = messageOf(cause)
  if (codeOf(cause) === 'DEVICE_FILE') {
    const what = `the store ${directory} was copied or restored from a backup (${message})`
    return new FsError('ESTALE', `${what}: run pcfs doctor`, { cause })
  }
  if (/lock/i.test(message)) {
    return new FsError('EBUSY', `another process uses the store ${directory}`, { cause })
  }
  if (NO_SPACE.test(message)) return noSpace(cause)
  if (/permission denied|EACCES/i.test(message)) {
    return new FsError('EACCES', `the store ${directory} can not be accessed`, { cause })
  }
  const what = `the store ${directory} is damaged (${message})`
  return new FsError('EIO', `${what}: run pcfs doctor`, { cause })
}

/**
 * What a read of a block failed of.
 * @param core the core's key
 * @param block core block index; null where a record was read and which block it took is not known
 * @param cause what was thrown
 */
export function readError(core: Buffer, block: number | null, cause: unknown): unknown {
  if (cause instanceof FsError) return cause
  const place = `${block === null ? 'a record' : `block ${block}`} of core ${core.toString('hex')}`
  if (codeOf(cause) === 'REQUEST_TIMEOUT') {
    return new FsError('ETIMEDOUT', `${place} is not on this device, and no peer has sent it`, {
      cause
    })
  }
  const message = messageOf(cause)
  if (DAMAGED.test(message) || /decod/i.test(message)) {
    return new FsError('EIO', `${place} is damaged on this disk (${message})`, { cause })
  }
  if (isClosed(cause)) return new FsError('ECANCELED', 'the store is closed', { cause })
  return new FsError('EIO', `${place} can not be read (${message})`, { cause })
}

/**
 * What an append, clear, flush or compaction failed of.
 * @param what the operation, for the message
 * @param cause what was thrown
 */
export function writeError(what: string, cause: unknown): unknown {
  if (cause instanceof FsError) return cause
  const message = messageOf(cause)
  if (NO_SPACE.test(message)) return noSpace(cause)
  if (isClosed(cause)) return new FsError('ECANCELED', 'the store is closed', { cause })
  return new FsError('EIO', `the store could not ${what} (${message})`, { cause })
}

function isClosed(error: unknown): boolean {
  return codeOf(error) === 'SESSION_CLOSED' || /is closed|closing/i.test(messageOf(error))
}

function noSpace(cause: unknown): FsError {
  return new FsError('ENOSPC', 'no space left on the disk of the pcfs home', { cause })
}
