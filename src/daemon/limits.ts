/** How much of the disk history and cache may take; every bound has a name here. */
import { statfsSync } from 'node:fs'
import type { BackgroundLimits } from '../vfs/background-readers.js'
import type { HistoryLimits } from '../vfs/history.js'
import type { Environment } from './config.js'

const GIB = 2 ** 30
const DAY_MS = 24 * 60 * 60 * 1000

/** The bounds of one home. */
export interface Limits {
  readonly history: HistoryLimits
  readonly cacheBudgetBytes: number
  /** Content of each attached drive. */
  readonly attachedBytes: number
  readonly background: BackgroundLimits
}

/** Processes that read whatever they find, as /proc/PID/comm has them: 15 characters at most. */
const BACKGROUND_READERS = [
  'baloo_file',
  'baloo_file_extr',
  'ffmpegthumbnail',
  'gdk-pixbuf-thum',
  'localsearch-3',
  'localsearch-ext',
  'plocate-build',
  'recollindex',
  'totem-video-thu',
  'tracker-extract',
  'tracker-miner-f',
  'tumblerd',
  'updatedb',
  'updatedb.mlocat',
  'updatedb.plocat'
]
const BACKGROUND_BYTES = 256 * 1024 * 1024

/**
 * The bounds of a home: history 10 % of its disk and 30 days of running time, cache the smaller of
 * 4 GiB and 10 %, each attached drive the smaller of 1 GiB and 2.5 %, background readers 256 MiB an
 * hour. `PCFS_HISTORY_BYTES`, `PCFS_HISTORY_MS`, `PCFS_CACHE_BYTES`, `PCFS_ATTACHED_BYTES`,
 * `PCFS_BACKGROUND_BYTES` and `PCFS_BACKGROUND_READERS` (names separated by
 * commas) say otherwise.
 * @param home the disk that counts
 */
export function limitsOf(home: string, env: Environment): Limits {
  const disk = statfsSync(home)
  const tenth = Math.floor((disk.blocks * disk.bsize) / 10)
  return {
    history: {
      budgetBytes: numberOf(env['PCFS_HISTORY_BYTES'], tenth),
      keepRunMs: numberOf(env['PCFS_HISTORY_MS'], 30 * DAY_MS)
    },
    cacheBudgetBytes: numberOf(env['PCFS_CACHE_BYTES'], Math.min(4 * GIB, tenth)),
    attachedBytes: numberOf(env['PCFS_ATTACHED_BYTES'], Math.min(GIB, tenth / 4)),
    background: {
      names: new Set(env['PCFS_BACKGROUND_READERS']?.split(',') ?? BACKGROUND_READERS),
      hourlyBytes: numberOf(env['PCFS_BACKGROUND_BYTES'], BACKGROUND_BYTES)
    }
  }
}

function numberOf(text: string | undefined, otherwise: number): number {
  const value = Number(text)
  return text !== undefined && text !== '' && Number.isFinite(value) && value >= 0
    ? value
    : otherwise
}
