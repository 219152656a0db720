/**
 * The power-loss test proper; runs inside of `unshare -m` (see power-loss.test.ts) and prints one
 * JSON line per round. `node power-main.js FOLDER KIND ROUNDS SECONDS SEED`, where KIND is ext4,
 * xfs (a pcfs home on that) or journal (no pcfs: ext4 with data=journal itself, whose state after a
 * loss is a consistent prefix too; this checks the harness).
 */
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { Pcfs } from '../support/pcfs.js'
import { must, sleep } from '../support/process.js'
import { makeRandom } from './model.js'
import { PowerDisk, type DiskKind } from './power-world.js'
import { Rounds, type Disaster } from './rounds.js'

/** What is promised to survive without fsync, and what a busy machine may take longer. */
const MAX_LOST_MS = 1_000
const SLACK_MS = 4_000

interface StartableDisaster extends Disaster {
  /** The first mount, of a new home. */
  start(): Promise<void>
}

/** pcfs with its home on the disk. */
function makePcfsDisaster(
  disk: PowerDisk,
  folder: string,
  random: () => number
): StartableDisaster {
  const pcfs = new Pcfs({ folder })
  return {
    dir: pcfs.dir,
    start: async () => {
      if (!(await pcfs.mountUnsupervised())) throw new Error(pcfs.lastMount)
      // The first rounds are about a home that is older than a moment, unless this one is not.
      if (random() < 0.7) await must('sync', ['-f', disk.path])
    },
    mode: 'power',
    strike: async () => {
      if (random() < 0.6) {
        const share = random()
        await disk.writeBackSome(pcfs.home, () => random() < share)
      }
      await disk.lose()
      await pcfs.kill9()
      await pcfs.abort()
      await disk.unmount()
    },
    revive: async () => {
      await disk.boot()
      // Power may go again while recovery is at work.
      if (random() < 0.3) {
        const mounted = pcfs.mountUnsupervised().catch(() => undefined)
        await sleep(random() * 1_500)
        await disk.lose()
        await pcfs.kill9()
        await mounted
        await pcfs.destroy()
        await disk.unmount()
        await disk.boot()
      }
      if (!(await pcfs.mountUnsupervised())) throw new Error(`${pcfs.lastMount}\n${pcfs.logTail()}`)
    },
    check: async () => {
      const doctor = await pcfs.cli(['doctor', '--json'])
      return doctor.code === 0 ? null : `pcfs doctor: ${doctor.stdout} ${doctor.stderr}`
    },
    abort: () => pcfs.abort()
  }
}

/** The disk's own file system, to check the harness. */
function makeDiskDisaster(disk: PowerDisk): StartableDisaster {
  return {
    dir: disk.path,
    start: () => Promise.resolve(),
    mode: 'torn',
    strike: () => disk.lose(),
    revive: async () => {
      await disk.unmount()
      await disk.boot()
    },
    check: () => Promise.resolve(null),
    abort: () => Promise.resolve()
  }
}

async function main(folder: string, kind: DiskKind, limits: readonly number[]): Promise<void> {
  const [count = 10, seconds = 60, firstSeed = 1] = limits
  const random = makeRandom(firstSeed)
  const disk = new PowerDisk(folder, kind)
  await disk.make()
  const usePcfs = kind !== 'journal'
  const home = join(disk.path, 'pcfs')
  if (usePcfs) mkdirSync(home)
  const disaster = usePcfs ? makePcfsDisaster(disk, home, random) : makeDiskDisaster(disk)
  const logs = join(folder, 'logs')
  mkdirSync(logs)
  const rounds = new Rounds(disaster, logs)
  const end = Date.now() + seconds * 1000
  await disaster.start()
  for (let i = 0; i < count && Date.now() < end; i++) {
    const seed = firstSeed + i
    const result = await rounds.round(seed, 2, () => sleep(300 + random() * 2_500))
    const problems = [...result.problems]
    if (usePcfs && result.lostMs > MAX_LOST_MS + SLACK_MS) {
      problems.push(`the last ${result.lostMs} ms of work are lost`)
    }
    console.log(JSON.stringify({ seed, ...result, problems }))
  }
  await disk.unmount().catch(() => undefined)
}

const [folder, kind, ...limits] = process.argv.slice(2)
if (folder === undefined || (kind !== 'ext4' && kind !== 'xfs' && kind !== 'journal')) {
  throw new Error('power-main.js FOLDER ext4|xfs|journal ROUNDS SECONDS SEED')
}
await main(folder, kind, limits.map(Number))
// What is still mounted goes with this process's mount namespace.
process.exit(0)
