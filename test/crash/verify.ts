/**
 * Compares folders with what their workloads' logs and seeds say they must be. Run as
 * `node verify.js QUESTION`, a `Question` as JSON; prints an `Answer` as JSON.
 *
 * - `kill`: every completed operation is there, and at most the one in flight more; of a write in
 *   flight there may be a part, because the kernel hands a large one over in several requests.
 * - `power`: the folder shows the state after some operation that is not before the last completed
 *   fsync (a consistent prefix); bytes may come from later writes to the same places, because the
 *   disk may have kept those.
 * - `torn`: as `power`, for file systems whose fsync covers less and that may keep a part of a
 *   truncation (ext4 with data=journal, on which the harness itself is checked).
 */
import { createHash } from 'node:crypto'
import * as fs from 'node:fs'
import { join } from 'node:path'
import { describeNode, makeData, makeRandom, Model, type Node, type Op } from './model.js'

/** The answer about one folder. */
export interface Verdict {
  readonly ok: boolean
  readonly message: string
  /** Operations whose effects the folder shows. */
  readonly shown: number
  readonly completed: number
  /** Operations up to and including the last completed fsync. */
  readonly synced: number
  /** Time (ms since 1970) at which the last shown operation had completed. */
  readonly shownAtMs: number
  /** Hash of names, attributes, times and contents: must be the same at every later look. */
  readonly digest: string
}

/** What the file system may have lost; see the head of this file. */
export type Mode = 'kill' | 'power' | 'torn'

/** A workload's folder, its log and the seed of its operations. */
export interface Job {
  readonly folder: string
  readonly log: string
  readonly seed: number
}

/** What the verifier is asked. */
export interface Question {
  readonly mode: Mode
  readonly jobs: readonly Job[]
  /** Folders of which only the digest is wanted. */
  readonly again: readonly string[]
}

/** What it answers, in the order of the question. */
export interface Answer {
  readonly verdicts: readonly Verdict[]
  readonly digests: readonly string[]
}

interface Log {
  readonly completed: number
  readonly times: readonly number[]
}

interface Actual {
  readonly signature: string
  readonly data: ReadonlyMap<string, Buffer>
  readonly digest: string
}

interface WrittenRange {
  readonly from: number
  readonly bytes: Buffer
}

function readLog(file: string): Log {
  const times: number[] = []
  for (const line of fs.readFileSync(file, 'utf8').split('\n')) {
    const [what, , time] = line.split(' ')
    if (what === 'E') times.push(Number(time))
  }
  return { completed: times.length, times }
}

/** Reads the folder as it is. */
function look(folder: string): Actual {
  const lines: string[] = []
  const data = new Map<string, Buffer>()
  const times: string[] = []
  const visit = (path: string): void => {
    for (const name of fs.readdirSync(join(folder, path)).sort()) {
      const inside = path === '' ? name : `${path}/${name}`
      const full = join(folder, inside)
      const stat = fs.lstatSync(full, { bigint: true })
      const kind = stat.isDirectory() ? 'dir' : stat.isSymbolicLink() ? 'symlink' : 'file'
      const content = kind === 'file' ? fs.readFileSync(full) : Buffer.alloc(0)
      if (kind === 'file') data.set(inside, content)
      if (kind === 'file' && content.length !== Number(stat.size)) {
        throw new Error(`${inside}: stat says ${stat.size} bytes, read gives ${content.length}`)
      }
      const target = kind === 'symlink' ? fs.readlinkSync(full) : ''
      const mode = Number(stat.mode) & 0o7777
      const links = Number(stat.nlink)
      lines.push(describeNode(inside, { kind, mode, links, data: content, target }))
      const hash = createHash('sha256').update(content).digest('hex')
      times.push(`${inside} ${stat.mtimeNs} ${stat.ctimeNs} ${stat.ino} ${hash}`)
      if (kind === 'dir') visit(inside)
    }
  }
  visit('')
  const signature = lines.sort().join('\n')
  const digest = createHash('sha256').update(signature).update(times.join('\n')).digest('hex')
  return { signature, data, digest }
}

/** Whether content differs from the model's only where later writes put their bytes. */
function sameContent(actual: Buffer, node: Node, later: readonly WrittenRange[]): boolean {
  if (actual.equals(node.data)) return true
  if (actual.length !== node.data.length) return false
  const open = Buffer.from(node.data)
  for (let i = 0; i < actual.length; i++) {
    if (actual[i] === open[i]) continue
    const explained = later.some(
      (range) => i >= range.from && range.bytes[i - range.from] === actual[i]
    )
    if (!explained) return false
  }
  return true
}

/** The writes of operations `from`..`to` by node id; the model must stand at `from`. */
function laterWrites(model: Model, ops: readonly Op[]): Map<number, WrittenRange[]> {
  const found = new Map<number, WrittenRange[]>()
  for (const op of ops) {
    if (op.type === 'write') {
      const { id } = model.node(op.path)
      const ranges = found.get(id) ?? []
      ranges.push({ from: op.fileOffset, bytes: makeData(op.seed, op.byteLength) })
      found.set(id, ranges)
    }
    model.apply(op)
  }
  return found
}

/** A model that has gone through the first operations. */
function replay(ops: readonly Op[], count: number): Model {
  const model = new Model()
  for (const op of ops.slice(0, count)) model.apply(op)
  return model
}

/** The first path whose content cannot be explained, and where; null when all can. */
function findWrongContent(
  actual: Actual,
  ops: readonly Op[],
  shown: number,
  except: readonly string[] = []
): string | null {
  const model = replay(ops, shown)
  const later = laterWrites(replay(ops, shown), ops.slice(shown))
  for (const [path, data] of actual.data) {
    if (except.includes(path)) continue
    const node = model.node(path)
    if (sameContent(data, node, later.get(node.id) ?? [])) continue
    const from = data.findIndex((byte, i) => byte !== node.data[i])
    const to = data.findLastIndex((byte, i) => byte !== node.data[i]) + 1
    const zero = data.subarray(from, to).every((byte) => byte === 0)
    return `${path} (${data.length} bytes; wrong within ${from} to ${to}${zero ? ', zeros' : ''})`
  }
  return null
}

/** The lines in which two signatures differ, for a failure message. */
function difference(actual: string, expected: string): string {
  const have = new Set(actual.split('\n'))
  const want = new Set(expected.split('\n'))
  const extra = [...have].filter((line) => !want.has(line)).slice(0, 6)
  const missing = [...want].filter((line) => !have.has(line)).slice(0, 6)
  return `found ${JSON.stringify(extra)}, expected ${JSON.stringify(missing)}`
}

/**
 * Whether the folder shows the state after `shown` operations and a part of the next one, a write.
 * The kernel may hand one write(2) to a file system in several requests.
 */
function isTornAfter(actual: Actual, ops: readonly Op[], shown: number, mode: Mode): boolean {
  const next = ops[shown]
  if (next?.type !== 'write' && !(mode === 'torn' && next?.type === 'truncate')) return false
  const model = replay(ops, shown)
  const { id, data: before } = model.node(next.path)
  const paths = [...model.nodes].filter(([, node]) => node.id === id).map(([path]) => path)
  const without = (signature: string): string =>
    signature
      .split('\n')
      .filter((line) => !paths.some((path) => line.startsWith(`${path}|file|`)))
      .join('\n')
  if (without(actual.signature) !== without(model.signature())) return false
  if (findWrongContent(actual, ops, shown, paths) !== null) return false
  const found = actual.data.get(next.path)
  const after = replay(ops, shown + 1).node(next.path).data
  return found?.every((byte, i) => byte === (before[i] ?? 0) || byte === (after[i] ?? 0)) ?? false
}

function verify(folder: string, log: Log, seed: number, mode: Mode): Verdict {
  const random = makeRandom(seed)
  const model = new Model()
  const ops: Op[] = []
  const signatures: string[] = []
  /** The last change of each node. ext4's fsync covers that and what came before, pcfs's all. */
  const changedAt = new Map<number, number>()
  let synced = 0
  for (let index = 0; index <= log.completed; index++) {
    if (mode !== 'kill' || index >= log.completed - 1) signatures[index] = model.signature()
    const op = model.choose(random)
    ops.push(op)
    const before = model.nodes.get(op.path)
    model.apply(op)
    const { id } = before ?? model.node(op.path)
    if (op.type !== 'fsync') changedAt.set(id, index + 1)
    else if (index < log.completed) {
      synced = Math.max(synced, mode === 'torn' ? (changedAt.get(id) ?? 0) : index + 1)
    }
  }
  signatures[log.completed + 1] = model.signature()
  const actual = look(folder)
  const first = mode === 'kill' ? log.completed : synced
  let message = `after ${log.completed} operations (seed ${seed}, synced ${synced}): `
  message += difference(actual.signature, signatures[log.completed] ?? '')
  const base = { completed: log.completed, synced, digest: actual.digest }
  for (let shown = log.completed + 1; shown >= first; shown--) {
    if (signatures[shown] !== actual.signature) continue
    const wrong = findWrongContent(actual, ops, shown)
    const shownAtMs = log.times[shown - 1] ?? log.times.at(-1) ?? 0
    if (wrong === null) return { ok: true, message: '', shown, shownAtMs, ...base }
    message += `; or after ${shown} of ${log.completed} operations (seed ${seed}, synced ${synced}) the content of ${wrong} is wrong`
  }
  for (let shown = log.completed; shown >= first; shown--) {
    if (!isTornAfter(actual, ops, shown, mode)) continue
    const shownAtMs = log.times[shown - 1] ?? 0
    return { ok: true, message: 'torn', shown, shownAtMs, ...base }
  }
  return { ok: false, message, shown: -1, shownAtMs: 0, ...base }
}

function isQuestion(value: unknown): value is Question {
  return typeof value === 'object' && value !== null && 'jobs' in value && 'again' in value
}

const question: unknown = JSON.parse(process.argv[2] ?? 'null')
if (!isQuestion(question)) throw new Error('verify.js QUESTION')
const answer: Answer = {
  verdicts: question.jobs.map((job) => {
    return verify(job.folder, readLog(job.log), job.seed, question.mode)
  }),
  digests: question.again.map((folder) => look(folder).digest)
}
console.log(JSON.stringify(answer))
