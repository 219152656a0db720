import { readdirSync, readFileSync, statSync } from 'node:fs'
import { join, resolve } from 'node:path'
import t from 'tap'
import { findUntidy, importsOf, TOP_NAMES, type Tree } from './support/tidy.js'

const ROOT = resolve(import.meta.dirname, '../..')
const IGNORED = new Set(['node_modules', 'dist', 'build'])

function readTree(): Tree {
  const files = new Map<string, string>()
  const walk = (folder: string): void => {
    for (const name of readdirSync(join(ROOT, folder))) {
      if (IGNORED.has(name)) continue
      const path = `${folder}/${name}`
      if (statSync(join(ROOT, path)).isDirectory()) walk(path)
      else if (/\.(ts|cc|h)$/.test(name)) files.set(path, readFileSync(join(ROOT, path), 'utf8'))
    }
  }
  for (const folder of ['src', 'native', 'test']) walk(folder)
  const manifest: unknown = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'))
  const dependencies =
    typeof manifest === 'object' && manifest !== null && 'dependencies' in manifest
      ? Object.keys(manifest.dependencies ?? {})
      : []
  const top = readdirSync(ROOT).filter((name) => !IGNORED.has(name))
  return { top, files, dependencies }
}

const project = readTree()

/** A tidy project without any files. */
const empty: Tree = { top: TOP_NAMES, files: new Map(), dependencies: project.dependencies }

/** What is found in a project with one file. */
function planted(path: string, text: string): string[] {
  return findUntidy({ ...empty, files: new Map([[path, text]]) })
}

t.test('this project is tidy', async (t) => {
  t.ok(project.files.size > 5, 'the files were found')
  t.strictSame(findUntidy(project), [])
})

t.test('an import of a higher folder, a neighbour or a stranger is found', async (t) => {
  const vfs = "import { a } from '../vfs/a.js'\n"
  t.strictSame(planted('src/union/x.ts', vfs), [
    'src/union/x.ts: imports src/vfs, which is not below src/union'
  ])
  t.match(planted('src/keys/x.ts', "export * from '../store/a.js'\n"), [/not below src\/keys/])
  t.match(planted('src/fuse/x.ts', "import type { A } from '../control/a.js'\n"), [/not below/])
  t.match(planted('src/vfs/x.ts', "import '../../test/a.js'\n"), [/outside src/])
  t.match(planted('src/vfs/x.ts', "const a = await import('../daemon/a.js')\n"), [/not below/])
  const addon = "require('../../../native/build/Release/pcfs.node')\n"
  t.match(planted('src/vfs/x.ts', addon), [/outside src/])
  t.match(planted('src/odd/x.ts', ''), [/src\/odd has no row/])
  t.match(planted('src/x.ts', ''), [/has no row/])
  t.strictSame(planted('src/daemon/x.ts', vfs), [])
})

t.test('a dependency imported by another folder than its own is found', async (t) => {
  t.match(planted('src/vfs/x.ts', "import { open } from 'lmdb'\n"), [/door is src\/union/])
  t.match(planted('src/vfs/x.ts', "import x from 'left-pad'\n"), [/not among the dependencies/])
  t.match(planted('src/vfs/hypercore.d.ts', ''), [/belong beside a door/])
  t.strictSame(planted('src/union/x.ts', "import { open } from 'lmdb'\n"), [])
  t.match(findUntidy({ ...empty, dependencies: [...project.dependencies, 'left-pad'] }), [
    /left-pad has no folder/
  ])
})

t.test('too long files, functions and lines are found', async (t) => {
  t.match(planted('src/vfs/x.ts', 'a\n'.repeat(401)), [/401 lines/])
  t.strictSame(planted('src/vfs/x.ts', 'a\n'.repeat(400)), [])
  t.match(planted('native/x.cc', `//${'x'.repeat(99)}\n`), [/x\.cc:1: more than 100 columns/])
  const title = `t.test('${'x'.repeat(99)}', async () => {\n`
  t.strictSame(planted('test/x.test.ts', title), [])
  t.match(planted('test/x.test.ts', `// ${title}`), [/more than 100 columns/])
  t.match(planted('src/vfs/x.ts', title), [/more than 100 columns/])
  const body = (lines: number): string => `function f(): void {\n${'  a()\n'.repeat(lines)}}\n`
  t.match(planted('src/vfs/x.ts', body(69)), [/x\.ts:1: a function of 71 lines/])
  t.strictSame(planted('src/vfs/x.ts', body(68)), [])
  const arrow = body(80).replace('function f(): void', 'const f = (): void =>')
  t.match(planted('src/vfs/x.ts', arrow), [/function of/])
})

t.test('time, chance and environment below daemon are found', async (t) => {
  for (const code of ['process.env', 'Date.now()', 'Math.random()', 'new Date()']) {
    t.match(planted('src/vfs/x.ts', `export const a = ${code}\n`), [/instead of as a value/])
    t.strictSame(planted('src/daemon/x.ts', `export const a = ${code}\n`), [])
    t.strictSame(planted('src/vfs/x.ts', `// never ${code}\n/* ${code} */\n`), [])
  }
})

t.test('a stranger at the top, and what is missing there, is found', async (t) => {
  t.match(findUntidy({ ...empty, top: [...TOP_NAMES, 'tools', '.anything'] }), [
    'tools: has no place at the top'
  ])
  const less = TOP_NAMES.filter((name) => name !== 'README.md')
  t.match(findUntidy({ ...empty, top: less }), ['README.md: is missing at the top'])
})

t.test('imports are read in every form, and not out of comments', async (t) => {
  const text = [
    "import a, { type B } from 'one'",
    "import {\n  c\n} from 'two'",
    "export { d } from 'three'",
    "import 'four'",
    "const e = await import('five')",
    "const f = require('six')",
    "// import g from 'seven'",
    "/**\n * import h from 'eight'\n */"
  ].join('\n')
  t.strictSame(importsOf(text).sort(), ['five', 'four', 'one', 'six', 'three', 'two'])
})
