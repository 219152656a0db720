/**
 * A thread that plays random histories for `threads.ts`: one job of some runs from one seed at a
 * time, answered with what went wrong, or null.
 */
import fc from 'fast-check'
import { parentPort } from 'node:worker_threads'
import { checkDelta } from './check-delta.js'
import { checkHistory } from './check-history.js'
import { checkWild, wildBatches } from './wild-records.js'
import { history } from './histories.js'
import type { Job } from './threads.js'

function runJob({ check, runs, seed }: Job): void {
  const options = { numRuns: runs, seed }
  switch (check) {
    case 'history':
      fc.assert(fc.property(history, checkHistory), options)
      break
    case 'delta':
      fc.assert(fc.property(history, fc.nat(), checkDelta), options)
      break
    case 'wild':
      fc.assert(fc.property(wildBatches, checkWild), options)
      break
  }
}

parentPort?.on('message', (job: Job) => {
  try {
    runJob(job)
    parentPort?.postMessage(null)
  } catch (error) {
    parentPort?.postMessage(error instanceof Error ? error.message : String(error))
  }
})
