/** Entry of the supervisor's process: `supervisor-main.js CONFIG`. */
import { announce, failedBirth } from './birth.js'
import { decodeConfig } from './config.js'
import { pathsOf } from './home.js'
import { openLog } from './logger.js'
import { startScript, supervise } from './supervisor.js'

process.title = 'pcfs-supervisor'
const stop = new AbortController()
for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => stop.abort())
process.on('SIGHUP', () => undefined)

try {
  const config = decodeConfig(process.argv[2])
  const { log: path } = pathsOf(config.home)
  using file = openLog(path, config.logLevel)
  process.exitCode = await supervise({
    config,
    log: file.log,
    signal: stop.signal,
    onBirth: announce,
    start: (life) => startScript('daemon-main.js', life)
  })
} catch (error) {
  announce(failedBirth(error))
  process.exitCode = 1
}
// The channel to the command line would keep us.
if (process.connected) process.disconnect()
