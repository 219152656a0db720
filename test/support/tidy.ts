/**
 * The project's own order, checked as a pure function over a tree of files: which folder may import
 * which (DESIGN section 3), which folder each dependency belongs to, sizes, and what stands at the
 * top. `test/tidy.test.ts` runs it over this project and over planted violations.
 */

/** Everything the check looks at. */
export interface Tree {
  /** Names in the project's top directory, without what git ignores. */
  readonly top: readonly string[]
  /** Text of each file under src/, native/ and test/, by its path from the top. */
  readonly files: ReadonlyMap<string, string>
  /** Names under `dependencies` of package.json. */
  readonly dependencies: readonly string[]
}

/** A folder imports only folders of lower rows, and itself; never a neighbour in its row. */
const ROWS: Readonly<Record<string, number>> = {
  base: 0,
  format: 1,
  store: 2,
  object: 2,
  keys: 2,
  attach: 3,
  generation: 3,
  group: 3,
  swarm: 3,
  tier: 3,
  union: 4,
  vfs: 5,
  fuse: 6,
  control: 6,
  daemon: 7,
  cli: 8
}

/** The one folder that imports each dependency; the others ask that folder. */
const DOORS: Readonly<Record<string, string>> = {
  b4a: 'format',
  'blind-pairing': 'group',
  'compact-encoding': 'format',
  corestore: 'store',
  hyperbee: 'store',
  hyperblobs: 'store',
  hypercore: 'store',
  'hypercore-crypto': 'keys',
  'hypercore-storage': 'store',
  hyperdht: 'swarm',
  hyperdrive: 'store',
  hyperswarm: 'swarm',
  'keet-identity-key': 'keys',
  lmdb: 'union',
  pino: 'daemon',
  'qrcode-generator': 'cli',
  'sodium-native': 'keys',
  'sub-encoder': 'store',
  yargs: 'cli'
}

/** What native/ is built to; loaded by `fuse/` only. */
const ADDON = 'native/build/Release/pcfs.node'

/** Needed to build native/, never imported. */
const BUILD_ONLY: ReadonlySet<string> = new Set(['node-addon-api', 'node-gyp'])

/** What stands at the top, beside dotfiles. */
export const TOP_NAMES: readonly string[] = [
  'CHANGELOG.md',
  'LICENSE',
  'README.md',
  'bin',
  'native',
  'package-lock.json',
  'package.json',
  'packaging',
  'src',
  'test',
  'tsconfig.json'
]

const MAX_FILE_LINES = 400
const MAX_FUNCTION_LINES = 70
const MAX_COLUMNS = 100
const COMMENT = /^\s*(\*|\/\*|\/\/)/

/** Time and chance come from above, as values; only the folders from here up make the real ones. */
const IMPURE_FROM_ROW = 7
const IMPURE = /\bprocess\.env\b|\bDate\.now\(|\bnew Date\(\)|\bMath\.random\(/
/** Defines the real clock that `daemon/` hands down. */
const CLOCK = 'src/base/clock.ts'

/**
 * @param tree the project, or an invented one
 * @returns one line for each violation, beginning with the file; empty when all is tidy
 */
export function findUntidy(tree: Tree): string[] {
  const found = [...checkTop(tree.top), ...checkDoorTable(tree.dependencies)]
  for (const [path, text] of tree.files) {
    if (!/\.(ts|cc|h)$/.test(path)) continue
    found.push(...checkSize(path, text))
    if (path.endsWith('.ts')) found.push(...checkFunctions(path, text))
    if (path.startsWith('src/')) found.push(...checkSource(path, text, tree))
  }
  return found
}

function checkTop(top: readonly string[]): string[] {
  const extra = top.filter((name) => !name.startsWith('.') && !TOP_NAMES.includes(name))
  const missing = TOP_NAMES.filter((name) => !top.includes(name))
  return [
    ...extra.map((name) => `${name}: has no place at the top`),
    ...missing.map((name) => `${name}: is missing at the top`)
  ]
}

function checkDoorTable(dependencies: readonly string[]): string[] {
  return dependencies
    .filter((name) => DOORS[name] === undefined && !BUILD_ONLY.has(name))
    .map((name) => `package.json: dependency ${name} has no folder in the table of doors`)
}

function checkSize(path: string, text: string): string[] {
  const lines = text.replace(/\n$/, '').split('\n')
  const found: string[] = []
  if (lines.length > MAX_FILE_LINES) {
    found.push(`${path}: ${lines.length} lines, more than ${MAX_FILE_LINES}`)
  }
  lines.forEach((line, index) => {
    // Code is laid out by prettier, which keeps a test's title on one line however long it is.
    const isLong = line.length > MAX_COLUMNS && !(path.startsWith('test/') && !COMMENT.test(line))
    if (isLong) {
      found.push(`${path}:${index + 1}: more than ${MAX_COLUMNS} columns`)
    }
  })
  return found
}

/** Heads of blocks that are no functions. */
const STATEMENT = /^\s*(\} )?(if|for|while|switch|catch|else|do|try|finally|class|interface)\b/

/**
 * Prettier's layout makes this exact enough without a parser: a function's body opens at the end of
 * a line and closes at the first later line that begins with `}` at the same depth. In tests the
 * callback that holds the cases may be as long as it needs; oxlint counts the same way.
 */
function checkFunctions(path: string, text: string): string[] {
  if (path.endsWith('.test.ts')) return []
  const lines = text.split('\n')
  const found: string[] = []
  lines.forEach((line, start) => {
    const opens = /(=> \{|\)(: [^=]*)? \{)$/.test(line) && !STATEMENT.test(line)
    if (!opens) return
    const indent = line.search(/\S/)
    const length = lines.slice(start + 1).findIndex((next) => next.search(/\S/) === indent) + 2
    if (length > MAX_FUNCTION_LINES) {
      found.push(`${path}:${start + 1}: a function of ${length} lines, more than 70`)
    }
  })
  return found
}

function checkSource(path: string, text: string, tree: Tree): string[] {
  const folder = path.split('/')[1] ?? ''
  const row = path.split('/').length > 2 ? ROWS[folder] : undefined
  if (row === undefined) return [`${path}: src/${folder} has no row in the layers`]
  const found: string[] = []
  if (path.endsWith('.d.ts') && !Object.values(DOORS).includes(folder)) {
    found.push(`${path}: hand-written declarations belong beside a door`)
  }
  if (row < IMPURE_FROM_ROW && path !== CLOCK && IMPURE.test(withoutComments(text))) {
    found.push(`${path}: takes the time, chance or environment itself instead of as a value`)
  }
  for (const target of importsOf(text)) {
    const problem = target.startsWith('.')
      ? checkLayer(path, row, target)
      : checkDoor(folder, target, tree.dependencies)
    if (problem !== null) found.push(`${path}: ${problem}`)
  }
  return found
}

function checkLayer(path: string, row: number, target: string): string | null {
  const folder = path.split('/')[1] ?? ''
  const parts = path.split('/').slice(0, -1)
  for (const part of target.split('/')) {
    if (part === '..') parts.pop()
    else if (part !== '.') parts.push(part)
  }
  const [root, other = ''] = parts
  if (folder === 'fuse' && parts.join('/') === ADDON) return null
  if (root !== 'src') return `imports ${target}, which lies outside src`
  if (other === folder) return null
  const otherRow = ROWS[other]
  if (otherRow === undefined || parts.length < 3) return `imports ${target}, which has no row`
  return otherRow < row ? null : `imports src/${other}, which is not below src/${folder}`
}

function checkDoor(folder: string, target: string, known: readonly string[]): string | null {
  if (target.startsWith('node:')) return null
  const name = target
    .split('/')
    .slice(0, target.startsWith('@') ? 2 : 1)
    .join('/')
  if (!known.includes(name)) return `imports ${name}, which is not among the dependencies`
  const door = DOORS[name]
  return door === folder ? null : `imports ${name}, whose door is src/${door ?? '(none)'}`
}

/** Every module specifier in the text of a module. */
export function importsOf(text: string): string[] {
  const code = withoutComments(text)
  const forms = [
    /^\s*(?:import|export)\b[^'"`;]*?\bfrom\s*['"]([^'"]+)['"]/gm,
    /^\s*import\s*['"]([^'"]+)['"]/gm,
    /\b(?:import|require)\(\s*['"]([^'"]+)['"]/g
  ]
  return forms.flatMap((form) => [...code.matchAll(form)].map((match) => match[1] ?? ''))
}

function withoutComments(text: string): string {
  return text.replace(/\/\*[\s\S]*?\*\//g, '').replace(/(^|\s)\/\/.*$/gm, '$1')
}
