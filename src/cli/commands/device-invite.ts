import { createInterface } from 'node:readline/promises'
import { callDaemon } from '../../control/client.js'
import { Failure } from '../../control/failure.js'
import { ROLES, type DeviceRole } from '../../control/operations.js'
import { printResult } from '../output.js'
import { qrText } from '../qr.js'
import { homeFrom, type Command, type CommonOptions } from './common.js'

const CALL_MS = 30_000
/** Beyond the end of the invitation: the daemon says that it is over, not we. */
const GRACE_MS = 10_000

interface InviteOptions {
  readonly expires: number
  readonly role?: DeviceRole | undefined
  readonly confirm: boolean
}

/** `pcfs device invite`: a code for one new device. */
export const deviceInviteCommand: Command<InviteOptions> = {
  command: 'invite',
  describe: 'Print a code with which one new device joins the drive',
  builder: (argv) =>
    argv.options({
      expires: { type: 'number', default: 15, describe: 'minutes that the code holds', nargs: 1 },
      role: { choices: ROLES, describe: 'admit only a device of this role', nargs: 1 },
      confirm: {
        type: 'boolean',
        default: true,
        describe:
          'ask for the six digits; --no-confirm admits whoever has the code (so does --json)'
      }
    }),
  handler: runInvite
}

async function runInvite(options: CommonOptions & InviteOptions): Promise<void> {
  const home = homeFrom(options)
  const asJson = options.json === true
  const isBearer = asJson || !options.confirm
  const openMs = options.expires * 60_000
  if (!(openMs > 0)) throw new Failure('usage', '--expires takes a number of minutes')
  const args = { isBearer, openMs, role: options.role ?? null }
  const { code, expires } = await callDaemon('invite', args, { home, deadlineMs: CALL_MS })
  if (isBearer) {
    const warning = 'Whoever has this code first is admitted, once. Hand it over in private:'
    printResult(asJson, { code, expires }, `${warning}\n${code}`)
    return
  }
  showCode(code, options.expires)
  await confirmJoiner({ home, code, openMs })
}

function showCode(code: string, minutes: number): void {
  const { stdout } = process
  if (stdout.isTTY) stdout.write(`${qrText(code.toUpperCase())}\n\n`)
  stdout.write(
    `On the new device, within ${minutes} minutes:\n\n  pcfs device join ${code}\n\n` +
      'It will show six digits, which are to be typed here. Ctrl-C takes the code back.\n'
  )
}

/** Waits for the device that asks, and for the digits; ended by a signal the code is taken back. */
async function confirmJoiner(invitation: {
  readonly home: string
  readonly code: string
  readonly openMs: number
}): Promise<void> {
  const { home, code, openMs } = invitation
  const stop = new AbortController()
  const onSignal = (): void => stop.abort(new Failure('failed', 'the code was taken back'))
  process.once('SIGINT', onSignal)
  process.once('SIGTERM', onSignal)
  try {
    const deadlineMs = openMs + GRACE_MS
    const { signal } = stop
    const joiner = await callDaemon('inviteAnswered', { code }, { home, deadlineMs, signal })
    const question = `'${joiner.name}' (${joiner.role}) asks. The six digits that it shows: `
    const digits = await ask(question, signal)
    const admitted = await callDaemon(
      'inviteConfirm',
      { code, digits },
      { home, deadlineMs: CALL_MS }
    )
    const renamed = admitted.name === joiner.name ? '' : ' (its name was taken)'
    process.stdout.write(`'${admitted.name}' belongs to the drive now${renamed}.\n`)
  } catch (error) {
    await callDaemon('inviteCancel', { code }, { home, deadlineMs: CALL_MS }).catch(() => undefined)
    throw error
  } finally {
    process.off('SIGINT', onSignal)
    process.off('SIGTERM', onSignal)
  }
}

/** One line from whoever types; without one the code is taken back. */
async function ask(question: string, signal: AbortSignal): Promise<string> {
  const lines = createInterface({ input: process.stdin, output: process.stderr })
  const onInterrupt = (): void => void process.kill(process.pid, 'SIGINT')
  lines.on('SIGINT', onInterrupt)
  try {
    const ended = new Promise<never>((_, reject) => {
      lines.once('close', () => {
        reject(new Failure('failed', 'no digits were typed: the code was taken back'))
      })
    })
    ended.catch(() => undefined)
    return await Promise.race([lines.question(question, { signal }), ended])
  } catch (error) {
    signal.throwIfAborted()
    throw error
  } finally {
    lines.close()
    // Or an open standard input would keep the process.
    process.stdin.unref?.()
  }
}
