/**
 * The exit codes of `pcfs`. Scripts rely on them: a number is never given another meaning.
 *
 * | code | meaning |
 * | --- | --- |
 * | 0 | done |
 * | 1 | failed; the line on stderr says why |
 * | 2 | not understood: unknown command, option or value |
 * | 3 | no daemon is running |
 * | 4 | there is no home |
 * | 5 | another process has the home open |
 * | 6 | the home is not private: wrong owner or permissions |
 * | 7 | the directory cannot be mounted on |
 * | 8 | this machine or user cannot mount: no `/dev/fuse`, or no right to it |
 * | 9 | files are open in the mount |
 * | 10 | it took too long |
 * | 11 | something in the home is damaged; also `doctor`, when it found something bad |
 * | 12 | refused: this device was not admitted, may not do that, or other digits were typed |
 */
import type { FailureKind } from '../control/failure.js'

/** Exit code of each kind of failure. */
export const EXIT_CODES: Readonly<Record<FailureKind, number>> = {
  failed: 1,
  usage: 2,
  'not-running': 3,
  'no-home': 4,
  'home-busy': 5,
  'home-unsafe': 6,
  'mount-point': 7,
  'no-fuse': 8,
  'mount-busy': 9,
  timeout: 10,
  damaged: 11,
  refused: 12
}
