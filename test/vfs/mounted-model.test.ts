// runner: timeout=500
/**
 * The sequences of the model-based test on a real mount, run by one child process; then the daemon
 * is killed, and the trees are looked at again.
 */
import assert from 'node:assert'
import { createHash } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import t from 'tap'
import { FsError } from '../../src/base/errors.js'
import { describe, run } from '../support/process.js'
import { targetUnderTest } from '../support/target.js'
import { makeTempFolder, root } from '../support/workspace.js'
import { START, operation, type Op } from './operations.js'
import { Reference, type RefNode, type Result } from './reference.js'

const SEQUENCES = Number(process.env['PCFS_MODEL_MOUNTED'] ?? 600)
const CHILD_MS = 60_000 + SEQUENCES * 300
t.setTimeout(2 * CHILD_MS)

interface Tree {
  readonly mode: number
  readonly links: number
  readonly size: number
  readonly mtimeNs: string
  readonly xattrs: Readonly<Record<string, string>>
  readonly target?: string
  readonly sha?: string
  readonly children?: Readonly<Record<string, Tree>>
}

interface Answer {
  readonly results: readonly (readonly (Result | { readonly errno: string })[])[]
  readonly trees: readonly Tree[]
}

function outcome(reference: Reference, op: Op): Result | { errno: string } {
  try {
    return reference.run(op)
  } catch (error) {
    if (error instanceof FsError) return { errno: error.code }
    throw error
  }
}

const KINDS = { file: 0o100000, dir: 0o040000, symlink: 0o120000 } as const

function compare(node: RefNode, tree: Tree, path: string): void {
  assert.equal(tree.mode.toString(8), (KINDS[node.kind] | node.mode).toString(8), `${path}: mode`)
  assert.equal(tree.links, node.links, `${path}: links`)
  assert.deepStrictEqual(tree.xattrs, Object.fromEntries(node.xattrs), `${path}: xattrs`)
  if (node.kind === 'symlink') assert.equal(tree.target, node.target, `${path}: target`)
  if (node.kind === 'file') {
    assert.equal(tree.size, node.data.length, `${path}: size`)
    const sha = createHash('sha256').update(node.data).digest('hex')
    assert.equal(tree.sha, sha, `${path}: content`)
  }
  node.mtimeNs ??= BigInt(tree.mtimeNs)
  assert.equal(tree.mtimeNs, String(node.mtimeNs), `${path}: mtime`)
  const children = tree.children ?? {}
  assert.deepStrictEqual(Object.keys(children).sort(), [...node.children.keys()].sort(), path)
  for (const [name, child] of node.children) {
    const below = children[name]
    if (below) compare(child, below, `${path}/${name}`)
  }
}

const target = targetUnderTest()
t.teardown(() => target.stop())
const folder = makeTempFolder('model')
t.teardown(() => folder[Symbol.dispose]())

/** Has the child process run the sequences, or only look at what they left. */
async function ask(sequences: readonly (readonly Op[])[], onlyTrees: boolean): Promise<Answer> {
  const [input, output] = [join(folder.path, 'in'), join(folder.path, 'out')]
  writeFileSync(input, JSON.stringify({ root: target.dir, sequences, only_trees: onlyTrees }))
  const executor = join(root, 'test/vfs/executor.py')
  const script = `python3 -B '${executor}' < '${input}' > '${output}'`
  const result = await run('/bin/sh', ['-c', script], {
    timeoutMs: CHILD_MS,
    onStuck: () => target.abort()
  })
  if (result.code !== 0) throw new Error(describe(result))
  const answer: Answer = JSON.parse(readFileSync(output, 'utf8'))
  return answer
}

t.test('the mount gives what the reference gives, and has it after kill -9', async (t) => {
  const seed = Number(process.env['PCFS_MODEL_SEED'] ?? Date.now() % 2 ** 31)
  t.comment(`seed ${seed}`)
  const steps = fc.array(operation, { minLength: 20, maxLength: 120, size: 'max' })
  const sequences = fc
    .sample(steps, { seed, numRuns: SEQUENCES })
    .map((sequence) => [...START, ...sequence])
  await target.start()
  const answer = await ask(sequences, false)
  const references: Reference[] = []
  for (const [i, sequence] of sequences.entries()) {
    const reference = new Reference()
    references.push(reference)
    for (const [at, op] of sequence.entries()) {
      const actual = answer.results[i]?.[at]
      const what = `sequence ${i}, step ${at}: ${JSON.stringify(op)}`
      assert.deepStrictEqual(actual, outcome(reference, op), what)
    }
    const tree = answer.trees[i]
    assert.ok(tree)
    compare(reference.root, tree, `sequence ${i}`)
  }
  t.pass(`${sequences.flat().length} operations`)
  await target.kill9()
  await target.revive()
  const later = await ask(sequences, true)
  for (const [i, reference] of references.entries()) {
    const tree = later.trees[i]
    assert.ok(tree)
    compare(reference.root, tree, `after kill -9, sequence ${i}`)
  }
})
