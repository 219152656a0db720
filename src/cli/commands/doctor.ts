import { callDaemon } from '../../control/client.js'
import { Failure } from '../../control/failure.js'
import type { Finding } from '../../control/operations.js'
import { examineOutside } from '../../daemon/doctor.js'
import { lockHome } from '../../daemon/home-lock.js'
import { isHome, openHome } from '../../daemon/home.js'
import { EXIT_CODES } from '../exit-codes.js'
import { printResult, ProgressLine } from '../output.js'
import { homeFrom, type Command } from './common.js'

/** A daemon that does not answer in this time is itself a finding. */
const DAEMON_MS = 120_000

interface DoctorOptions {
  readonly rebuildIndex: boolean
}

/** `pcfs doctor`: finds what is wrong and says the mend. */
export const doctorCommand: Command<{ readonly rebuildIndex?: boolean | undefined }> = {
  command: 'doctor',
  describe: 'Find what is wrong and say the mend',
  builder: (argv) =>
    argv.option('rebuild-index', {
      type: 'boolean',
      default: false,
      describe: 'make the index anew from store and journal (pcfs must be stopped)'
    }),
  handler: async (options) => {
    const home = homeFrom(options)
    const findings = await examine(home, { rebuildIndex: options.rebuildIndex === true })
    const isWell = findings.every(({ state }) => state !== 'bad')
    printResult(options.json === true, { ok: isWell, findings }, describe(findings))
    if (!isWell) process.exitCode = EXIT_CODES.damaged
  }
}

async function examine(home: string, options: DoctorOptions): Promise<Finding[]> {
  const inside = await askDaemon(home, options)
  const outside = await examineOutside(home, inside !== null)
  if (inside !== null) return [...outside, ...inside]
  // What is unsafe or missing from outside must be mended before anything inside is opened.
  const isOpenable = outside.every(({ check, state }) => state !== 'bad' || check === 'mount')
  if (!isOpenable || !isHome(home)) return outside
  return [...outside, ...(await examineInside(home, options))]
}

/** @returns null when no daemon runs */
async function askDaemon(home: string, options: DoctorOptions): Promise<Finding[] | null> {
  try {
    const { findings } = await callDaemon('doctor', {}, { home, deadlineMs: DAEMON_MS })
    if (options.rebuildIndex) {
      throw new Failure(
        'home-busy',
        "the index can only be rebuilt while pcfs is down: 'pcfs stop'"
      )
    }
    return [...findings]
  } catch (error) {
    const isDown =
      error instanceof Failure && ['not-running', 'no-home', 'home-unsafe'].includes(error.kind)
    if (isDown) return null
    throw error
  }
}

async function examineInside(home: string, options: DoctorOptions): Promise<Finding[]> {
  const paths = openHome(home)
  using _lock = lockHome(paths.lock)
  using progress = new ProgressLine('rebuilding the index')
  const { examineOffline, rebuildIndex } = await import('../../daemon/offline.js')
  if (options.rebuildIndex) await rebuildIndex(paths, (p) => progress.show(p))
  return examineOffline(paths)
}

function describe(findings: readonly Finding[]): string {
  const lines = findings.map(({ check, state, message, mend }) => {
    const tail = mend === null ? '' : `\n        ${mend}`
    return `${state.padEnd(5)} ${check}: ${message}${tail}`
  })
  return lines.join('\n')
}
