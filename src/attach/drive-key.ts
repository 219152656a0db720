/** The key of a Hyperdrive as people pass it on: hexadecimal or z-base-32, bare or as a link. */
import { FsError } from '../base/errors.js'

const KEY_BYTES = 32
const Z32 = 'ybndrfg8ejkmcpqxot1uwisza345h769'
/** A scheme (`hyper://`, `pear://`), and after the key a `/` or the version of a link. */
const LINK = /^(?:[a-z][a-z0-9+.-]*:\/\/)?([a-z0-9]+)(?:\+\d+)?\/?$/i

/**
 * Reads a drive's key.
 * @param text as a person gives it
 * @returns 32 bytes
 * @throws {FsError} EINVAL, saying what a key looks like
 */
export function parseDriveKey(text: string): Buffer {
  const digits = LINK.exec(text.trim())?.[1]?.toLowerCase() ?? ''
  const key = /^[0-9a-f]{64}$/.test(digits) ? Buffer.from(digits, 'hex') : decodeZ32(digits)
  if (key !== null) return key
  throw new FsError(
    'EINVAL',
    `'${text}' is no key of a Hyperdrive: give its 64 hexadecimal digits or 52 characters of ` +
      'z-base-32, with or without hyper:// before them'
  )
}

/** 52 digits of 5 bits, of which the last 4 bits are no part of the key. */
function decodeZ32(digits: string): Buffer | null {
  if (digits.length !== Math.ceil((KEY_BYTES * 8) / 5)) return null
  let bits = 0n
  for (const digit of digits) {
    const value = Z32.indexOf(digit)
    if (value < 0) return null
    bits = (bits << 5n) | BigInt(value)
  }
  if ((bits & 15n) !== 0n) return null
  return Buffer.from((bits >> 4n).toString(16).padStart(KEY_BYTES * 2, '0'), 'hex')
}
