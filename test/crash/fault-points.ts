/**
 * The names of all fault points of the product, found in its source: `fault('commit.frozen')` in
 * TypeScript, `"write.data"` in C++. So a new point is tested without being listed.
 */
import { readFileSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { root } from '../support/workspace.js'

const CALL = /fault\w*\(\s*['"]([a-z]+(?:[.-][a-z]+)+)['"]/gi

/** Native code has the names in a table. */
const NATIVE_NAME = /"((?:write|sync)\.[a-z]+)"/g

/** All fault points, sorted. */
export function findFaultPoints(): string[] {
  const names = new Set<string>()
  for (const folder of ['src', 'native']) {
    for (const file of listSources(join(root, folder))) {
      const text = readFileSync(file, 'utf8')
      for (const pattern of [CALL, NATIVE_NAME]) {
        for (const [, name] of text.matchAll(pattern)) if (name !== undefined) names.add(name)
      }
    }
  }
  return [...names].sort()
}

function listSources(folder: string): string[] {
  const files = readdirSync(folder, { recursive: true, encoding: 'utf8' })
  return files
    .filter((file) => /\.(ts|cc|cpp|h)$/.test(file) && !file.startsWith('build'))
    .map((file) => join(folder, file))
}
