/** Where the drive's devices look for each other. */
import { hashParts } from '../keys/secrets.js'

/** @param drive id of the drive; only its devices know it. @returns 32 bytes */
export function topicOf(drive: Buffer): Buffer {
  return hashParts('pcfs swarm topic', [drive])
}
