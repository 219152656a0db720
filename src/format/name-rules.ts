/** What a name in a directory can be: any bytes, as Linux has it, kept exactly. */

/** NAME_MAX of Linux. */
export const MAX_NAME_BYTES = 255

const SLASH = 0x2f
const DOT = 0x2e

/**
 * Whether a directory entry can have this name: 1 to 255 bytes, no NUL, no slash, not `.`, `..`.
 */
export function isName(name: Buffer): boolean {
  const { length } = name
  if (length === 0 || length > MAX_NAME_BYTES) return false
  if (name[0] === DOT && (length === 1 || (length === 2 && name[1] === DOT))) return false
  // A loop, not `includes`: names are short, and a call into native code costs more than they do.
  for (const byte of name) if (byte === SLASH || byte === 0) return false
  return true
}
