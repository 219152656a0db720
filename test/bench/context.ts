/** What the rows of the benchmark work with: helper loops, commands, caches, and the sizes. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { must } from '../support/process.js'
import type { Target, TargetName } from '../support/target.js'
import { compileHelper, type TempFolder } from '../support/workspace.js'

const ROW_TIMEOUT_MS = 600_000

/** How much each row does. */
export interface Sizes {
  readonly files: number
  readonly bigBytes: number
  readonly treeFiles: number
  readonly randomReads: number
  readonly renameFiles: number
  readonly mountFiles: number
  readonly sparseBytes: number
}

/** The sizes of the figures in the README. */
export const FULL: Sizes = {
  files: 10_000,
  bigBytes: 2 ** 30,
  treeFiles: 5_000,
  randomReads: 20_000,
  renameFiles: 100_000,
  mountFiles: 1_000_000,
  sparseBytes: 10 * 2 ** 30
}

/** For trying out the benchmark itself; its figures mean little. */
export const QUICK: Sizes = {
  files: 1_000,
  bigBytes: 128 * 2 ** 20,
  treeFiles: 500,
  randomReads: 4_000,
  renameFiles: 5_000,
  mountFiles: 20_000,
  sparseBytes: 2 ** 30
}

/** One target during one row. */
export interface Context {
  readonly target: Target
  readonly sizes: Sizes
  /** A folder on the disk that holds prepared inputs, shared by all targets. */
  readonly inputs: TempFolder
}

/** One line of the table. A value is seconds, less is better, unless `unit` says otherwise. */
export interface Row {
  readonly name: string
  readonly title: string
  readonly unit: 's' | 'us' | 'bytes' | 'MB'
  /**
   * Operations or bytes behind one value, to show a rate; null: the value itself is what counts.
   */
  readonly per: ((sizes: Sizes) => { readonly count: number; readonly what: string }) | null
  /** Targets on which it makes sense; all when null. */
  readonly only: readonly TargetName[] | null
  /** What pcfs should reach. */
  readonly goals: readonly Goal[]
  /** Prepares once per target. */
  prepare?(context: Context): Promise<void>
  /** Measures once; leaves things as they were before. */
  measure(context: Context): Promise<number>
  /** Removes what `prepare` made. */
  clean?(context: Context): Promise<void>
}

/** A figure to reach: a share of another target's speed, or a bound on the value. */
export type Goal =
  | { readonly kind: 'least' | 'aim'; readonly factor: number; readonly of: TargetName }
  | { readonly kind: 'least' | 'aim'; readonly bound: number }

/** A path of the target's working folder. */
export function pathOf(context: Context, name: string): string {
  return join(context.target.dir, name)
}

/** Runs one loop of `fsbench.c`; returns the numbers that it prints. */
export async function loop(context: Context, ...args: (string | number)[]): Promise<number[]> {
  const program = await compileHelper('test/bench/fsbench.c')
  const output = await must(program, args.map(String), {
    timeoutMs: ROW_TIMEOUT_MS,
    onStuck: () => context.target.abort()
  })
  return output.trim().split('\n').map(Number)
}

/** The first number of `loop`. */
export async function time(context: Context, ...args: (string | number)[]): Promise<number> {
  const [value] = await loop(context, ...args)
  if (value === undefined) throw new Error('fsbench printed nothing')
  return value
}

/** Runs a command in the target's folder; returns the seconds that it took. */
export async function timeCommand(context: Context, script: string): Promise<number> {
  const began = performance.now()
  await shell(context, script)
  return (performance.now() - began) / 1000
}

/** Runs a shell script in the target's folder; $1 is the folder of inputs. */
export async function shell(context: Context, script: string): Promise<string> {
  return must('bash', ['-ec', script, 'bash', context.inputs.path], {
    cwd: context.target.dir,
    timeoutMs: ROW_TIMEOUT_MS,
    env: { GIT_CONFIG_NOSYSTEM: '1', HOME: context.inputs.path, LC_ALL: 'C' },
    onStuck: () => context.target.abort()
  })
}

/**
 * Lets what earlier work left behind come to an end, so that it disturbs no measurement: pcfs has
 * ingested, and the disk has written.
 */
export async function settle(context: Context): Promise<void> {
  if (context.target.pcfs !== null) await context.target.pcfs.cli(['flush'], ROW_TIMEOUT_MS)
  await must('sync', [], { timeoutMs: ROW_TIMEOUT_MS })
}

/** Empties the kernel's caches of names and attributes, and of file contents too if `data`. */
export async function dropCaches(context: Context, data: boolean): Promise<void> {
  await settle(context)
  writeFileSync('/proc/sys/vm/drop_caches', data ? '3' : '2')
}
