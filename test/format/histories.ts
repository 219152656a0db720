/**
 * Random histories of several devices: which steps there are, and how one is played.
 */
import assert from 'node:assert'
import fc from 'fast-check'
import { Device, Ledger, type Operation, type Seen, contentId, contentOf } from './drive-model.js'
import type { Place } from '../../src/format/record.js'
import { type NodeId, ROOT_ID } from '../../src/format/ids.js'

const NAMES = ['a', 'b.txt', 'db', 'db-wal', 'db-journal'].map((name) => Buffer.from(name))
const START_MS = 1_795_000_000_000
const HOUR_MS = 3_600_000

type Kind =
  | 'create'
  | 'write'
  | 'same'
  | 'touch'
  | 'chmod'
  | 'mkdir'
  | 'rename'
  | 'renameDir'
  | 'cross'
  | 'unlink'
  | 'rmdir'
  | 'link'
  | 'symlink'
  | 'rotate'
  | 'hear'

/** How often what happens, for histories of different tempers. */
const TEMPERS: Readonly<Record<string, Partial<Record<Kind, number>>>> = {
  everything: {
    create: 2,
    write: 3,
    same: 1,
    touch: 1,
    chmod: 1,
    mkdir: 2,
    rename: 2,
    renameDir: 2,
    cross: 1,
    unlink: 2,
    rmdir: 1,
    link: 1,
    symlink: 1,
    rotate: 1,
    hear: 4
  },
  // Moves that form cycles, and directories that come back.
  directories: {
    create: 2,
    mkdir: 4,
    renameDir: 6,
    cross: 4,
    rmdir: 3,
    unlink: 1,
    rotate: 1,
    hear: 5
  },
  // Conflicts of conflicts.
  edits: { create: 1, write: 6, touch: 2, unlink: 1, rename: 1, link: 1, hear: 4 }
}

/** One thing that happens on one device; what it happens to is picked by `a` and `b`. */
export interface Step {
  readonly kind: Kind
  readonly device: number
  readonly a: number
  readonly b: number
}

/** What can be played. */
export interface History {
  readonly skews: readonly number[]
  readonly steps: readonly Step[]
  readonly order: number
  /** What happens when everybody has heard everything: to winners and copies, by anybody. */
  readonly later?: readonly Step[]
}

function stepOf(kinds: Partial<Record<Kind, number>>): fc.Arbitrary<Step> {
  const weights = kindsOf(kinds).map(([kind, weight]) => ({ weight, arbitrary: fc.constant(kind) }))
  return fc.record({
    kind: fc.oneof(...weights),
    device: fc.nat(4),
    a: fc.nat(1000),
    b: fc.nat(1000)
  })
}

function kindsOf(kinds: Partial<Record<Kind, number>>): [Kind, number][] {
  const found: [Kind, number][] = []
  for (const [kind, weight] of Object.entries(kinds)) if (isKind(kind)) found.push([kind, weight])
  return found
}

function isKind(text: string): text is Kind {
  return text in (TEMPERS['everything'] ?? {})
}

/** Any history of two to five devices. */
export const history: fc.Arbitrary<History> = fc
  .constantFrom(...Object.values(TEMPERS))
  .chain((kinds) =>
    fc.record({
      skews: fc.array(fc.integer({ min: -HOUR_MS, max: HOUR_MS }), { minLength: 2, maxLength: 5 }),
      steps: fc.array(stepOf(kinds), { maxLength: 60, size: 'max' }),
      order: fc.nat(),
      later: fc.array(stepOf(kinds), { maxLength: 8 })
    })
  )

/** A fixed sequence of numbers from a seed, for the orders of delivery. */
export function* numbers(seed: number): Generator<number> {
  let state = seed || 1
  for (;;) {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0
    yield state >>> 8
  }
}

/** The items in another order. */
export function shuffled<T>(items: readonly T[], random: Generator<number>): T[] {
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
export function run(device: Device, devices: readonly Device[], step: Step, nowMs: number): void {
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
  if (step.kind === 'cross') {
    cross(device, pick(devices, step.device + 1) ?? device, { step, nowMs })
    return
  }
  change(device, step, nowMs)
}

/** Two devices each move one of two directories into the other. */
function cross(
  one: Device,
  other: Device,
  { step, nowMs }: { readonly step: Step; readonly nowMs: number }
): void {
  const dirs = one.list().filter(isDir)
  const first = pick(dirs, step.a)?.entry.node
  const second = pick(dirs, step.b)?.entry.node
  if (first === undefined || second === undefined) return
  const moves: readonly (readonly [Device, NodeId, NodeId])[] = [
    [one, first, second],
    [other, second, first]
  ]
  for (const [device, node, parent] of moves) {
    const seen = device.list()
    const dir = seen.find((each) => each.entry.node === node)
    const place = { parent, name: NAMES[0] ?? Buffer.from('a') }
    const isThere = seen.some((each) => each.entry.node === parent)
    const isTaken = seen.some((each) => each.dir === parent && each.entry.name.equals(place.name))
    if (!dir || !isThere || isTaken || isBelow(seen, parent, node)) continue
    const operation = device.begin(nowMs)
    operation.rename(dir, place)
    operation.commit()
  }
}

/** A device's paths with what is there. */
type Listing = Map<string, string>

/** What a step does to the listing of the device that it happens on. */
type Effect = (listing: Listing) => void

interface Scene {
  readonly operation: Operation
  readonly seen: readonly Seen[]
  readonly step: Step
  readonly place: Place
  /** The path of `place`, and what has it already. */
  readonly path: string
  readonly taken: Seen | undefined
}

function change(device: Device, step: Step, nowMs: number): void {
  const seen = device.list()
  const dirs = [undefined, ...seen.filter(isDir)]
  const dir = pick(dirs, step.b)
  const name = pick(NAMES, step.a + step.b) ?? Buffer.from('a')
  const place = { parent: dir?.entry.node ?? ROOT_ID, name }
  const path = `${dir?.path ?? ''}/${name.toString()}`
  const taken = seen.find((each) => each.path === path)
  const operation = device.begin(nowMs)
  const scene: Scene = { operation, seen, step, place, path, taken }
  const effect = changeFile(scene, device.ledger) ?? changeDir(scene) ?? changeAny(scene)
  operation.commit()
  if (effect !== null && isChecked(seen)) {
    const expected = listingOf(seen)
    effect(expected)
    assert.deepStrictEqual(sorted(listingOf(device.list())), sorted(expected), step.kind)
  }
}

/** Where two links stand for one name, another name of one of them may come between them. */
function isChecked(seen: readonly Seen[]): boolean {
  return seen.every((each) => isDir(each) || each.entry.standing.length <= 1)
}

function sorted(listing: Listing): readonly (readonly [string, string])[] {
  return [...listing].sort(([a], [b]) => (a < b ? -1 : 1))
}

function listingOf(seen: readonly Seen[]): Listing {
  return new Map(seen.map(({ path, entry }) => [path, `${entry.kind} ${contentId(entry)}`]))
}

function textAt(seen: Seen): string {
  return `${seen.entry.kind} ${contentId(seen.entry)}`
}

/** What happens to files: the effect of it, or null when the step is for others. */
function changeFile(scene: Scene, ledger: Ledger): Effect | null {
  const { operation, seen, step, place, path, taken } = scene
  const files = seen.filter((each) => each.entry.kind === 'file')
  const file = pick(files, step.a)
  switch (step.kind) {
    case 'create': {
      if (taken?.entry.kind === 'file') return overwrite(scene, taken, ledger)
      if (taken) return () => undefined
      const content = ledger.newContent()
      operation.create(place, 'file', content)
      return (listing) => listing.set(path, `file ${contentId({ data: { content } })}`)
    }
    case 'same':
      if (!taken) operation.create(place, 'file', contentOf(0))
      return (listing) => !taken && listing.set(path, 'file 0')
    case 'write':
      return file ? overwrite(scene, file, ledger) : () => undefined
    case 'touch':
      if (file) operation.touch(file)
      return () => undefined
    case 'link':
      if (!file || taken) return () => undefined
      operation.link(file, place)
      return (listing) => listing.set(path, textAt(file))
    case 'rename':
      if (!file || taken === file || (taken && isDir(taken))) return () => undefined
      if (taken && sharesNode(taken, file)) return () => undefined
      if (taken) operation.remove(taken)
      operation.rename(file, place)
      return (listing) => listing.delete(file.path) && listing.set(path, textAt(file))
    default:
      return null
  }
}

function sharesNode(a: Seen, b: Seen): boolean {
  return a.entry.standing.some(({ node }) => b.entry.standing.some((other) => other.node === node))
}

function overwrite({ operation, seen }: Scene, file: Seen, ledger: Ledger): Effect {
  const content = ledger.newContent()
  operation.overwrite(file, content)
  return (listing) => {
    for (const each of seen) {
      if (each !== file && !sharesNode(each, file)) continue
      listing.set(each.path, `file ${contentId({ data: { content } })}`)
    }
  }
}

function changeDir({ operation, seen, step, place, path, taken }: Scene): Effect | null {
  const dirs = seen.filter(isDir)
  if (step.kind === 'rmdir') {
    const empty = dirs.filter((dir) => !seen.some((each) => each.dir === dir.entry.node))
    const dir = pick(empty, step.a)
    if (dir) operation.remove(dir)
    return (listing) => dir && listing.delete(dir.path)
  }
  if (step.kind === 'mkdir') {
    if (!taken) operation.create(place, 'dir')
    return (listing) => !taken && listing.set(path, 'dir null')
  }
  if (step.kind !== 'renameDir') return null
  const dir = pick(dirs, step.a)
  if (!dir || taken || isBelow(seen, place.parent, dir.entry.node)) return () => undefined
  operation.rename(dir, place)
  return (listing) => {
    for (const each of seen) {
      if (each !== dir && !each.path.startsWith(`${dir.path}/`)) continue
      listing.delete(each.path)
      listing.set(path + each.path.slice(dir.path.length), textAt(each))
    }
  }
}

function changeAny({ operation, seen, step, place, path, taken }: Scene): Effect | null {
  switch (step.kind) {
    case 'chmod': {
      const any = pick(seen, step.a)
      if (any) operation.chmod(any, step.b % 0o1000)
      return () => undefined
    }
    case 'symlink':
      if (!taken) operation.create(place, 'symlink', { type: 'link', target: Buffer.from('x') })
      return (listing) => !taken && listing.set(path, 'symlink null')
    case 'unlink': {
      const files = seen.filter((each) => !isDir(each))
      const any = pick(files, step.a)
      if (any) operation.remove(any)
      return (listing) => any && listing.delete(any.path)
    }
    default:
      return null
  }
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

/** The tree that a device shows, as text. */
export function textOf(device: Device): string {
  const lines = device.list().map(({ path, entry }) => {
    const link = entry.data?.content.type === 'link' ? 'link' : ''
    const content = contentId(entry) ?? '-'
    return `${path} ${entry.kind} ${entry.node} ${content} ${entry.data?.mtimeNs} ${link}`
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

/** Plays a history until everybody has heard everything. */
export function play({ skews, steps, order, later = [] }: History): {
  devices: Device[]
  ledger: Ledger
} {
  const ledger = new Ledger()
  const devices = skews.map((skewMs, index) => new Device(index, skewMs, ledger))
  let nowMs = START_MS
  const runAll = (some: readonly Step[]): void => {
    for (const step of some) {
      nowMs += 1 + (step.a % 50)
      const device = pick(devices, step.device)
      if (device) run(device, devices, step, nowMs)
    }
    settle(devices, order, nowMs)
  }
  runAll(steps)
  if (later.length > 0) runAll(later)
  return { devices, ledger }
}
