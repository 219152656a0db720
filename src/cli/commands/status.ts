import { callDaemon } from '../../control/client.js'
import type { StatusReport } from '../../control/operations.js'
import { checkHome } from '../../daemon/home.js'
import { bytes, duration, printResult, ProgressLine } from '../output.js'
import { homeFrom, type Command } from './common.js'

const STATUS_MS = 10_000
const FLUSH_MS = 24 * 3600 * 1000

/** `pcfs status`: how everything is. */
export const statusCommand: Command<object> = {
  command: 'status',
  describe: 'Tell how everything is',
  handler: async (options) => {
    const home = homeFrom(options)
    const report = await callDaemon('status', {}, { home, deadlineMs: STATUS_MS }).catch(
      (error: unknown) => {
        // A directory that is left over is no home.
        checkHome(home)
        throw error
      }
    )
    printResult(options.json === true, report, describe(report))
  }
}

/** `pcfs flush`: waits until all is ingested. */
export const flushCommand: Command<{ readonly remote: boolean }> = {
  command: 'flush',
  describe: 'Return when everything written so far is in the encrypted store',
  builder: (argv) =>
    argv.option('remote', {
      type: 'boolean',
      default: false,
      describe: 'and in the object store too'
    }),
  handler: async (options) => {
    using progress = new ProgressLine('flushing')
    await callDaemon(
      'flush',
      { remote: options.remote },
      {
        home: homeFrom(options),
        deadlineMs: FLUSH_MS,
        onProgress: (p) => progress.show(p)
      }
    )
    printResult(options.json === true, { flushed: true }, 'flushed')
  }
}

function describe(report: StatusReport): string {
  const { device, backlog, mounts, alarms, tier } = report
  const waiting =
    backlog.spoolBytes + backlog.records === 0
      ? 'none'
      : `${bytes(backlog.spoolBytes)} and ${backlog.records} records are not in the store yet`
  const rows: [string, string][] = [
    ['device', `${device.name} (${device.role})`],
    ['drive', report.drive],
    ['mounted', mounts.map(({ path }) => path).join(', ') || 'nothing'],
    ['daemon', `process ${report.pid}, running for ${duration(report.uptimeS)}`],
    ['home', report.home],
    ...report.generations.map((generation): [string, string] => [
      'stored',
      `generation ${generation.generation} of ${generation.device}: ` +
        `${generation.held} of ${generation.length} records held`
    ]),
    ['backlog', waiting],
    [
      'peers',
      report.peers.map(({ device: name, path }) => `${name} (${path})`).join(', ') || 'none'
    ],
    ['tier', tier.url === null ? 'none' : `${tier.url}: ${tier.state}, ${bytes(tier.bytes)}`],
    ...alarms.map((alarm): [string, string] => ['ALARM', `${alarm.code}: ${alarm.message}`])
  ]
  return rows.map(([name, value]) => `${name.padEnd(9)}${value}`).join('\n')
}
