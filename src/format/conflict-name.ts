/**
 * The names of conflict copies: `name (conflict, DEVICE, DATE, HEX).ext`. They say what a person
 * wants to know (whose it is, from when) and are the same on every device.
 */
import { isUtf8 } from 'node:buffer'
import { MAX_NAME_BYTES } from './name-rules.js'

/** Digits that are tried in turn until the name is free. */
const HEX_STEP = 4
const MAX_HEX_DIGITS = 24
const MAX_DEVICE_BYTES = 64
/** A longer "extension" is part of the name: "Mr. Smith's letter of last year". */
const MAX_EXTENSION_BYTES = 16
const POINT = 0x2e

/** What a conflict name is made of. */
export interface ConflictMark {
  /** The name that somebody else has. */
  readonly name: Buffer
  /** A directory's name has no extension. */
  readonly isDir: boolean
  /** Name of the device that wrote the copy. */
  readonly device: string
  /** When it was written, ns since 1970. */
  readonly atNs: bigint
  /** The 24 digits of `derivedHex`. */
  readonly hex: string
}

/**
 * The first conflict name that is free.
 * @param isTaken asked with the name's bytes as a latin1 string
 */
export function conflictName(mark: ConflictMark, isTaken: (nameKey: string) => boolean): Buffer {
  for (let digits = HEX_STEP; digits <= MAX_HEX_DIGITS; digits += HEX_STEP) {
    const name = compose(mark, mark.hex.slice(0, digits))
    if (!isTaken(name.toString('latin1'))) return name
  }
  // Only somebody who names files on purpose like this comes here.
  for (let number = 2; ; number++) {
    const name = compose(mark, `${mark.hex} ${number}`)
    if (!isTaken(name.toString('latin1'))) return name
  }
}

/** What a conflict copy's name says. */
export interface ConflictNameParts {
  /** The name that it is a copy of; where that was long, the beginning of it. */
  readonly of: string
  readonly device: string
  /** UTC, `2026-11-23`. */
  readonly date: string
}

/**
 * Reads the name of a conflict copy. A person may have given such a name to something else.
 * @returns null for any other name
 */
export function parseConflictName(name: string): ConflictNameParts | null {
  const found = PATTERN.exec(name)
  if (found === null) return null
  const [, stem = '', device = '', date = '', extension = ''] = found
  return { of: stem + extension, device, date }
}

const PATTERN = /^(.*) \(conflict, (.+), (\d{4}-\d\d-\d\d), [0-9a-f]{4,24}(?: \d+)?\)(\.[^.]*)?$/s

function compose(mark: ConflictMark, hex: string): Buffer {
  const date = new Date(Number(mark.atNs / 1_000_000n)).toISOString().slice(0, 10)
  const middle = Buffer.from(` (conflict, ${deviceText(mark.device)}, ${date}, ${hex})`)
  const extensionAt = mark.isDir ? mark.name.byteLength : extensionStart(mark.name)
  const extension = mark.name.subarray(extensionAt)
  const room = MAX_NAME_BYTES - middle.byteLength - extension.byteLength
  return Buffer.concat([cut(mark.name.subarray(0, extensionAt), room), middle, extension])
}

/** Where the extension begins, its point included; the end of the name when it has none. */
function extensionStart(name: Buffer): number {
  const point = name.lastIndexOf(POINT)
  const isExtension = point > 0 && name.byteLength - point <= MAX_EXTENSION_BYTES
  return isExtension ? point : name.byteLength
}

/** The first `maxBytes` at most; where the whole is UTF-8, no character is cut in two. */
function cut(bytes: Buffer, maxBytes: number): Buffer {
  if (bytes.byteLength <= maxBytes) return bytes
  let end = maxBytes
  if (isUtf8(bytes)) while (end > 0 && ((bytes[end] ?? 0) & 0xc0) === 0x80) end--
  return bytes.subarray(0, end)
}

/** A device's name as part of a file name: no slash, no control characters, bounded. */
function deviceText(device: string): string {
  const clean = device.replaceAll(/[/\p{Cc}]/gu, '_').trim()
  return cut(Buffer.from(clean || 'device'), MAX_DEVICE_BYTES).toString()
}
