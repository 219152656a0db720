/** The rows that only pcfs has: what its design promises beyond being a fast file system. */
import { readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { start, must, waitFor, killGroup } from '../support/process.js'
import { compileHelper } from '../support/workspace.js'
import type { Pcfs } from '../support/pcfs.js'
import { loop, pathOf, settle, shell, time, type Context, type Goal, type Row } from './context.js'

const MIB = 2 ** 20

/** A row without anything to share: its goals are bounds. */
function pcfsRow(
  name: string,
  title: string,
  unit: Row['unit'],
  [least, aim]: readonly [number, number]
): Omit<Row, 'measure'> {
  const goals: Goal[] = [
    { kind: 'least', bound: least },
    { kind: 'aim', bound: aim }
  ]
  return { name, title, unit, per: null, only: ['pcfs'], goals }
}

function pcfsOf(context: Context): Pcfs {
  const { pcfs } = context.target
  if (pcfs === null) throw new Error('this row is about pcfs')
  return pcfs
}

/** Bytes that a folder takes on the disk. */
function diskBytes(folder: string): number {
  let total = 0
  for (const name of readdirSync(folder, { recursive: true, encoding: 'utf8' })) {
    try {
      total += statSync(join(folder, name)).blocks * 512
    } catch {
      // it went meanwhile
    }
  }
  return total
}

/** The bytes of all cores of this device, as `status` tells them; null when it does not. */
async function coreBytes(context: Context): Promise<number | null> {
  const { generations } = await pcfsOf(context).json(['status'])
  if (!Array.isArray(generations)) return null
  let total = 0
  for (const generation of generations as unknown[]) {
    if (typeof generation !== 'object' || generation === null) return null
    const fields = new Map<string, unknown>(Object.entries(generation))
    const bytes = fields.get('byteLength')
    if (typeof bytes !== 'number') return null
    total += bytes
  }
  return total
}

/** A sparse file with data at both ends and in the middle, of the size that the row names. */
async function prepareSparse(context: Context): Promise<void> {
  const size = context.sizes.sparseBytes
  await shell(
    context,
    `truncate -s ${size} huge
    for at in 0 ${size / 2} ${size - 64 * MIB}; do
      head -c 64M /dev/urandom | dd of=huge bs=1M seek=$((at / 1048576)) conv=notrunc status=none
    done`
  )
  await settle(context)
}

async function cleanSparse(context: Context): Promise<void> {
  await shell(context, 'rm -f huge')
}

/** Runs a command of the kernel's copy in the background, until `work` is done. */
async function duringCopy<T>(context: Context, work: () => Promise<T>): Promise<T> {
  await shell(context, 'rm -f ingested')
  const program = await compileHelper('test/bench/fsbench.c')
  const file = pathOf(context, 'ingested')
  const child = start(program, ['write', file, String(context.sizes.bigBytes)], { stdio: 'ignore' })
  try {
    return await work()
  } finally {
    const ended = (): boolean => child.exitCode !== null || child.signalCode !== null
    if (!(await waitFor(ended, 120_000))) killGroup(child)
    await settle(context)
    await shell(context, 'rm -f ingested')
  }
}

/** p99 of creates and of uncached stats while 1 GiB is being written and ingested. */
async function latencies(context: Context): Promise<readonly number[]> {
  return duringCopy(context, async () => {
    await shell(context, 'mkdir -p busy')
    const values = await loop(context, 'latency', pathOf(context, 'busy'), 8)
    await shell(context, 'rm -rf busy')
    return values
  })
}

/** Makes many small files quickly: in folders of 1,000, by several loops. */
async function makeMany(context: Context, folder: string, count: number): Promise<void> {
  const perFolder = Math.min(1_000, count)
  await shell(context, `mkdir -p ${folder}; cd ${folder}; mkdir $(seq 1 ${count / perFolder})`)
  for (let i = 1; i <= count / perFolder; i++) {
    await time(context, 'create', pathOf(context, `${folder}/${i}`), perFolder, 64)
  }
}

async function mountSeconds(context: Context): Promise<{ seconds: number; rssMb: number }> {
  const pcfs = pcfsOf(context)
  await pcfs.stop(600_000)
  const began = performance.now()
  await pcfs.mount(120_000)
  await must('ls', [context.target.dir], { onStuck: () => context.target.abort() })
  const seconds = (performance.now() - began) / 1000
  // "Idle" is after what the start brings with it has calmed down.
  await new Promise((resolve) => setTimeout(resolve, 3_000))
  const pid = await pcfs.daemonPid()
  const status = await must('cat', [`/proc/${pid}/status`])
  const rssMb = Number(/^VmRSS:\s+(\d+) kB/m.exec(status)?.[1] ?? NaN) / 1024
  return { seconds, rssMb }
}

async function prepareMount(context: Context): Promise<void> {
  const made = await shell(context, 'ls many-mount 2>/dev/null | wc -l')
  if (made.trim() !== '0') return
  await makeMany(context, 'many-mount', context.sizes.mountFiles)
  await settle(context)
}

/** The rows of pcfs alone, in the table's order. */
export const pcfsRows: readonly Row[] = [
  {
    ...pcfsRow('overwrite', '4 KiB into a 10 GiB file, fsync', 's', [0.02, 0.005]),
    prepare: prepareSparse,
    clean: cleanSparse,
    measure: (context) => time(context, 'overwrite', pathOf(context, 'huge'), 41)
  },
  {
    ...pcfsRow('overwrite-bytes', 'bytes that this adds to the cores', 'bytes', [
      256 * 1024,
      128 * 1024
    ]),
    prepare: prepareSparse,
    clean: cleanSparse,
    async measure(context) {
      await settle(context)
      const size = async (): Promise<number> =>
        (await coreBytes(context)) ?? diskBytes(join(context.target.backing, 'store'))
      const before = await size()
      await time(context, 'overwrite', pathOf(context, 'huge'), 1)
      await settle(context)
      return (await size()) - before
    }
  },
  {
    ...pcfsRow('rename', 'rename of a folder with 100,000 files', 's', [0.02, 0.005]),
    async prepare(context) {
      await makeMany(context, 'wide', context.sizes.renameFiles)
      await settle(context)
    },
    async measure(context) {
      const from = pathOf(context, 'wide')
      const seconds = await time(context, 'rename', from, pathOf(context, 'wider'))
      await time(context, 'rename', pathOf(context, 'wider'), from)
      return seconds
    },
    clean: async (context) => {
      await shell(context, 'rm -rf wide')
    }
  },
  {
    ...pcfsRow('p99-create', 'p99 of create while 1 GiB is ingested', 'us', [50_000, 10_000]),
    measure: async (context) => (await latencies(context))[0] ?? NaN
  },
  {
    ...pcfsRow('p99-stat', 'p99 of uncached stat meanwhile', 'us', [50_000, 10_000]),
    measure: async (context) => (await latencies(context))[1] ?? NaN
  },
  {
    ...pcfsRow('flush', 'pcfs flush after a copy of 1 GiB', 's', [20, 8]),
    async measure(context) {
      await settle(context)
      await time(context, 'write', pathOf(context, 'flushed'), context.sizes.bigBytes)
      const began = performance.now()
      const flush = await pcfsOf(context).cli(['flush'], 600_000)
      const seconds = (performance.now() - began) / 1000
      if (flush.code !== 0) throw new Error(`pcfs flush: ${flush.stderr}`)
      await shell(context, 'rm -f flushed')
      return seconds
    }
  },
  {
    ...pcfsRow('mount', 'mount of 1,000,000 files until ls answers', 's', [2, 1]),
    prepare: prepareMount,
    measure: async (context) => (await mountSeconds(context)).seconds
  },
  {
    ...pcfsRow('mount-rss', 'memory of the idle daemon then', 'MB', [200, 120]),
    prepare: prepareMount,
    measure: async (context) => (await mountSeconds(context)).rssMb,
    clean: async (context) => {
      await shell(context, 'rm -rf many-mount')
    }
  }
]
