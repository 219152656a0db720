/** This program's version, as package.json has it. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'

/** For example `0.1.0`. */
export const VERSION: string = readVersion()

function readVersion(): string {
  const path = join(import.meta.dirname, '../../../package.json')
  const { version }: { version?: unknown } = JSON.parse(readFileSync(path, 'utf8'))
  return String(version)
}
