/**
 * One round of a crash test: workloads run in folders of their own, something terrible happens, the
 * file system is brought back, every folder is compared with its log. Folders of earlier rounds
 * stay and are looked at again, so that a later crash or recovery cannot quietly change them.
 */
import { join } from 'node:path'
import type { ChildProcess } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { describe, killGroup, run, start, waitFor } from '../support/process.js'
import { root } from '../support/workspace.js'
import type { Answer, Job, Mode, Question, Verdict } from './verify.js'

/** What a round does to a file system; the work folder is on it, the logs are not. */
export interface Disaster {
  /** The mounted folder. */
  readonly dir: string
  readonly mode: Mode
  /** Makes it happen and leaves the file system dead. */
  strike(): Promise<void>
  /** Brings the file system back. @throws {Error} when that fails */
  revive(): Promise<void>
  /** A further check of the revived file system: null, or what is wrong. */
  check(): Promise<string | null>
  /** Gets processes out of state D. */
  abort(): Promise<void>
}

/** A folder that was verified, to be looked at again in later rounds. */
interface Kept extends Job {
  readonly digest: string
}

/** What a round found. */
export interface RoundResult {
  /** Empty when all is well. */
  readonly problems: readonly string[]
  readonly completed: number
  /** Work that was completed but is gone, in milliseconds before the disaster (power loss only). */
  readonly lostMs: number
}

/** Folders of earlier rounds that are looked at again; older ones are removed. */
const KEEP = 4
const CHILD_TIMEOUT_MS = 60_000

/** Runs rounds on one file system. */
export class Rounds {
  private kept: Kept[] = []
  private count = 0

  /**
   * @param disaster what happens in each round
   * @param logFolder a folder on another file system
   */
  constructor(
    private readonly disaster: Disaster,
    private readonly logFolder: string
  ) {}

  /**
   * Runs one round.
   * @param seed of the round; its workloads' seeds follow from it
   * @param workers number of workloads side by side
   * @param until resolves when the disaster shall strike
   */
  async round(seed: number, workers: number, until: () => Promise<void>): Promise<RoundResult> {
    const problems: string[] = []
    const jobs = Array.from({ length: workers }, (_, i) => this.makeJob(seed * 16 + i))
    const onStuck = (): Promise<void> => this.disaster.abort()
    const made = await run('mkdir', ['-m', '755', ...jobs.map((job) => job.folder)], { onStuck })
    if (made.code !== 0) return failed(`mkdir: ${describe(made)}`)
    // The folders themselves must survive, so that there is something to look at.
    const synced = await run(
      'sync',
      jobs.map((job) => job.folder),
      { onStuck }
    )
    if (synced.code !== 0) return failed(`sync: ${describe(synced)}`)
    const children = jobs.map((job) => startWorkload(job))
    // On a busy machine a workload may take seconds to begin.
    await waitFor(() => jobs.every((job) => readLogFile(job.log) !== ''), 10_000, 50)
    await until()
    const struckAtMs = Date.now()
    await this.disaster.strike()
    for (const child of children) await this.end(child)
    for (const job of jobs) problems.push(...earlyErrors(job.log, struckAtMs))
    await this.disaster.revive()
    const answer = await this.ask(jobs)
    if (typeof answer === 'string') return failed(answer)
    let completed = 0
    let lostMs = 0
    for (const verdict of answer.verdicts) {
      if (!verdict.ok) problems.push(verdict.message)
      completed += verdict.completed
      if (verdict.ok && verdict.shown < verdict.completed) {
        lostMs = Math.max(lostMs, struckAtMs - verdict.shownAtMs)
      }
    }
    for (const [i, kept] of this.kept.entries()) {
      if (answer.digests[i] === kept.digest) continue
      problems.push(`${kept.folder} (seed ${kept.seed}) changed in a later round`)
    }
    problems.push(...(await this.keep(jobs, answer.verdicts)))
    const wrong = await this.disaster.check()
    if (wrong !== null) problems.push(wrong)
    return { problems, completed, lostMs }
  }

  private makeJob(seed: number): Job {
    const name = `work${this.count++}`
    return { folder: join(this.disaster.dir, name), log: join(this.logFolder, name), seed }
  }

  /** Waits for a workload to end by itself after the disaster; kills it when it does not. */
  private async end(child: ChildProcess): Promise<void> {
    const ended = (): boolean => child.exitCode !== null || child.signalCode !== null
    if (await waitFor(ended, 10_000)) return
    killGroup(child)
    if (await waitFor(ended, 2_000)) return
    await this.disaster.abort()
    await waitFor(ended, 10_000)
  }

  /** Looks at this round's folders and at those of earlier rounds, in one child. */
  private async ask(jobs: readonly Job[]): Promise<Answer | string> {
    const program = join(root, 'dist', 'test', 'crash', 'verify.js')
    const again = this.kept.map((kept) => kept.folder)
    const question: Question = { mode: this.disaster.mode, jobs, again }
    const options = { timeoutMs: CHILD_TIMEOUT_MS, onStuck: () => this.disaster.abort() }
    const result = await run('node', [program, JSON.stringify(question)], options)
    if (result.code !== 0) return `verify: ${describe(result)}`
    const answer: unknown = JSON.parse(result.stdout)
    return isAnswer(answer) ? answer : `verify: ${describe(result)}`
  }

  /** Keeps this round's folders for later looks; the oldest ones are removed. */
  private async keep(jobs: readonly Job[], verdicts: readonly Verdict[]): Promise<string[]> {
    for (const [i, job] of jobs.entries()) {
      this.kept.push({ ...job, digest: verdicts[i]?.digest ?? '' })
    }
    const old = this.kept.splice(0, Math.max(0, this.kept.length - KEEP))
    if (old.length === 0) return []
    const onStuck = (): Promise<void> => this.disaster.abort()
    const removed = await run('rm', ['-rf', ...old.map((kept) => kept.folder)], { onStuck })
    return removed.code === 0 ? [] : [`rm -rf: ${describe(removed)}`]
  }
}

function isAnswer(value: unknown): value is Answer {
  return typeof value === 'object' && value !== null && 'verdicts' in value && 'digests' in value
}

function failed(problem: string): RoundResult {
  return { problems: [problem], completed: 0, lostMs: 0 }
}

function startWorkload(job: Job): ChildProcess {
  const program = join(root, 'dist', 'test', 'crash', 'workload.js')
  return start('node', [program, job.folder, job.log, String(job.seed)], { stdio: 'ignore' })
}

/** An operation that failed well before the disaster failed without a reason. */
function earlyErrors(log: string, struckAtMs: number): string[] {
  const text = readLogFile(log)
  return text
    .split('\n')
    .filter((line) => line.startsWith('X '))
    .filter((line) => Number(line.split(' ')[2]) < struckAtMs - 200)
    .map((line) => `an operation failed before the crash: ${line}`)
}

function readLogFile(log: string): string {
  try {
    return readFileSync(log, 'utf8')
  } catch {
    return ''
  }
}
