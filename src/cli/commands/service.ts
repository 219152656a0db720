import { Failure } from '../../control/failure.js'
import { makeConfig } from '../../daemon/config.js'
import { isHome, pathsOf } from '../../daemon/home.js'
import { installService, uninstallService } from '../../daemon/service.js'
import { printResult } from '../output.js'
import { homeFrom, type Command, type CommonOptions } from './common.js'
import { MOUNT_OPTIONS, type MountFlags } from './mount-options.js'

interface ServiceOptions extends MountFlags {
  readonly action?: string | undefined
  readonly directory?: string | undefined
}

/** `pcfs service`: start at login or boot. */
export const serviceCommand: Command<ServiceOptions> = {
  command: 'service <action> [directory]',
  describe: 'Mount at login, or at boot when root asks (systemd)',
  builder: (argv) =>
    argv
      .positional('action', { type: 'string', choices: ['install', 'uninstall'] })
      .positional('directory', { type: 'string', describe: 'where to mount', normalize: true })
      .options(MOUNT_OPTIONS),
  handler: (options) => (options.action === 'install' ? install(options) : uninstall(options))
}

async function install(options: CommonOptions & ServiceOptions): Promise<void> {
  const home = homeFrom(options)
  // The phrase must not be shown to a service manager's log.
  if (!isHome(home)) {
    throw new Failure(
      'no-home',
      `there is no home at ${home}; 'pcfs init' or 'pcfs device join' makes one`
    )
  }
  const { openKeyring } = await import('../../keys/keyring.js')
  const { role } = await openKeyring(pathsOf(home).keyring)
  const result = installService(makeConfig(home, options, process.env), role, process.env)
  const todo = result.todo.map((line) => `\n  ${line}`).join('')
  printResult(options.json === true, result, `${result.unit} is written and enabled; now:${todo}`)
}

function uninstall(options: CommonOptions): void {
  const result = uninstallService(process.env)
  const text = result === null ? 'there was no service' : `${result.unit} is gone`
  printResult(options.json === true, { unit: result?.unit ?? null }, text)
}
