/**
 * Loaded into the daemon by NODE_OPTIONS=--import: on SIGUSR2 it does what the file named by
 * PCFS_TEST_PROBE says and writes what came of it beside it (`.result`). So the daemon can be made
 * to stall or to touch its own mount without any code of the product knowing about tests.
 *
 * Actions: `stall MS`, `sync PATH` (a blocking stat), `async PATH` (many stats by the thread pool).
 */
import { readFileSync, statSync, writeFileSync } from 'node:fs'
import { stat } from 'node:fs/promises'
import { isMainThread } from 'node:worker_threads'

/** More than the thread pool has threads. */
const MANY = 16

const file = process.env['PCFS_TEST_PROBE']
if (file !== undefined && isMainThread && process.argv[1]?.endsWith('daemon-main.js') === true) {
  process.on('SIGUSR2', () => {
    const [action, argument = ''] = readFileSync(file, 'utf8').trim().split(' ')
    const tell = (result: string): void => writeFileSync(`${file}.result`, result)
    if (action === 'stall') {
      tell('stalling')
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, Number(argument))
      tell('stalled')
    } else if (action === 'sync') {
      tell(attempt(argument))
    } else if (action === 'async') {
      const looks = Array.from({ length: MANY }, () =>
        stat(argument).then(() => 'answered', codeOf)
      )
      void Promise.all(looks).then((all) => tell([...new Set(all)].join(' ')))
    }
  })
}

function attempt(path: string): string {
  try {
    statSync(path)
    return 'answered'
  } catch (error) {
    return codeOf(error)
  }
}

function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : String(error)
}
