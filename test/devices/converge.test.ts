// runner: timeout=240
/**
 * Several devices with real daemons, mounts and networks: random work in all mounts at once while
 * cables are pulled and daemons killed; then all is mended, and every device shows the same tree,
 * in which nothing is missing that was written and not knowingly replaced or removed.
 *
 * PCFS_DEVICES is how many (default 3), PCFS_DEVICES_SECONDS how long (default 45),
 * PCFS_DEVICES_SEED the seed. A seed repeats what is asked for and when, not how it interleaves.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { makeRandom } from '../crash/model.js'
import { noNamespaces } from '../swarm/members.js'
import { allConnected, Network, sameTree, type Machine, type Work } from './machines.js'

const COUNT = Number(process.env['PCFS_DEVICES'] ?? 3)
const SECONDS = Number(process.env['PCFS_DEVICES_SECONDS'] ?? 45)
const SEED = Number(process.env['PCFS_DEVICES_SEED'] ?? Date.now() % 1_000_000)
const NAMES = ['laptop', 'desktop', 'tower', 'phone', 'tablet', 'attic'].slice(0, COUNT)

/** How long everybody works in a round, ms. */
const WORK_MS = 4000
/** Longest pause of a worker between two operations, ms. */
const PAUSE_MS = 60

t.setTimeout((SECONDS + 180) * 1000)
const random = makeRandom(SEED)

/** What befalls a device in a round; times in ms after its beginning, null: it does not happen. */
interface Fate {
  readonly cutAtMs: number | null
  readonly killAtMs: number | null
  readonly deadMs: number
}

function drawFate(): Fate {
  const sometime = (chance: number): number | null =>
    random() < chance ? Math.floor(random() * WORK_MS * 0.8) : null
  return { cutAtMs: sometime(0.6), killAtMs: sometime(0.35), deadMs: random() * 1000 }
}

async function meet(machine: Machine, { cutAtMs, killAtMs, deadMs }: Fate): Promise<void> {
  const cutting = async (): Promise<void> => {
    if (cutAtMs === null) return
    await sleep(cutAtMs)
    machine.cut()
  }
  const killing = async (): Promise<void> => {
    if (killAtMs === null) return
    await sleep(killAtMs)
    await machine.pcfs.kill9()
    await sleep(deadMs)
    await machine.pcfs.mount()
  }
  await Promise.all([cutting(), killing()])
}

/** Everybody works at once and meets their fate. */
async function work(machines: readonly Machine[], round: number): Promise<Work[]> {
  const fates = machines.map(drawFate)
  const seeds = machines.map(() => Math.floor(random() * 2 ** 31))
  t.comment(`round ${round}: ${JSON.stringify(fates)}`)
  const done = machines.map(async (machine, i) => {
    const tag = `${SEED}:${round}:${machine.name}`
    const args = { seed: seeds[i] ?? 0, tag, ms: WORK_MS, pause_ms: PAUSE_MS }
    const fate = meet(machine, fates[i] ?? drawFate())
    const result = await machine.agent('work', args, WORK_MS + 60_000)
    await fate
    return result
  })
  return Promise.all(done)
}

/** What was written and not knowingly removed by anybody must be there. */
class Ledger {
  readonly #written = new Set<string>()
  readonly #superseded = new Set<string>()
  readonly #log: string[] = []

  /** One round: where somebody is in doubt, what is missing of it may have been removed unseen. */
  note(machines: readonly Machine[], works: readonly Work[]): void {
    const isSure = works.every(({ doubts }) => doubts === 0)
    for (const [i, { written, superseded, log }] of works.entries()) {
      for (const id of written) this.#written.add(id)
      for (const id of superseded) this.#superseded.add(id)
      if (!isSure) for (const id of written) this.#superseded.add(id)
      for (const line of log) this.#log.push(`${line} (${machines[i]?.name})`)
    }
  }

  missing(chunks: readonly string[]): string[] {
    const there = new Set(chunks)
    return [...this.#written].filter((id) => !there.has(id) && !this.#superseded.has(id))
  }

  /** All that was done to these chunks, and to the files that had them. */
  story(ids: readonly string[]): string[] {
    const about = (words: readonly string[]): string[] =>
      this.#log.filter((line) => words.some((word) => line.includes(word)))
    const paths = about(ids).map((line) => line.split(' ')[2] ?? '')
    return about([...ids, ...paths]).sort()
  }
}

const skip = noNamespaces()
const title = `${COUNT} devices converge after random work, cuts and kills, and nothing is lost`
await t.test(title, { skip }, async (tt) => {
  tt.setTimeout(0)
  tt.comment(`seed ${SEED}`)
  const network = await Network.open(tt)
  const machines = await network.addPaired(NAMES)
  tt.comment(`connected ${await allConnected(machines)} ms after the mounts`)
  const ledger = new Ledger()
  const end = performance.now() + SECONDS * 1000
  for (let round = 1; performance.now() < end; round++) {
    const works = await work(machines, round)
    ledger.note(machines, works)
    for (const machine of machines) machine.mend()
    const connectedMs = await allConnected(machines)
    const { tree, listedMs, tookMs } = await sameTree(machines)
    const done = works.map((one) => Object.values(one.done).reduce((a, b) => a + b, 0))
    const failed = works.map((one) => JSON.stringify(one.failed))
    const doubts = works.map((one) => one.doubts)
    tt.comment(`operations ${done.join(' + ')}, failed ${failed.join(' ')}`)
    tt.comment(`in doubt ${doubts.join(', ')}`)
    const entries = Object.keys(tree.entries).length
    tt.comment(`connected ${connectedMs} ms after the mending; ${entries} entries`)
    tt.comment(`listed the same after ${listedMs} ms more, read the same after ${tookMs} ms`)
    const missing = ledger.missing(tree.chunks)
    tt.same(missing, [], `round ${round}, seed ${SEED}: nothing is lost`)
    for (const line of ledger.story(missing)) tt.comment(line)
    if (missing.length > 0) break
    const unexpected = works.flatMap((one) => one.unexpected)
    tt.same(unexpected, [], `round ${round}, seed ${SEED}: no operation fails for another reason`)
  }
  for (const machine of machines) await machine.pcfs.stop()
})
