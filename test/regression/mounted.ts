/**
 * A real mount for one test, and what these tests do to it: shell and Python scripts in child
 * processes with a time limit, kill -9, restart.
 */
import type { Test } from 'tap'
import { Pcfs, type PcfsOptions } from '../support/pcfs.js'
import { must } from '../support/process.js'
import { makeTempFolder } from '../support/workspace.js'

/** A mounted home; gone when the test ends. */
export interface Mounted {
  readonly pcfs: Pcfs
  /** The mount point. */
  readonly dir: string
  /** Runs `sh -ec SCRIPT` in the mount. @returns its stdout @throws {Error} when it fails */
  readonly sh: (script: string) => Promise<string>
  /** Runs a Python script in the mount. @returns its stdout @throws {Error} when it fails */
  readonly python: (script: string) => Promise<string>
  /** kill -9, then a mount of what is left. */
  readonly crash: () => Promise<void>
  /** A clean stop, then a mount again. */
  readonly restart: () => Promise<void>
}

const SCRIPT_MS = 60_000

/** Mounts a new home in a folder of its own. */
export async function mounted(t: Test, options: Partial<PcfsOptions> = {}): Promise<Mounted> {
  const folder = makeTempFolder('regression')
  t.teardown(() => folder[Symbol.dispose]())
  return mountedIn(t, folder.path, options)
}

/** Mounts a new home in a folder. */
export async function mountedIn(
  t: Test,
  folder: string,
  options: Partial<PcfsOptions> = {}
): Promise<Mounted> {
  const pcfs = new Pcfs({ folder, ...options })
  t.teardown(() => pcfs.destroy())
  await pcfs.mount()
  const script = async (command: string, args: readonly string[]): Promise<string> => {
    const run = { cwd: pcfs.dir, timeoutMs: SCRIPT_MS, onStuck: () => pcfs.abort() }
    return must(command, args, run)
  }
  return {
    pcfs,
    dir: pcfs.dir,
    sh: (text) => script('sh', ['-ec', text]),
    python: (text) => script('python3', ['-Bc', text]),
    crash: async () => {
      await pcfs.kill9()
      await pcfs.mount()
    },
    restart: async () => {
      await pcfs.stop()
      await pcfs.mount()
    }
  }
}
