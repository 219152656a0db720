/** What the crash tests and their child process agree on. */
import { type NodeId, generationNumber, sequentialId } from '../../src/format/ids.js'

/** The id of the test's n-th node. */
export function nodeOf(n: number): NodeId {
  return sequentialId(generationNumber(Buffer.alloc(32)), n + 1)
}
