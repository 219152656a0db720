import { defaultDeviceName } from '../../daemon/config.js'
import type { NewHome } from '../../daemon/init.js'
import { printResult } from '../output.js'
import { homeFrom, type Command } from './common.js'

/** Options of `init`, also taken by `mount`, which runs it when there is no home. */
export interface InitCommandOptions {
  readonly name?: string | undefined
  readonly phraseFile?: string | undefined
}

/** The options, as yargs takes them. */
export const INIT_OPTIONS = {
  name: { type: 'string', describe: "this device's name (default: the machine's)", nargs: 1 },
  'phrase-file': {
    type: 'string',
    describe: 'write the recovery phrase to this new file instead of showing it',
    normalize: true,
    nargs: 1
  }
} as const

/** `pcfs init`: makes home, identity and drive. */
export const initCommand: Command<InitCommandOptions> = {
  command: 'init',
  describe: 'Make a home on this device and show the recovery phrase once',
  builder: (argv) => argv.options(INIT_OPTIONS),
  handler: async (options) => {
    const made = await runInit(homeFrom(options), options)
    const { drive, device, phraseFile } = made
    const asJson = options.json === true
    showPhrase(made, asJson)
    printResult(
      asJson,
      { drive, device, phraseFile },
      `device   ${device}\ndrive    ${drive}\nhome     ${homeFrom(options)}\n` +
        "Now 'pcfs mount' mounts it."
    )
  }
}

/** Makes a home. Loads the key code only now: other commands start faster without it. */
export async function runInit(home: string, options: InitCommandOptions): Promise<NewHome> {
  const { initHome } = await import('../../daemon/init.js')
  return initHome({
    home,
    deviceName: options.name ?? defaultDeviceName(),
    phraseFile: options.phraseFile ?? null
  })
}

/**
 * Shows the phrase, the only time that it can be shown; not when it was written to a file.
 * @param toStderr leaves stdout to the JSON
 */
export function showPhrase(made: NewHome, toStderr: boolean): void {
  const out = toStderr ? process.stderr : process.stdout
  if (made.phraseFile !== null) {
    out.write(`The recovery phrase is in ${made.phraseFile}. Put it on paper, then delete it.\n`)
    return
  }
  const words = made.phrase.split(' ')
  const rows = [0, 1, 2, 3, 4, 5].map((row) =>
    [0, 6, 12, 18]
      .map((column) => `${String(row + column + 1).padStart(4)} ${words[row + column] ?? ''}`)
      .map((cell) => cell.padEnd(16))
      .join('')
      .trimEnd()
  )
  out.write(
    'This is the recovery phrase. It is shown only now; write it down on paper. Whoever has it\n' +
      'has your files; without it they are lost when your devices are.\n\n' +
      `${rows.join('\n')}\n\n`
  )
}
