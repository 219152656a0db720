import { callDaemon } from '../../control/client.js'
import type { ConflictReport } from '../../control/operations.js'
import { printResult } from '../output.js'
import { homeFrom, type Command } from './common.js'

/** A large tree is walked as a whole. */
const LIST_MS = 300_000

/** `pcfs conflicts`: copies that wait for a person. */
export const conflictsCommand: Command<object> = {
  command: 'conflicts',
  describe: 'List the copies of files that were changed on two devices at a time',
  handler: async (options) => {
    const home = homeFrom(options)
    const { conflicts } = await callDaemon('conflicts', {}, { home, deadlineMs: LIST_MS })
    printResult(options.json === true, conflicts, describe(conflicts))
  }
}

function describe(conflicts: readonly ConflictReport[]): string {
  if (conflicts.length === 0) return 'there are no conflict copies'
  const lines = conflicts.map(({ path, of, device, date }) => {
    return `${path}\n    the version of '${of}' that ${device} wrote on ${date}`
  })
  const advice = 'Keep what you want of each under a name of your own, and delete the rest.'
  return [...lines, advice].join('\n')
}
