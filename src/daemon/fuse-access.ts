/** Whether this machine lets this user mount, asked before anything is opened. */
import { accessSync, constants, readFileSync, statSync } from 'node:fs'
import { Failure } from '../control/failure.js'

const DEVICE = '/dev/fuse'
const CONFIGURATION = '/etc/fuse.conf'

/**
 * Checks that a mount can be tried.
 * @param allowOther whether other users are to be let in
 * @throws {Failure} `no-fuse`, with what root has to do
 */
export function checkFuse(allowOther: boolean): void {
  if (statSync(DEVICE, { throwIfNoEntry: false }) === undefined) {
    throw new Failure('no-fuse', `this machine has no ${DEVICE}; as root run: modprobe fuse`, {
      code: 'ENODEV'
    })
  }
  try {
    accessSync(DEVICE, constants.R_OK | constants.W_OK)
  } catch (cause) {
    throw new Failure('no-fuse', `you may not open ${DEVICE}; as root run: chmod 666 ${DEVICE}`, {
      code: 'EACCES',
      cause
    })
  }
  if (!allowOther || process.geteuid?.() === 0 || othersAreAllowed()) return
  const mend = `as root add a line 'user_allow_other' to ${CONFIGURATION}`
  throw new Failure('no-fuse', `you may not let other users in; ${mend}`, { code: 'EPERM' })
}

/** What fusermount3 looks for, see fuse.conf in mount.fuse3(8). */
function othersAreAllowed(): boolean {
  try {
    return /^\s*user_allow_other\b/m.test(readFileSync(CONFIGURATION, 'utf8'))
  } catch {
    return false
  }
}
