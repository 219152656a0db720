/** Entry of the daemon's process: `daemon-main.js CONFIG`. Started by the supervisor. */
import { announce, failedBirth } from './birth.js'
import { enlargeBufferPool } from './buffer-pool.js'
import { openCarrier } from './carrier.js'
import { decodeConfig } from './config.js'
import { Daemon } from './daemon.js'
import { loadNative } from '../fuse/native.js'
import { openFilesystem } from './open-filesystem.js'

/** How long an orderly end may take before it becomes an abrupt one; the journal has everything. */
const END_MS = 30_000

enlargeBufferPool()
// A terminal that goes away does not concern us.
process.on('SIGHUP', () => undefined)
// Nor do last words that a full disk has no room for: the event, unheard, would end the process.
for (const stream of [process.stdout, process.stderr]) stream.on('error', () => undefined)

try {
  const config = decodeConfig(process.argv[2])
  // Our memory holds keys.
  loadNative().setDumpable(false)
  process.title = `pcfs ${config.mountPoint}`
  const daemon = await Daemon.open(config, { mounted: openFilesystem, carrier: openCarrier })
  const end = (): void => {
    setTimeout(() => process.exit(1), END_MS).unref()
    void daemon.close()
  }
  process.on('SIGTERM', end)
  process.on('SIGINT', end)
  announce({ kind: 'ready', path: daemon.mountPath })
  const trouble = await daemon.ended
  if (trouble !== null) console.error(trouble)
  // An end that was asked for; another code would start us again.
  process.exit(0)
} catch (error) {
  console.error(error)
  announce(failedBirth(error))
  process.exitCode = 1
  // Whatever a failed open has left running must not keep a dead process.
  setTimeout(() => process.exit(1), 1000).unref()
  if (process.connected) process.disconnect()
}
