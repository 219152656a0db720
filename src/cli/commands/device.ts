import type { Argv } from 'yargs'
import { callDaemon } from '../../control/client.js'
import { ROLES, type DeviceReport } from '../../control/operations.js'
import { bytes, duration, printResult } from '../output.js'
import { homeFrom, type Command, type CommonOptions } from './common.js'
import { deviceInviteCommand } from './device-invite.js'
import { deviceJoinCommand } from './device-join.js'

const LIST_MS = 10_000

/** `pcfs device`: who belongs. */
export const deviceCommand: Command<object> = {
  command: 'device',
  describe: 'List, invite and join devices',
  builder: (argv: Argv<CommonOptions>) =>
    argv
      .command(deviceListCommand())
      .command(deviceInviteCommand)
      .command(deviceJoinCommand)
      .demandCommand(1, `say what: list, invite or join (roles: ${ROLES.join(', ')})`),
  handler: () => undefined
}

function deviceListCommand(): Command<object> {
  return {
    command: 'list',
    describe: 'Tell which devices belong to the drive',
    handler: async (options) => {
      const home = homeFrom(options)
      const { devices } = await callDaemon('devices', {}, { home, deadlineMs: LIST_MS })
      printResult(options.json === true, devices, table(devices))
    }
  }
}

function table(devices: readonly DeviceReport[]): string {
  const rows = devices.map((device) => [
    device.name,
    device.role,
    device.state,
    seen(device),
    device.path ?? '-',
    `${device.holds}; wrote ${bytes(device.byteLength)}`
  ])
  const all = [['NAME', 'ROLE', 'STATE', 'SEEN', 'PATH', 'HOLDS'], ...rows]
  const widths = [0, 1, 2, 3, 4].map((column) => {
    return Math.max(...all.map((row) => (row[column] ?? '').length))
  })
  const line = (row: readonly string[]): string =>
    row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join('  ')
  return all.map((row) => line(row).trimEnd()).join('\n')
}

function seen({ isThis, path, lastSeen }: DeviceReport): string {
  if (isThis) return 'this device'
  if (path !== null) return 'now'
  if (lastSeen === null) return 'never'
  const seconds = Math.round((Date.now() - Date.parse(lastSeen)) / 1000)
  return `${duration(Math.max(0, seconds))} ago`
}
