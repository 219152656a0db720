/** How the command line gets a daemon: in the background, or in this process until it ends. */
import { closeSync, fstatSync, ftruncateSync, openSync } from 'node:fs'
import { Failure, fromFailureRecord } from '../control/failure.js'
import { birthOf, type Birth } from './birth.js'
import type { DaemonConfig } from './config.js'
import { openHome } from './home.js'
import { openLog } from './logger.js'
import { startScript, supervise } from './supervisor.js'

const MAX_LAST_WORDS_BYTES = 1024 * 1024
const SUPERVISOR = 'supervisor-main.js'
const DAEMON = 'daemon-main.js'

/**
 * Starts a daemon that outlives us; resolves when its mount answers.
 * @param config checked by `makeConfig`
 * @param supervised false = nothing starts it again when it dies (for tests)
 * @returns the mounted directory; null: a blind device mounts none
 * @throws {Failure} what its start failed with
 */
export async function launch(config: DaemonConfig, supervised: boolean): Promise<string | null> {
  const { log } = openHome(config.home)
  const stderr = openLastWords(`${log}.stderr`)
  const child = startScript(supervised ? SUPERVISOR : DAEMON, config, stderr)
  closeSync(stderr)
  const birth = await birthOf(child, `${log}.stderr`)
  if (child.connected) child.disconnect()
  child.unref()
  return mountedPath(birth)
}

/**
 * Runs a supervised daemon until it ends, for service managers.
 * @param config checked by `makeConfig`
 * @param onReady called when the mount answers
 * @returns exit code for the process
 * @throws {Failure} what its first start failed with
 */
export async function runInForeground(
  config: DaemonConfig,
  onReady: (path: string | null) => void
): Promise<number> {
  const { log: path } = openHome(config.home)
  using file = openLog(path, config.logLevel)
  const stop = new AbortController()
  const end = (): void => stop.abort()
  process.on('SIGTERM', end)
  process.on('SIGINT', end)
  let failure: Failure | null = null
  const code = await supervise({
    config,
    log: file.log,
    signal: stop.signal,
    start: (life) => startScript(DAEMON, life),
    onBirth: (birth) => {
      if (birth.kind === 'ready') onReady(birth.path)
      else failure = fromFailureRecord(birth.failure)
    }
  })
  process.off('SIGTERM', end)
  process.off('SIGINT', end)
  if (failure !== null && !stop.signal.aborted) throw failure
  return code
}

/** Opens what the background processes print to when they die; it does not grow for ever. */
function openLastWords(path: string): number {
  const fd = openSync(path, 'a', 0o600)
  if (fstatSync(fd).size > MAX_LAST_WORDS_BYTES) ftruncateSync(fd)
  return fd
}

function mountedPath(birth: Birth): string | null {
  if (birth.kind === 'ready') return birth.path
  throw fromFailureRecord(birth.failure)
}
