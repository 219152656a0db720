/** A real mount for the tests of attached drives; touched by child processes only. */
import { Pcfs } from '../support/pcfs.js'
import { describe, run, type RunResult } from '../support/process.js'
import { makeTempFolder } from '../support/workspace.js'
import { join } from 'node:path'
import type { Test } from 'tap'

/**
 * A mounted home, gone with the test.
 * @param bootstrap of the DHT; empty: no network
 */
export async function mounted(t: Test, bootstrap: string): Promise<Pcfs> {
  const folder = makeTempFolder('attach')
  const pcfs = new Pcfs({ folder: folder.path, env: { PCFS_BOOTSTRAP: bootstrap } })
  t.teardown(async () => {
    await pcfs.destroy()
    folder[Symbol.dispose]()
  })
  await pcfs.mount()
  return pcfs
}

/** Runs a shell command in a directory of the mount; none takes longer than a minute. */
export async function sh(pcfs: Pcfs, command: string, cwd = ''): Promise<RunResult> {
  const options = { cwd: join(pcfs.dir, cwd), timeoutMs: 60_000, onStuck: () => pcfs.abort() }
  return run('sh', ['-c', command], options)
}

/** What a shell command prints. @throws {Error} when it fails */
export async function output(pcfs: Pcfs, command: string, cwd = ''): Promise<string> {
  const result = await sh(pcfs, command, cwd)
  if (result.code === 0) return result.stdout
  throw new Error(`${command}: ${describe(result)}\n${pcfs.logTail()}`)
}
