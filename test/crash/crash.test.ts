/**
 * kill -9 of everything that pcfs runs, at every fault point and at random times under load: what a
 * completed system call did is there after the next mount, and nothing else changed.
 *
 * PCFS_CRASH_ROUNDS sets the number of rounds (default 60), PCFS_CRASH_SECONDS a bound on the time
 * (default 150), PCFS_CRASH_SEED the first seed. `PCFS_TEST_TARGET=bindfs` checks the harness.
 */
import { existsSync } from 'node:fs'
import t, { type Test } from 'tap'
import { makeTempFolder } from '../support/workspace.js'
import { sleep, waitFor } from '../support/process.js'
import { targetUnderTest } from '../support/target.js'
import { findFaultPoints } from './fault-points.js'
import { makeRandom } from './model.js'
import { Rounds, type Disaster } from './rounds.js'

const ROUNDS = Number(process.env['PCFS_CRASH_ROUNDS'] ?? 60)
const SECONDS = Number(process.env['PCFS_CRASH_SECONDS'] ?? 150)
const SEED = Number(process.env['PCFS_CRASH_SEED'] ?? Date.now() % 1_000_000)
/** Longest wait for a fault point to be reached; then the kill comes from outside. */
const FAULT_WAIT_MS = 3_000

t.setTimeout((SECONDS + 120) * 1000)
const target = targetUnderTest()
const { pcfs } = target
const logs = makeTempFolder('crash-logs')
t.teardown(async () => {
  await target.stop()
  logs[Symbol.dispose]()
})
const random = makeRandom(SEED)
const points = pcfs === null ? [] : findFaultPoints()
const reached = new Set<string>()

/** The next life's fault point, '' for none. */
function setFault(text: string): void {
  if (pcfs === null) return
  if (text === '') delete pcfs.env['PCFS_FAULT']
  else pcfs.env['PCFS_FAULT'] = text
}

/** Kills recovery itself at a random moment, sometimes more than once. */
async function crashRecovery(): Promise<void> {
  while (random() < 0.25) {
    const revived = target.revive().then(
      () => true,
      () => false
    )
    await sleep(random() * 800)
    await target.kill9()
    await revived
    // It may have come up after the kill.
    await target.kill9()
  }
}

const disaster: Disaster = {
  dir: target.dir,
  mode: 'kill',
  strike: () => target.kill9(),
  revive: async () => {
    setFault('')
    await crashRecovery()
    await target.revive()
  },
  check: async () => {
    if (pcfs === null || random() < 0.6) return null
    const doctor = await pcfs.cli(['doctor', '--json'])
    return doctor.code === 0 ? null : `pcfs doctor: ${doctor.stdout} ${doctor.stderr}`
  },
  abort: () => target.abort()
}

await target.start()
if (pcfs !== null) await pcfs.stop()
t.comment(`seed ${SEED}; fault points: ${points.join(' ') || 'none'}`)
const rounds = new Rounds(disaster, logs.path)
const end = Date.now() + SECONDS * 1000
let completed = 0
let count = 0

/** One round whose kill comes from the inside, at a fault point. */
async function faultRound(tt: Test, seed: number, point: string): Promise<void> {
  // Some points come by thousands of times a second, others once in a while.
  const often = /^(write|sync)\.|^ingest\.blocks$/.test(point)
  setFault(`${point}:${1 + Math.floor(random() ** 2 * (often ? 200 : 4))}`)
  if ((await pcfs?.mountUnsupervised()) === false) {
    // It was reached before the mount answered: nothing was done, so nothing can be lost.
    reached.add(point)
    setFault('')
    await target.revive()
    tt.pass(`killed at ${point} while mounting`)
    return
  }
  const result = await rounds.round(seed, 2, async () => {
    if ((await pcfs?.waitEnded(FAULT_WAIT_MS)) === true) reached.add(point)
  })
  completed += result.completed
  tt.same(result.problems, [], `killed at ${point} (seed ${seed}): nothing completed is lost`)
}

/** One round whose kill comes from the outside, at a random time. */
async function randomRound(tt: Test, seed: number): Promise<void> {
  if (pcfs !== null && !pcfs.isMounted()) await target.revive()
  const result = await rounds.round(seed, 2, () => sleep(150 + random() * 1_500))
  completed += result.completed
  tt.same(result.problems, [], `killed at some time (seed ${seed}): nothing completed is lost`)
}

await t.test('kill -9 loses nothing that a completed system call did', async (tt) => {
  tt.setTimeout(0)
  for (let i = 0; i < ROUNDS && Date.now() < end; i++) {
    const point = i % 2 === 0 ? points[(i / 2) % points.length] : undefined
    if (point === undefined) await randomRound(tt, SEED + i)
    else {
      await pcfs?.kill9()
      await faultRound(tt, SEED + i, point)
    }
    count++
  }
})
t.ok(count > 0, `${count} rounds with ${completed} operations`)
const never = points.slice(0, Math.floor(count / 2)).filter((point) => !reached.has(point))
t.comment(`fault points that were not reached: ${never.join(' ') || 'none'}`)

if (pcfs !== null) {
  await t.test('after all crashes nothing is left to do and nothing has leaked', async (tt) => {
    if (!pcfs.isMounted()) await target.revive()
    const flush = await pcfs.cli(['flush'])
    tt.equal(flush.code, 0, `pcfs flush: ${flush.stderr}`)
    const { backlog } = await pcfs.json(['status'])
    tt.match(backlog, { spoolBytes: 0, records: 0 }, 'the backlog is empty')
    await pcfs.stop()
    tt.same(pcfs.processes(), [], 'no process is left')
    tt.notOk(pcfs.isMounted(), 'no mount is left')
    tt.ok(await waitFor(() => !existsSync(`${pcfs.home}/control.sock`), 2_000), 'no socket is left')
  })
}
