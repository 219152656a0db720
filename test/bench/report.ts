/** The benchmark's figures: medians, ratios, goals, as a table for people and JSON for programs. */
import type { Goal, Row, Sizes } from './context.js'
import type { TargetName } from '../support/target.js'

/** All values of one row, in the order in which they were measured; less is better. */
export type Values = ReadonlyMap<TargetName, readonly number[]>

/** The middle of some values; NaN of none. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b)
  const middle = sorted.length >> 1
  const upper = sorted[middle] ?? NaN
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? NaN) + upper) / 2
}

/** How a value is shown: with its unit, and as a rate where the row counts something. */
export function showValue(row: Row, sizes: Sizes, value: number): string {
  if (Number.isNaN(value)) return '-'
  if (row.per !== null) {
    const { count, what } = row.per(sizes)
    const rate = count / value
    const text = rate >= 10_000 ? `${(rate / 1000).toFixed(0)}k` : rate.toFixed(0)
    return `${text} ${what}/s`
  }
  if (row.unit === 'bytes') return `${(value / 1024).toFixed(0)} KiB`
  if (row.unit === 'us') return `${(value / 1000).toFixed(2)} ms`
  if (row.unit === 'MB') return `${value.toFixed(0)} MB`
  return value < 1 ? `${(value * 1000).toFixed(1)} ms` : `${value.toFixed(2)} s`
}

/** A goal and what became of it; `met` is null when the other target was not measured. */
export interface GoalResult {
  readonly kind: Goal['kind']
  readonly text: string
  readonly met: boolean | null
}

/** Compares pcfs's median with a row's goals. */
export function checkGoals(row: Row, sizes: Sizes, values: Values): GoalResult[] {
  const own = median(values.get('pcfs') ?? [])
  return row.goals.map((goal) => {
    if ('bound' in goal) {
      const text = `<= ${showValue({ ...row, per: null }, sizes, goal.bound)}`
      return { kind: goal.kind, text, met: Number.isNaN(own) ? null : own <= goal.bound }
    }
    const speed = median(values.get(goal.of) ?? []) / own
    const text = `${goal.factor} x ${goal.of}`
    return { kind: goal.kind, text, met: Number.isNaN(speed) ? null : speed >= goal.factor }
  })
}

/** One line of the JSON. */
export interface RowReport {
  readonly row: string
  readonly title: string
  readonly unit: Row['unit']
  readonly values: Readonly<Record<string, readonly number[]>>
  readonly medians: Readonly<Record<string, number>>
  /** Speed of pcfs as a multiple of each other target's. */
  readonly pcfsSpeed: Readonly<Record<string, number>>
  readonly goals: readonly GoalResult[]
}

/** Makes the JSON of one row. */
export function reportRow(row: Row, sizes: Sizes, values: Values): RowReport {
  const medians = Object.fromEntries([...values].map(([name, list]) => [name, median(list)]))
  const own = medians['pcfs'] ?? NaN
  const others = Object.entries(medians).filter(([name]) => name !== 'pcfs')
  return {
    row: row.name,
    title: row.title,
    unit: row.unit,
    values: Object.fromEntries(values),
    medians,
    pcfsSpeed: Object.fromEntries(others.map(([name, value]) => [name, value / own])),
    goals: checkGoals(row, sizes, values)
  }
}

/** The table as Markdown: one line per row, one column per target, ratios and goals behind. */
export function makeTable(
  rows: readonly Row[],
  reports: readonly RowReport[],
  sizes: Sizes,
  targets: readonly TargetName[]
): string {
  const head = ['work', ...targets, 'pcfs is', 'at least', 'aim']
  const lines = reports.map((report) => {
    const row = rows.find((candidate) => candidate.name === report.row)
    if (row === undefined) return []
    const shown = targets.map((name) => showValue(row, sizes, report.medians[name] ?? NaN))
    const ratios = Object.entries(report.pcfsSpeed)
      .filter(([, speed]) => !Number.isNaN(speed))
      .map(([name, speed]) => `${speed.toFixed(2)} x ${name}`)
    return [
      row.title,
      ...shown,
      ratios.join(', '),
      goalCell(report, 'least'),
      goalCell(report, 'aim')
    ]
  })
  const table = [head, head.map(() => '---'), ...lines]
  return table.map((cells) => `| ${cells.join(' | ')} |`).join('\n')
}

function goalCell(report: RowReport, kind: Goal['kind']): string {
  return report.goals
    .filter((goal) => goal.kind === kind)
    .map((goal) => `${goal.text}: ${goal.met === null ? '?' : goal.met ? 'yes' : 'NO'}`)
    .join('; ')
}
