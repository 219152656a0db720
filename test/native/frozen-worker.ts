/** Reads the frozen bytes of inode 5 again and again; they must all be 1. */
import { parentPort, workerData } from 'node:worker_threads'
import { loadNative } from '../../src/fuse/native.js'

const data: { sessionId: number; size: number; rounds: number } = workerData
const { sessionId, size, rounds } = data
const access = loadNative().attach(sessionId)
let wrong = 0
for (let round = 0; round < rounds; round++) {
  const buffer = Buffer.alloc(size)
  const pairs = access.readFrozen(5, 0, buffer)
  if (pairs.length !== 2 || pairs[0] !== 0 || pairs[1] !== size) wrong++
  wrong += buffer.reduce((sum, byte) => sum + (byte === 1 ? 0 : 1), 0)
}
const filled = access.fill(5, 0, Buffer.alloc(10), 10, 0)
parentPort?.postMessage({ wrong, filled })
