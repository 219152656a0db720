/**
 * The benchmark: the same work side by side on the disk's own file system, on the FUSE file systems
 * of Debian, and on pcfs, all mounted at once; rounds are interleaved, so that a busy moment of the
 * machine hits all alike. Needs root (it empties caches).
 *
 * `npm run bench -- devices` measures two devices beside each other; see `devices.ts`.
 *
 *   npm run bench -- [--only ROW,ROW] [--targets disk,pcfs] [--runs 5] [--quick] [--json FILE]
 */
import { writeFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { makeTarget, parseTargetName, TARGET_NAMES, type Target } from '../support/target.js'
import { makeTempFolder } from '../support/workspace.js'
import type { TargetName } from '../support/target.js'
import { benchDevices } from './devices.js'
import { FULL, QUICK, type Context, type Row, type Sizes } from './context.js'
import { makeTable, reportRow, showValue, type RowReport } from './report.js'
import { commonRows } from './rows.js'
import { pcfsRows } from './rows-pcfs.js'

/** A target whose measurement takes longer than this is measured only once. */
const SLOW_MS = 90_000

const isOfDevices = process.argv[2] === 'devices'

const { values: options } = parseArgs({
  args: isOfDevices ? [] : process.argv.slice(2),
  options: {
    only: { type: 'string' },
    targets: { type: 'string', default: TARGET_NAMES.join(',') },
    runs: { type: 'string', default: '5' },
    quick: { type: 'boolean', default: false },
    json: { type: 'string' }
  }
})

const allRows = [...commonRows, ...pcfsRows]

function chooseRows(only: string | undefined): Row[] {
  if (only === undefined) return allRows
  return only.split(',').map((name) => {
    const row = allRows.find((candidate) => candidate.name === name)
    if (row !== undefined) return row
    throw new Error(`no row ${name}; there are ${allRows.map((known) => known.name).join(', ')}`)
  })
}

/** Measures one row on all targets, round by round. */
async function runRow(row: Row, contexts: readonly Context[], runs: number): Promise<RowReport> {
  const values = new Map<TargetName, number[]>()
  const slow = new Set<TargetName>()
  const mine = contexts.filter((one) => row.only === null || row.only.includes(one.target.name))
  for (const context of mine) await attempt(row, context, () => row.prepare?.(context))
  for (let round = 0; round < runs; round++) {
    for (const context of mine) {
      const { name } = context.target
      if (slow.has(name)) continue
      const began = performance.now()
      const value = await attempt(row, context, () => row.measure(context))
      if (value === undefined || performance.now() - began > SLOW_MS) slow.add(name)
      if (value === undefined) continue
      values.set(name, [...(values.get(name) ?? []), value])
      console.error(`  ${row.name} ${name}: ${showValue(row, context.sizes, value)}`)
    }
  }
  for (const context of mine) await attempt(row, context, () => row.clean?.(context))
  return reportRow(row, sizesInUse(), values)
}

/** A target that fails in a row is left out of it; the others go on. */
async function attempt<T>(
  row: Row,
  context: Context,
  work: () => Promise<T> | undefined
): Promise<T | undefined> {
  try {
    return await work()
  } catch (error) {
    const text = error instanceof Error ? error.message : String(error)
    console.error(`  ${row.name} ${context.target.name} failed: ${text.slice(0, 500)}`)
    return undefined
  }
}

function sizesInUse(): Sizes {
  return options.quick ? QUICK : FULL
}

async function main(): Promise<void> {
  const rows = chooseRows(options.only)
  const names = options.targets.split(',').map(parseTargetName)
  const targets: Target[] = names.map(makeTarget)
  using inputs = makeTempFolder('bench')
  const reports: RowReport[] = []
  try {
    for (const target of targets) await target.start()
    const sizes = sizesInUse()
    const contexts = targets.map((target): Context => ({ target, sizes, inputs }))
    for (const row of rows) {
      console.error(row.title)
      reports.push(await runRow(row, contexts, Number(options.runs)))
    }
  } finally {
    for (const target of targets) await target.stop()
  }
  if (options.json !== undefined) {
    writeFileSync(options.json, `${JSON.stringify(reports, null, 2)}\n`)
  }
  console.log(makeTable(rows, reports, sizesInUse(), names))
}

if (isOfDevices) await benchDevices(process.argv.slice(3))
else await main()
