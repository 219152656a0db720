/**
 * Where the tests are and where they work: the checkout's root, temporary folders that go away,
 * and small C helpers that are compiled once per change of their source.
 */
import { createHash } from 'node:crypto'
import { spawnSync } from 'node:child_process'
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { must } from './process.js'

/** The checkout's top folder. */
export const root: string = findRoot(dirname(fileURLToPath(import.meta.url)))

function findRoot(folder: string): string {
  if (existsSync(join(folder, 'package.json'))) return folder
  const parent = dirname(folder)
  if (parent === folder) throw new Error('package.json not found above the tests')
  return findRoot(parent)
}

/** A folder on the disk that is removed at the end. */
export interface TempFolder extends Disposable {
  readonly path: string
}

/**
 * Makes a temporary folder; it must hold no mount any more when it is disposed.
 * @param label part of its name, so that a forgotten one tells where it came from
 */
export function makeTempFolder(label: string): TempFolder {
  const path = mkdtempSync(join(process.env['PCFS_TEST_TMP'] ?? tmpdir(), `pcfs-test-${label}-`))
  // Other users must get through to the mount inside; a home inside is 0700 by itself.
  chmodSync(path, 0o755)
  return {
    path,
    [Symbol.dispose]: () => {
      // rm(1) removes trees deeper than a path may be long, and is told to stay off mounts.
      spawnSync('rm', ['-rf', '--one-file-system', path], { timeout: 120_000 })
    }
  }
}

/**
 * Compiles a C helper of the tests and returns the program's path. Programs are kept in `dist/`
 * under the hash of their source, so that parallel test files may ask at the same time.
 * @param source path below the checkout, for example `test/bench/fsbench.c`
 * @throws {Error} when the compiler fails
 */
export async function compileHelper(source: string): Promise<string> {
  const file = join(root, source)
  const hash = createHash('sha256').update(readFileSync(file)).digest('hex').slice(0, 16)
  const folder = join(root, 'dist', 'helpers')
  const name = source.replaceAll('/', '-').replace(/\.c$/, '')
  const program = join(folder, `${name}-${hash}`)
  if (existsSync(program)) return program
  mkdirSync(folder, { recursive: true })
  const half = `${program}.${process.pid}`
  const flags = ['-O2', '-g', '-Wall', '-Wextra', '-D_GNU_SOURCE', '-pthread']
  await must('cc', [...flags, '-o', half, file], { timeoutMs: 60_000 })
  renameSync(half, program)
  return program
}
