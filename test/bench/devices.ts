/**
 * Two devices side by side with Syncthing's: how soon one sees what the other does.
 *
 *   npm run bench -- devices [--only ROW,ROW] [--runs 5] [--files 100000] [--alone] [--json FILE]
 *
 * Everything is on this machine, without delays of a network.
 */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { must } from '../support/process.js'
import { makeTempFolder, root } from '../support/workspace.js'
import { PcfsPair, startSyncthing, type Pair } from './pairs.js'
import { median } from './report.js'

/** One measured thing. */
interface DeviceRow {
  readonly name: string
  readonly title: string
  /** What `look.py` does, and how many. */
  readonly work: string
  readonly count: number
  /** Whether each run gives one value, or one run gives all. */
  readonly isRepeated: boolean
  readonly goal: string
}

/** Medians and the greatest value of one row. */
interface DeviceReport {
  readonly row: string
  readonly title: string
  readonly values: Readonly<Record<string, readonly (number | null)[]>>
  readonly goal: string
}

const ROWS: readonly DeviceRow[] = [
  {
    name: 'edit',
    title: 'a 1 KiB edit until a read on the other device has it',
    work: 'edit',
    count: 20,
    isRepeated: false,
    goal: 'p50 <= 250 ms'
  },
  {
    name: 'small-files',
    title: '1,000 new files of 1 KiB until all are seen',
    work: 'small',
    count: 1000,
    isRepeated: true,
    goal: '<= 3 s'
  },
  {
    name: 'big-file',
    title: 'a new file of 100 MiB until it was read in full',
    work: 'big',
    count: 100,
    isRepeated: true,
    goal: '<= 4 s'
  },
  {
    name: 'rename',
    title: 'a rename of a directory with 1,000 files until it is seen',
    work: 'rename',
    count: 1000,
    isRepeated: true,
    goal: '<= 500 ms'
  },
  {
    name: 'rename-large',
    title: 'the same with 100,000 files',
    work: 'rename',
    count: 100_000,
    isRepeated: true,
    goal: '<= 500 ms'
  }
]

type Values = (number | null)[]

/** Syncthing takes hours for it. */
const TOO_LARGE = new Set(['rename-large'])

async function look(work: string, folders: readonly string[], count: number): Promise<Values> {
  const script = join(root, 'test/bench/look.py')
  const args = [script, work, folders[0] ?? '', folders[1] ?? '', String(count)]
  const values: Values = JSON.parse(await must('python3', args, { timeoutMs: 1_800_000 }))
  return values
}

async function measure(row: DeviceRow, pair: Pair, runs: number): Promise<Values> {
  const values: Values = []
  for (let run = 0; run < (row.isRepeated ? runs : 1); run++) {
    // Syncthing looks for changes every ten seconds.
    const isSlow = row.work === 'edit' && pair.name === 'syncthing'
    const found = await look(row.work, pair.folders, isSlow ? 5 : row.count)
    values.push(...found)
    console.error(`  ${row.name} ${pair.name}: ${found.slice(0, 5).map(show).join(', ')}`)
    if (found.includes(null) || pair.name === 'syncthing') break
  }
  return values
}

/** What only pcfs does: a device joins a large drive, and a merge after a while apart. */
async function measureLarge(pair: PcfsPair, files: number, apart: number): Promise<DeviceReport[]> {
  console.error(`  making ${files} files`)
  await look('fill', pair.folders, files)
  await pair.at(0).pcfs('flush')
  const third = await pair.join()
  await third.mount()
  const listings = await look('first', [third.folder], files)
  const [ofRoot, ofDirectory] = listings.map((seconds) => [seconds])
  await pair.at(1).pcfs('flush')
  await waitUntilRead(pair.at(1).folder, files)
  await pair.at(1).stop()
  await look('change', [pair.at(0).folder], apart)
  await pair.at(0).pcfs('flush')
  await pair.at(1).mount()
  const [merged, longest] = (await look('changed', [pair.at(1).folder], apart)).map((one) => [one])
  const row = (name: string, title: string, values: Values | undefined, goal: string) => ({
    row: name,
    title,
    values: { pcfs: values ?? [] },
    goal
  })
  return [
    row('first-root', `new device, ${files} files: first ls of the root`, ofRoot, '<= 3 s'),
    row('first-directory', 'then of a directory of 1,000', ofDirectory, '<= 1 s'),
    row('merge', `${apart} changes made apart until all are seen`, merged, '<= 5 s'),
    row('merge-look', 'longest ls of the root meanwhile', longest, 'responsive')
  ]
}

async function waitUntilRead(folder: string, files: number): Promise<void> {
  const last = join(folder, 'many', String(Math.floor(files / 1000) - 1))
  await must('sh', ['-c', `until [ -e "$0/999" ]; do sleep 0.5; done`, last], {
    timeoutMs: 1_800_000
  })
}

function show(seconds: number | null): string {
  if (seconds === null || Number.isNaN(seconds)) return 'never'
  return seconds < 1 ? `${(seconds * 1000).toFixed(0)} ms` : `${seconds.toFixed(2)} s`
}

function cell(values: readonly (number | null)[] | undefined): string {
  if (values === undefined || values.length === 0) return '-'
  const seen = known(values)
  return `${show(median(seen))} (max ${show(Math.max(...seen))})`
}

function makeTable(reports: readonly DeviceReport[]): string {
  const lines = reports.map(({ title, values, goal }) => {
    const ratio = median(known(values['syncthing'])) / median(known(values['pcfs']))
    const times = Number.isNaN(ratio) ? '-' : `${ratio.toFixed(1)} x`
    return `| ${title} | ${cell(values['pcfs'])} | ${cell(values['syncthing'])} | ${times} | ${goal} |`
  })
  const head = '| work | pcfs | syncthing | faster | goal |\n| --- | --- | --- | --- | --- |'
  return `${head}\n${lines.join('\n')}`
}

function known(values: readonly (number | null)[] | undefined): number[] {
  return values?.filter((value) => value !== null) ?? []
}

/** Runs the benchmark of devices. @param args behind `devices` */
export async function benchDevices(args: readonly string[]): Promise<void> {
  const { values: options } = parseArgs({
    args: [...args],
    options: {
      only: { type: 'string' },
      runs: { type: 'string', default: '5' },
      files: { type: 'string', default: '100000' },
      apart: { type: 'string', default: '10000' },
      alone: { type: 'boolean', default: false },
      json: { type: 'string' }
    }
  })
  const names = options.only?.split(',')
  const isWanted = (name: string): boolean => names === undefined || names.includes(name)
  using folder = makeTempFolder('bench-devices')
  const reports: DeviceReport[] = []
  const pcfs = await PcfsPair.start(folder.path)
  let syncthing: Pair | null = null
  try {
    syncthing = options.alone ? null : await startSyncthing(folder.path)
    for (const row of ROWS.filter(({ name }) => isWanted(name))) {
      console.error(row.title)
      const values: Record<string, Values> = {}
      for (const pair of [pcfs, ...(syncthing ? [syncthing] : [])]) {
        if (pair !== pcfs && TOO_LARGE.has(row.name)) continue
        values[pair.name] = await measure(row, pair, Number(options.runs))
      }
      reports.push({ row: row.name, title: row.title, values, goal: row.goal })
    }
    if (isWanted('large')) {
      const { files, apart } = options
      reports.push(...(await measureLarge(pcfs, Number(files), Number(apart))))
    }
  } finally {
    await syncthing?.stop()
    await pcfs.stop()
  }
  if (options.json !== undefined) writeFileSync(options.json, `${JSON.stringify(reports)}\n`)
  console.log(makeTable(reports))
}
