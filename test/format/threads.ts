/** Random histories on all cores. */
import assert from 'node:assert'
import { once } from 'node:events'
import { availableParallelism } from 'node:os'
import { Worker } from 'node:worker_threads'

/** What a thread does at a time. */
export interface Job {
  readonly check: 'history' | 'delta' | 'wild'
  readonly runs: number
  readonly seed: number
}

/** Histories of one seed: a red one is repeated with its seed and path. */
const RUNS_PER_JOB = 500

/**
 * Runs a check on `runs` random values, from `seed` on, one seed for every 500.
 * @throws {AssertionError} with fast-check's report of the first that fails
 */
export async function checkOnAllCores(
  check: Job['check'],
  { runs, seed }: { readonly runs: number; readonly seed: number }
): Promise<void> {
  const jobs: Job[] = []
  for (let done = 0; done < runs; done += RUNS_PER_JOB) {
    jobs.push({ check, runs: Math.min(RUNS_PER_JOB, runs - done), seed: seed + jobs.length })
  }
  jobs.reverse()
  const count = Math.min(availableParallelism(), jobs.length)
  await Promise.all(Array.from({ length: count }, async () => work(jobs)))
}

async function work(jobs: Job[]): Promise<void> {
  const worker = new Worker(new URL('history-worker.js', import.meta.url))
  try {
    for (let job = jobs.pop(); job !== undefined; job = jobs.pop()) {
      worker.postMessage(job)
      const [failure] = await once(worker, 'message')
      assert(failure === null, String(failure))
    }
  } finally {
    await worker.terminate()
  }
}
