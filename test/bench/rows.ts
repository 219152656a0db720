/** The rows that every target runs: the same work, the same loop, one after the other. */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { must } from '../support/process.js'
import {
  dropCaches,
  pathOf,
  settle,
  shell,
  time,
  timeCommand,
  type Context,
  type Goal,
  type Row,
  type Sizes
} from './context.js'

const FILE_BYTES = 1024
/** Rounds of the loops over cached files, so that one measurement is long enough to time. */
const WARM_ROUNDS = 10

const likeBindfs: readonly Goal[] = [
  { kind: 'least', factor: 1, of: 'bindfs' },
  { kind: 'aim', factor: 2, of: 'bindfs' }
]
const likeDisk: readonly Goal[] = [
  { kind: 'least', factor: 0.9, of: 'disk' },
  { kind: 'aim', factor: 1, of: 'disk' }
]
const likePeers: readonly Goal[] = [
  { kind: 'least', factor: 1, of: 'gocryptfs' },
  { kind: 'aim', factor: 1, of: 'bindfs' }
]
const stream: readonly Goal[] = [
  { kind: 'least', factor: 1, of: 'gocryptfs' },
  { kind: 'least', factor: 0.7, of: 'bindfs' },
  { kind: 'aim', factor: 0.8, of: 'disk' }
]

const perFile = (sizes: Sizes): { count: number; what: string } => ({
  count: sizes.files,
  what: 'files'
})
const perWarmFile = (sizes: Sizes): { count: number; what: string } => ({
  count: sizes.files * WARM_ROUNDS,
  what: 'files'
})
const perMib = (sizes: Sizes): { count: number; what: string } => ({
  count: sizes.bigBytes / 2 ** 20,
  what: 'MiB'
})

/** A folder with the row's files, made once per target and shared by the rows about many files. */
async function prepareFiles(context: Context): Promise<void> {
  const folder = pathOf(context, 'many')
  const { files } = context.sizes
  await shell(context, 'mkdir -p many')
  const made = (await shell(context, 'ls -U many | wc -l')).trim()
  if (made !== String(files)) await time(context, 'create', folder, files, FILE_BYTES)
  await settle(context)
}

async function prepareBig(context: Context): Promise<void> {
  await time(context, 'write', pathOf(context, 'big'), context.sizes.bigBytes)
  await settle(context)
}

async function cleanBig(context: Context): Promise<void> {
  await shell(context, 'rm -f big')
}

/** A tar archive, and a git repository, of a source-like tree; made once for all targets. */
async function prepareTree(context: Context): Promise<void> {
  if (existsSync(join(context.inputs.path, 'tree.git'))) return
  const script = `
    cd "$1"
    mkdir tree
    for d in $(seq 1 50); do mkdir -p tree/part$((d % 7))/dir$d; done
    for i in $(seq 1 ${context.sizes.treeFiles}); do
      d=$((i % 50 + 1))
      yes "line of file $i" | head -c $((RANDOM % 8000 + 200)) >tree/part$((d % 7))/dir$d/file$i.c
    done
    tar -cf tree.tar tree
    git -C tree init -q
    git -C tree add -A
    git -C tree -c user.name=b -c user.email=b@b commit -qm all
    git clone -q --bare tree tree.git
    rm -rf tree`
  await must('bash', ['-ec', script, 'bash', context.inputs.path], {
    timeoutMs: 300_000,
    env: { HOME: context.inputs.path }
  })
}

const fileRows: Row[] = [
  {
    name: 'create',
    title: 'create, write 1 KiB, close, then unlink',
    unit: 's',
    per: perFile,
    only: null,
    goals: [
      { kind: 'least', factor: 2, of: 'gocryptfs' },
      { kind: 'aim', factor: 1, of: 'bindfs' }
    ],
    async measure(context) {
      const folder = pathOf(context, 'fresh')
      await shell(context, 'mkdir fresh')
      await settle(context)
      const created = await time(context, 'create', folder, context.sizes.files, FILE_BYTES)
      const removed = await time(context, 'unlink', folder, context.sizes.files)
      await shell(context, 'rmdir fresh')
      return created + removed
    }
  },
  {
    name: 'stat-warm',
    title: 'stat, cached',
    unit: 's',
    per: perWarmFile,
    only: null,
    goals: likeDisk,
    prepare: prepareFiles,
    async measure(context) {
      const args = [pathOf(context, 'many'), context.sizes.files] as const
      await time(context, 'stat', ...args, 1)
      return time(context, 'stat', ...args, WARM_ROUNDS)
    }
  },
  {
    name: 'read-warm',
    title: 'open, read 1 KiB, close, cached',
    unit: 's',
    per: perWarmFile,
    only: null,
    goals: likeDisk,
    prepare: prepareFiles,
    async measure(context) {
      const args = [pathOf(context, 'many'), context.sizes.files] as const
      await time(context, 'reread', ...args, 1)
      return time(context, 'reread', ...args, WARM_ROUNDS)
    }
  },
  {
    name: 'reread-warm',
    title: 'read 1 GiB again, cached',
    unit: 's',
    per: perMib,
    only: null,
    goals: likeDisk,
    prepare: prepareBig,
    clean: cleanBig,
    async measure(context) {
      await time(context, 'read', pathOf(context, 'big'))
      return time(context, 'read', pathOf(context, 'big'))
    }
  },
  {
    name: 'stat-cold',
    title: 'stat, uncached',
    unit: 's',
    per: perFile,
    only: null,
    goals: likeBindfs,
    prepare: prepareFiles,
    async measure(context) {
      await dropCaches(context, false)
      return time(context, 'stat', pathOf(context, 'many'), context.sizes.files, 1)
    }
  },
  {
    name: 'ls-cold',
    title: 'ls -l of 10,000 entries, uncached',
    unit: 's',
    per: null,
    only: null,
    goals: [{ kind: 'least', factor: 1, of: 'bindfs' }],
    prepare: prepareFiles,
    async measure(context) {
      await dropCaches(context, false)
      return time(context, 'list', pathOf(context, 'many'))
    }
  },
  {
    name: 'ls-warm',
    title: 'ls -l of 10,000 entries, again',
    unit: 's',
    per: null,
    only: null,
    goals: [
      { kind: 'least', factor: 1, of: 'bindfs' },
      { kind: 'aim', factor: 1, of: 'disk' }
    ],
    prepare: prepareFiles,
    async measure(context) {
      await time(context, 'list', pathOf(context, 'many'))
      return time(context, 'list', pathOf(context, 'many'))
    }
  }
]

const dataRows: Row[] = [
  {
    name: 'random-read',
    title: 'read 4 KiB at random, uncached by the mount',
    unit: 's',
    per: (sizes) => ({ count: sizes.randomReads, what: 'reads' }),
    only: null,
    goals: likeBindfs,
    prepare: prepareBig,
    clean: cleanBig,
    async measure(context) {
      return time(context, 'random', pathOf(context, 'big'), context.sizes.randomReads)
    }
  },
  {
    name: 'write-seq',
    title: 'write 1 GiB in sequence',
    unit: 's',
    per: perMib,
    only: null,
    goals: stream,
    clean: cleanBig,
    async measure(context) {
      await shell(context, 'rm -f big')
      await settle(context)
      return time(context, 'write', pathOf(context, 'big'), context.sizes.bigBytes)
    }
  },
  {
    name: 'read-seq-cold',
    title: 'read 1 GiB in sequence, uncached',
    unit: 's',
    per: perMib,
    only: null,
    goals: stream,
    prepare: prepareBig,
    clean: cleanBig,
    async measure(context) {
      await dropCaches(context, true)
      return time(context, 'read', pathOf(context, 'big'))
    }
  }
]

const treeRows: Row[] = [
  {
    name: 'untar',
    title: 'untar 5,000 files',
    unit: 's',
    per: null,
    only: null,
    goals: likePeers,
    prepare: prepareTree,
    async measure(context) {
      await settle(context)
      const seconds = await timeCommand(context, 'tar -xf "$1/tree.tar"')
      await shell(context, 'rm -rf tree')
      return seconds
    }
  },
  {
    name: 'git-clone',
    title: 'git clone of 5,000 files',
    unit: 's',
    per: null,
    only: null,
    goals: likePeers,
    prepare: prepareTree,
    async measure(context) {
      await settle(context)
      const seconds = await timeCommand(context, 'git clone -q "file://$1/tree.git" cloned')
      await shell(context, 'rm -rf cloned')
      return seconds
    }
  },
  {
    name: 'git-status',
    title: 'git status of 5,000 files, uncached',
    unit: 's',
    per: null,
    only: null,
    goals: likePeers,
    async prepare(context) {
      await prepareTree(context)
      await shell(context, 'git clone -q "file://$1/tree.git" kept; cd kept; git status >/dev/null')
    },
    async measure(context) {
      await dropCaches(context, false)
      return timeCommand(context, 'cd kept; git status --porcelain')
    },
    async clean(context) {
      await shell(context, 'rm -rf kept')
    }
  }
]

/** All rows that compare targets, in the table's order. */
export const commonRows: readonly Row[] = [...fileRows, ...dataRows, ...treeRows]
