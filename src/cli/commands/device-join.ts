import { Failure } from '../../control/failure.js'
import { ROLES, type DeviceRole } from '../../control/operations.js'
import { silentLogger } from '../../base/log.js'
import { defaultDeviceName, networkOf } from '../../daemon/config.js'
import type { JoinStep } from '../../daemon/join.js'
import { duration, printResult } from '../output.js'
import { homeFrom, type Command, type CommonOptions } from './common.js'

/** What is printed has gone out by then. */
const EXIT_MS = 1000

interface JoinCommandOptions {
  readonly code?: string | undefined
  readonly name?: string | undefined
  readonly role?: DeviceRole | undefined
  readonly wait: number
}

/** `pcfs device join`: makes a home that belongs to an existing drive. */
export const deviceJoinCommand: Command<JoinCommandOptions> = {
  command: 'join <code>',
  describe: 'Make a home on this new device that belongs to an existing drive',
  builder: (argv) =>
    argv.positional('code', { type: 'string', describe: "what 'device invite' printed" }).options({
      name: { type: 'string', describe: "this device's name (default: the machine's)", nargs: 1 },
      role: {
        choices: ROLES,
        describe:
          'personal (default, or what the code says); cloud: always on, holds everything; ' +
          'blind: always on, holds everything and can read nothing',
        nargs: 1
      },
      wait: {
        type: 'number',
        default: 120,
        describe: 'seconds to look for the inviting device',
        nargs: 1
      }
    }),
  handler: runJoin
}

async function runJoin(options: CommonOptions & JoinCommandOptions): Promise<void> {
  const { code = '', wait } = options
  if (!(wait > 0)) throw new Failure('usage', '--wait takes a number of seconds')
  const { joinHome } = await import('../../daemon/join.js')
  const joining = joinHome({
    home: homeFrom(options),
    code,
    deviceName: options.name ?? defaultDeviceName(),
    role: options.role ?? null,
    network: networkOf(process.env),
    askMs: wait * 1000,
    onStep: showStep,
    log: silentLogger
  })
  // Sockets of a network that does not answer must not keep the process.
  const joined = await joining.finally(() => setTimeout(() => process.exit(), EXIT_MS).unref())
  const { drive, device, role, isBearer } = joined
  const next = role === 'blind' ? "'pcfs mount' starts it (nothing is mounted)" : "'pcfs mount'"
  printResult(
    options.json === true,
    { drive, device, role, bearer: isBearer },
    `device   ${device} (${role})\ndrive    ${drive}\nhome     ${homeFrom(options)}\n` +
      `Now: ${next}.`
  )
}

/** Where it is; on stderr, as it is no result. */
function showStep(step: JoinStep): void {
  const say = (text: string): void => void process.stderr.write(`${text}\n`)
  switch (step.kind) {
    case 'asking':
      say('looking for the inviting device ...')
      break
    case 'digits': {
      const { digits } = step
      const time = duration(Math.round(step.openMs / 1000))
      say(`Type these digits on the inviting device, within ${time}:\n`)
      say(`    ${digits.slice(0, 3)} ${digits.slice(3)}\n`)
      break
    }
    case 'bearer':
      say('WARNING: this code admits whoever has it; nobody confirms that it is this device.')
      break
    case 'admitted':
      say('admitted; waiting for the keys ...')
  }
}
