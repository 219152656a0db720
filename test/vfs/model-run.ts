/** Runs a sequence on a test volume and on the reference, and compares: results, errnos, trees. */
import assert from 'node:assert'
import { FsError } from '../../src/base/errors.js'
import type { Event, Op } from './operations.js'
import { Posix, type Seen } from './posix.js'
import { Reference, type RefNode, type Result } from './reference.js'
import type { TestVolume } from './test-volume.js'

/** A result, or the errno's name. */
async function outcome(run: () => Result | Promise<Result>): Promise<Result | { errno: string }> {
  try {
    return await run()
  } catch (error) {
    if (error instanceof FsError) return { errno: error.code }
    throw error
  }
}

/** Whether it is an event of the volume, not an operation on files. */
function isEvent(step: Op | Event): step is Event {
  return 'op' in step && !('path' in step) && !('handle' in step)
}

/** See the file's head. One run has a directory of its own, so that many share a volume. */
export class ModelRun {
  readonly reference = new Reference()
  #posix: Posix
  /** States that a power loss may go back to: all since the last sync, the newest last. */
  #states: RefNode[] = []

  private constructor(
    private readonly volume: TestVolume,
    private readonly root: number
  ) {
    this.#posix = new Posix(volume.kernel, root)
  }

  /** @param name of the directory that it works in */
  static async begin(volume: TestVolume, name: string): Promise<ModelRun> {
    const { ino } = await volume.kernel.mkdir(1, name, 0o755)
    await volume.kernel.fsync(ino)
    return new ModelRun(volume, ino)
  }

  async run(steps: readonly (Op | Event)[]): Promise<void> {
    for (const [index, step] of steps.entries()) {
      if (isEvent(step)) {
        await this.#event(step)
        await this.check(`after step ${index}, ${step.op}`)
      } else await this.#operation(step, index)
      if (isEvent(step) || step.op === 'fsync') this.#states = []
      this.#states.push(this.reference.copy())
    }
    await this.check('at the end')
    this.#posix.closeAll()
    this.volume.kernel.forgetAll()
  }

  async #operation(op: Op, index: number): Promise<void> {
    const expected = await outcome(() => this.reference.run(op))
    const actual = await outcome(() => this.#posix.run(op))
    const what = `step ${index}, ${JSON.stringify(op)}`
    if (typeof expected === 'string' && typeof actual === 'string') {
      assert.ok(expected === actual, `${what}: ${difference(expected, actual)}`)
    } else assert.deepStrictEqual(actual, expected, what)
  }

  async #event(event: Event): Promise<void> {
    const { volume } = this
    switch (event.op) {
      case 'commit':
        void volume.fs.ingester.flush().catch(() => undefined)
        return
      case 'flush':
        return volume.flush()
      case 'evict':
        return volume.evict()
      case 'forget':
        if (!this.#posix.hasHandles) volume.kernel.forgetAll()
        return
      case 'remount':
        this.#posix.closeAll()
        await volume.remount()
        break
      case 'crash':
        await volume.crash()
        break
      case 'rebuild':
        await volume.rebuildIndex()
        forgetDirectoryTimes(this.reference.root)
        break
      case 'powerLoss':
        // What a sync has not covered is the power-loss harness's; here a mark vouches for all.
        await volume.fs.durable(volume.session.lastSeq())
        await volume.powerLoss()
        this.reference.handles.clear()
        this.#posix = new Posix(volume.kernel, this.root)
        return this.#goBack()
    }
    this.reference.handles.clear()
    this.#posix = new Posix(volume.kernel, this.root)
  }

  /** Finds the state that the power loss went back to. */
  async #goBack(): Promise<void> {
    const seen = await this.#posix.look()
    let last: unknown = new Error('no state')
    for (const state of [this.reference.copy(), ...this.#states.reverse()]) {
      try {
        compare(state, seen, 'power loss')
        this.reference.root = state
        return
      } catch (error) {
        last = error
      }
    }
    throw last
  }

  /** Compares the whole tree. */
  async check(when: string): Promise<void> {
    compare(this.reference.root, await this.#posix.look(), when)
  }
}

function forgetDirectoryTimes(node: RefNode): void {
  if (node.kind === 'dir') node.mtimeNs = null
  for (const child of node.children.values()) forgetDirectoryTimes(child)
}

const KINDS = { file: 0o100000, dir: 0o040000, symlink: 0o120000 } as const

function compare(node: RefNode, seen: Seen, path: string): void {
  const { attr } = seen
  const kind = KINDS[node.kind]
  assert.equal(attr.mode.toString(8), (kind | node.mode).toString(8), `${path}: mode`)
  assert.equal(attr.nlink, node.links, `${path}: links`)
  assert.deepStrictEqual([...seen.children.keys()].sort(), [...node.children.keys()].sort(), path)
  assert.deepStrictEqual(new Map(seen.xattrs), node.xattrs, `${path}: xattrs`)
  if (node.kind === 'symlink') assert.equal(seen.target, node.target, `${path}: target`)
  if (node.kind === 'file') {
    assert.equal(attr.size, node.data.length, `${path}: size`)
    const data = seen.data ?? Buffer.alloc(0)
    if (!data.equals(node.data)) {
      assert.fail(`${path}: ${difference(node.data.toString('latin1'), data.toString('latin1'))}`)
    }
  }
  node.ino ??= attr.ino
  assert.equal(attr.ino, node.ino, `${path}: inode number`)
  node.mtimeNs ??= attr.mtimeNs
  assert.equal(attr.mtimeNs, node.mtimeNs, `${path}: mtime`)
  for (const [name, child] of node.children) {
    const below = seen.children.get(name)
    if (below) compare(child, below, `${path}/${name}`)
  }
}

/** Where two contents differ first. */
function difference(expected: string, actual: string): string {
  let at = 0
  while (at < expected.length && expected[at] === actual[at]) at++
  const [a, b] = [expected.charCodeAt(at), actual.charCodeAt(at)]
  return `lengths ${expected.length} and ${actual.length}; byte ${at} is ${b}, not ${a}`
}
