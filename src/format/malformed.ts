/** The one error for bytes that are not what FORMAT.md says. */
import { FsError } from '../base/errors.js'

/**
 * Bytes that came from a disk, a peer or a bucket and are not in the format.
 * @param what which format, as FORMAT.md calls it
 * @param why what is wrong with it; never a name or content
 * @returns EIO; the caller throws it
 */
export function malformed(what: string, why: string): FsError {
  return new FsError('EIO', `malformed ${what}: ${why}`)
}
