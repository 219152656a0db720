import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { callDaemon } from '../../control/client.js'
import { Failure } from '../../control/failure.js'
import type { StopResult } from '../../control/operations.js'
import { resolveMountPoint } from '../../daemon/mount-point.js'
import { answers, detachAll, mountsOn } from '../../daemon/mount-table.js'
import { printResult, ProgressLine } from '../output.js'
import { homeFrom, type Command, type CommonOptions } from './common.js'

/** Flushing may take as long as it needs; it shows how far it is. */
const STOP_MS = 24 * 3600 * 1000
/** How long the processes may take to end once all is unmounted. */
const END_MS = 60_000

interface StopOptions {
  readonly lazy: boolean
}

const LAZY = {
  lazy: {
    type: 'boolean',
    default: false,
    describe: 'also when files are open: they stay usable until closed'
  }
} as const

/** `pcfs stop`: flushes, unmounts, ends the daemon. */
export const stopCommand: Command<StopOptions> = {
  command: 'stop',
  describe: 'Flush, unmount and stop the daemon',
  builder: (argv) => argv.options(LAZY),
  handler: async (options) => {
    const result = await stop(options, null)
    const text = result === null ? 'pcfs is not running' : 'stopped'
    printResult(options.json === true, { stopped: result !== null }, text)
  }
}

/** `pcfs unmount`: the same, for one directory; also clears away a dead mount. */
export const unmountCommand: Command<StopOptions & { readonly directory?: string | undefined }> = {
  command: 'unmount [directory]',
  describe: 'Flush, unmount and stop the daemon; clears a dead mount away',
  builder: (argv) =>
    argv
      .positional('directory', { type: 'string', describe: 'what is mounted', normalize: true })
      .options(LAZY),
  handler: async (options) => {
    const { directory } = options
    const path = directory === undefined ? null : resolveMountPoint(resolve(directory))
    const result = await stop(options, path)
    const unmounted = [...(result?.unmounted ?? [])]
    if (path !== null && unmounted.length === 0 && (await clearDeadMount(path, result))) {
      unmounted.push(path)
    }
    const what = path ?? 'pcfs'
    const text =
      unmounted.length > 0 ? `${unmounted.join(', ')} unmounted` : `${what} is not mounted`
    printResult(options.json === true, { unmounted }, text)
  }
}

/** @returns null when no daemon runs */
async function stop(
  options: CommonOptions & StopOptions,
  path: string | null
): Promise<StopResult | null> {
  using progress = new ProgressLine('flushing')
  try {
    const result = await callDaemon(
      'stop',
      { path, lazy: options.lazy },
      { home: homeFrom(options), deadlineMs: STOP_MS, onProgress: (p) => progress.show(p) }
    )
    await waitForEnd(result.pids)
    return result
  } catch (error) {
    const isDown =
      error instanceof Failure && (error.kind === 'not-running' || error.kind === 'no-home')
    if (isDown) return null
    throw error
  }
}

/**
 * Takes away a mount that nobody answers for.
 * @throws {Failure} `mount-point` when it is another home's, and alive
 */
async function clearDeadMount(path: string, result: StopResult | null): Promise<boolean> {
  const top = (await mountsOn(path)).at(-1)
  if (result !== null || top?.type !== 'fuse.pcfs') return false
  if (await answers(path)) {
    const { source } = top
    throw new Failure('mount-point', `${path} is mounted from the home ${source}; give --home`, {
      code: 'EBUSY'
    })
  }
  await detachAll(path, top.source)
  return true
}

async function waitForEnd(pids: readonly number[]): Promise<void> {
  const until = performance.now() + END_MS
  while (pids.some(isAlive)) {
    if (performance.now() > until) {
      throw new Failure('timeout', `unmounted, but process ${pids.join(', ')} has not ended yet`)
    }
    await sleep(20)
  }
}

/** Whether a process has not ended; one that nobody has waited for yet has. */
function isAlive(pid: number): boolean {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    return !/^ [ZX]/.test(stat.slice(stat.lastIndexOf(')') + 1))
  } catch {
    return false
  }
}
