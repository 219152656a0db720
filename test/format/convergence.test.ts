/**
 * Random histories of up to five devices. `PCFS_MERGE_RUNS` sets how many; a failure prints the
 * seed and path to repeat it with.
 */
import assert from 'node:assert'
import fc from 'fast-check'
import t from 'tap'
import { Device, Ledger, type Seen, contentId, contentOf } from './drive-model.js'
import { ROOT_ID, type NodeId } from '../../src/format/ids.js'
import { encodeRecord } from '../../src/format/record-codec.js'
import { mergeRecord } from '../../src/format/merge.js'
import { decodeRecord } from '../../src/format/record-codec.js'

const RUNS = Number(process.env.PCFS_MERGE_RUNS ?? 1000)
const NAMES = ['a', 'b.txt', 'db', 'db-wal', 'db-journal'].map((name) => Buffer.from(name))
const START_MS = 1_795_000_000_000
const HOUR_MS = 3_600_000

const KINDS = [
  'create',
  'create',
  'write',
  'write',
  'write',
  'same',
  'touch',
  'chmod',
  'mkdir',
  'mkdir',
  'rename',
  'rename',
  'renameDir',
  'renameDir',
  'unlink',
  'unlink',
  'rmdir',
  'link',
  'symlink',
  'rotate',
  'hear',
  'hear',
  'hear',
  'hear'
] as const

interface Step {
  readonly kind: (typeof KINDS)[number]
  readonly device: number
  readonly a: number
  readonly b: number
}

interface History {
  readonly skews: readonly number[]
  readonly steps: readonly Step[]
  readonly order: number
}

const history: fc.Arbitrary<History> = fc.record({
  skews: fc.array(fc.integer({ min: -HOUR_MS, max: HOUR_MS }), { minLength: 2, maxLength: 5 }),
  steps: fc.array(
    fc.record({
      kind: fc.constantFrom(...KINDS),
      device: fc.nat(4),
      a: fc.nat(1000),
      b: fc.nat(1000)
    }),
    { maxLength: 60, size: 'max' }
  ),
  order: fc.nat()
})

/** A fixed sequence of numbers from a seed, for the orders of delivery. */
function* numbers(seed: number): Generator<number> {
  let state = seed || 1
  for (;;) {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0
    yield state >>> 8
  }
}

function shuffled<T>(items: readonly T[], random: Generator<number>): T[] {
  const result = [...items]
  for (let i = result.length - 1; i > 0; i--) {
    const j = Number(random.next().value) % (i + 1)
    const [a, b] = [result[i], result[j]]
    if (a === undefined || b === undefined) continue
    result[i] = b
    result[j] = a
  }
  return result
}

function pick<T>(items: readonly T[], number: number): T | undefined {
  return items[number % Math.max(1, items.length)]
}

/** Runs one step as a process on that device would, if it can be done there. */
function run(device: Device, devices: readonly Device[], step: Step, nowMs: number): void {
  if (step.kind === 'rotate') {
    device.rotate()
    return
  }
  if (step.kind === 'hear') {
    const other = pick(devices, step.a)
    if (other === undefined || other === device) return
    for (const batch of other.batches.slice(step.b % (other.batches.length + 1))) {
      device.receive(batch, nowMs)
    }
    return
  }
  change(device, step, nowMs)
}

function change(device: Device, step: Step, nowMs: number): void {
  const { ledger } = device
  const seen = device.list()
  const dirs = [ROOT_ID, ...seen.filter(isDir).map(({ entry }) => entry.node)]
  const files = seen.filter((each) => each.entry.kind === 'file')
  const place = {
    parent: pick(dirs, step.b) ?? ROOT_ID,
    name: pick(NAMES, step.a + step.b) ?? Buffer.from('a')
  }
  const taken = seen.find((each) => each.dir === place.parent && each.entry.name.equals(place.name))
  const operation = device.begin(nowMs)
  const file = pick(files, step.a)
  switch (step.kind) {
    case 'create':
      if (taken?.entry.kind === 'file') operation.overwrite(taken, ledger.newContent())
      else if (!taken) operation.create(place, 'file', ledger.newContent())
      break
    case 'write':
      if (file) operation.overwrite(file, ledger.newContent())
      break
    case 'same':
      if (!taken) operation.create(place, 'file', contentOf(0))
      break
    case 'touch':
      if (file) operation.touch(file)
      break
    case 'chmod': {
      const any = pick(seen, step.a)
      if (any) operation.chmod(any, step.b % 0o1000)
      break
    }
    case 'mkdir':
      if (!taken) operation.create(place, 'dir')
      break
    case 'symlink':
      if (!taken) operation.create(place, 'symlink', { type: 'link', target: Buffer.from('x') })
      break
    case 'link':
      if (file && !taken) operation.link(file, place)
      break
    case 'unlink': {
      const any = pick(
        seen.filter((each) => !isDir(each)),
        step.a
      )
      if (any) operation.remove(any)
      break
    }
    case 'rmdir': {
      const empty = seen.filter(
        (each) => isDir(each) && !seen.some((s) => s.dir === each.entry.node)
      )
      const dir = pick(empty, step.a)
      if (dir) operation.remove(dir)
      break
    }
    case 'rename':
      if (file && taken !== file && !(taken && isDir(taken))) {
        if (taken) operation.remove(taken)
        operation.rename(file, place)
      }
      break
    case 'renameDir': {
      const dir = pick(seen.filter(isDir), step.a)
      if (dir && !taken && !isBelow(seen, place.parent, dir.entry.node))
        operation.rename(dir, place)
      break
    }
    case 'hear':
    case 'rotate':
      break
  }
  operation.commit()
}

function isDir(seen: Seen): boolean {
  return seen.entry.kind === 'dir'
}

/** Whether directory `node` is `ancestor` or below it, as this device sees it. */
function isBelow(seen: readonly Seen[], node: NodeId, ancestor: NodeId): boolean {
  for (let at: NodeId | undefined = node; at !== undefined;) {
    if (at === ancestor) return true
    const current: NodeId = at
    at = seen.find((each) => each.entry.node === current)?.dir
  }
  return false
}

function textOf(device: Device): string {
  const lines = device.list().map(({ path, entry }) => {
    const link = entry.data?.content.type === 'link' ? 'link' : ''
    return `${path} ${entry.kind} ${entry.node} ${contentId(entry) ?? '-'} ${entry.data?.mtimeNs} ${link}`
  })
  return lines.join('\n')
}

/** Everybody hears everything, each in an order of its own, some of it twice. */
function settle(devices: readonly Device[], order: number, nowMs: number): void {
  const random = numbers(order)
  const all = devices.flatMap((device) => device.batches)
  for (const device of devices) {
    const twice = all.filter((_, i) => (i + order) % 3 === 0)
    for (const batch of shuffled([...all, ...twice], random)) device.receive(batch, nowMs)
  }
}

function checkTree(device: Device, ledger: Ledger): void {
  const tree = device.tree()
  assert.deepStrictEqual(tree.orphans, [])
  const seen = device.list()
  const paths = new Set(seen.map(({ path }) => path))
  assert.strictEqual(paths.size, seen.length, 'a name twice')
  const shown = new Set(seen.map(({ entry }) => contentId(entry)).filter((id) => id !== null))
  for (const id of ledger.written) {
    const isGone = ledger.overwritten.has(id) || ledger.deleted.has(id)
    if (!isGone) assert(shown.has(id), `content ${id} was lost`)
    if (ledger.overwritten.has(id) && !ledger.materialised.has(id)) {
      assert(!shown.has(id), `content ${id} was replaced and came back`)
    }
  }
  const nodes = new Set(seen.flatMap(({ entry }) => entry.standing.map(({ node }) => node)))
  for (const { node, known } of ledger.deletions) {
    const isKnown = [...(ledger.touching.get(node) ?? [])].every((op) => known.has(op))
    if (isKnown) assert(!nodes.has(node), `${node} was deleted by everyone and came back`)
  }
}

function play({ skews, steps, order }: History): { devices: Device[]; ledger: Ledger } {
  const ledger = new Ledger()
  const devices = skews.map((skewMs, index) => new Device(index, skewMs, ledger))
  let nowMs = START_MS
  for (const step of steps) {
    nowMs += 1 + (step.a % 50)
    const device = pick(devices, step.device)
    if (device) run(device, devices, step, nowMs)
  }
  settle(devices, order, nowMs)
  return { devices, ledger }
}

t.test('devices that heard the same show the same tree, and nothing written is lost', async () => {
  fc.assert(
    fc.property(history, (value) => {
      const { devices, ledger } = play(value)
      const [first, ...others] = devices
      assert(first)
      for (const other of others) assert.strictEqual(textOf(other), textOf(first))
      checkTree(first, ledger)
    }),
    { numRuns: RUNS }
  )
})

t.test('merging records is commutative, associative and idempotent', async () => {
  fc.assert(
    fc.property(history, fc.nat(), (value, seed) => {
      const { devices } = play(value)
      const random = numbers(seed)
      const byNode = new Map<NodeId, Buffer[]>()
      for (const [node, bytes] of devices.flatMap((d) => d.batches.flatMap((b) => b.records))) {
        byNode.set(node, [...(byNode.get(node) ?? []), bytes])
      }
      for (const all of byNode.values()) {
        const [a, b, c] = shuffled([...all, ...all, ...all], random).map(decodeRecord)
        assert(a && b && c)
        const same = (x: typeof a, y: typeof a): void =>
          assert.deepStrictEqual(encodeRecord(x), encodeRecord(y))
        same(mergeRecord(a, b), mergeRecord(b, a))
        same(mergeRecord(mergeRecord(a, b), c), mergeRecord(a, mergeRecord(b, c)))
        same(mergeRecord(mergeRecord(a, b), b), mergeRecord(a, b))
        same(decodeRecord(encodeRecord(mergeRecord(a, b))), mergeRecord(a, b))
      }
    }),
    { numRuns: Math.ceil(RUNS / 5) }
  )
})
