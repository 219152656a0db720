/** `pcfs`: how a person or a program starts it. */
import yargs from 'yargs'
import { Failure } from '../control/failure.js'
import { VERSION } from '../daemon/version.js'
import { conflictsCommand } from './commands/conflicts.js'
import { deviceCommand } from './commands/device.js'
import { attachCommand, detachCommand } from './commands/attach.js'
import { doctorCommand } from './commands/doctor.js'
import { initCommand } from './commands/init.js'
import { mountCommand } from './commands/mount.js'
import { serviceCommand } from './commands/service.js'
import { flushCommand, statusCommand } from './commands/status.js'
import { stopCommand, unmountCommand } from './commands/unmount.js'
import { printError } from './output.js'

async function main(args: readonly string[]): Promise<void> {
  const parser = yargs(args)
    .scriptName('pcfs')
    .usage('$0 COMMAND\n\nOne directory, the same on all of your devices, yours alone.')
    .options({
      home: { type: 'string', describe: 'home directory (or PCFS_HOME)', nargs: 1, global: true },
      json: { type: 'boolean', describe: 'print one line of JSON', global: true }
    })
    .command(initCommand)
    .command(mountCommand)
    .command(unmountCommand)
    .command(stopCommand)
    .command(statusCommand)
    .command(flushCommand)
    .command(deviceCommand)
    .command(conflictsCommand)
    .command(attachCommand)
    .command(detachCommand)
    .command(doctorCommand)
    .command(serviceCommand)
    .completion('completion', 'Print a completion script for bash or zsh')
    .demandCommand(1, "say what to do; 'pcfs --help' lists the commands")
    .recommendCommands()
    .strict()
    .version(VERSION)
    .help()
    .alias({ h: 'help', v: 'version' })
    .wrap(Math.min(100, process.stdout.columns ?? 100))
    .exitProcess(false)
    .fail((message, error) => {
      throw error ?? new Failure('usage', `${message} (see pcfs --help)`, { code: 'EINVAL' })
    })
  await parser.parseAsync()
}

try {
  await main(process.argv.slice(2))
} catch (error) {
  printError(error)
}
