// runner: timeout=600
/**
 * Random operations on several devices, with random exchanges between them: when all have heard
 * all, they show the same tree, it is what all records make at once, and nothing that was written
 * and not knowingly replaced or removed is missing.
 */
import assert from 'node:assert'
import fc from 'fast-check'
import t from 'tap'
import { FsError } from '../../src/base/errors.js'
import { TestDrive, kindsOf, shownOf, type Shown } from './drive.js'

const DEVICES = 3
const RUNS = Number(process.env['PCFS_CONVERGE_RUNS'] ?? 12)
const SEED = Number(process.env['PCFS_SEED'] ?? 20261123)
const SIZE = 8
const DAY_MS = 86_400_000
/** Added to the running time of all devices. */
const skew = { ms: 0 }

type Step = { readonly device: number } & (
  | { readonly op: 'write' | 'mkdir'; readonly path: string }
  /** Of what is there, copies too: the one that the number picks. */
  | { readonly op: 'rewrite' | 'remove' | 'touch' | 'chmod'; readonly pick: number }
  | { readonly op: 'rename' | 'link'; readonly pick: number; readonly to: string }
  | { readonly op: 'ship'; readonly to: number; readonly batch: number }
  | { readonly op: 'crash' | 'commit' | 'forget' }
)

const device = fc.integer({ min: 0, max: DEVICES - 1 })
const name = fc.constantFrom('a', 'b', 'c', 'db', 'db-wal')
const path = fc
  .oneof(
    { weight: 3, arbitrary: fc.tuple(name) },
    { weight: 2, arbitrary: fc.tuple(name, name) },
    { weight: 1, arbitrary: fc.tuple(name, name, name) }
  )
  .map((names) => names.join('/'))

const pick = fc.nat(1000)
const making = fc.constantFrom<'write' | 'mkdir'>('write', 'write', 'mkdir')
const changing = fc.constantFrom<'rewrite' | 'remove' | 'touch' | 'chmod'>(
  'rewrite',
  'rewrite',
  'rewrite',
  'remove',
  'remove',
  'touch',
  'chmod'
)
const moving = fc.constantFrom<'rename' | 'link'>('rename', 'rename', 'rename', 'link')

const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ op: making, device, path }) },
  { weight: 8, arbitrary: fc.record({ op: changing, device, pick }) },
  { weight: 5, arbitrary: fc.record({ op: moving, device, pick, to: path }) },
  {
    weight: 3,
    arbitrary: fc.record({
      op: fc.constant<'ship'>('ship'),
      device,
      to: device,
      batch: fc.constantFrom(1, 1000)
    })
  },
  {
    weight: 1,
    arbitrary: fc.record({ op: fc.constantFrom<'crash' | 'commit'>('crash', 'commit'), device })
  },
  { weight: 2, arbitrary: fc.record({ op: fc.constant<'forget'>('forget'), device }) }
)

/** What must be there at the end. */
interface Ledger {
  next: number
  readonly written: Set<string>
  /** Replaced or removed by somebody who saw them. */
  readonly gone: Set<string>
}

/** How many steps did something, and how many the kernel or the tree refused. */
const tally = { done: 0, refused: 0, conflicts: 0, forgotten: 0 }

class Run {
  readonly #ledger: Ledger = { next: 1, written: new Set(), gone: new Set() }
  readonly #root: string

  constructor(
    private readonly drive: TestDrive,
    run: number
  ) {
    this.#root = `run ${run}`
  }

  /** Everybody begins with the same few files. */
  async begin(): Promise<void> {
    const { kernel } = this.drive.at(0)
    await kernel.mkdir(1, this.#root, 0o755)
    for (const op of ['a', 'b', 'a/b', 'a/b/c'] as const) {
      await this.#operation({ device: 0, op: 'mkdir', path: op })
    }
    for (const op of ['c', 'a/a', 'a/c', 'b/a', 'db', 'db-wal', 'a/b/a'] as const) {
      await this.#operation({ device: 0, op: 'write', path: op })
    }
    await this.drive.exchange()
  }

  async run(steps: readonly Step[]): Promise<void> {
    for (const each of steps) {
      try {
        await this.#step(each)
        tally.done++
      } catch (error) {
        // What the kernel would have refused, or what another step made impossible.
        if (!(error instanceof FsError) || error.code === 'EIO') throw error
        tally.refused++
      }
    }
    for (let round = 0; round < 2; round++) {
      await this.drive.exchange()
      await this.drive.settle()
    }
    await this.check()
    const { length: before } = this.drive.graves()
    for (let round = 0; round < 3; round++) {
      skew.ms += DAY_MS
      await this.drive.acknowledge()
    }
    tally.forgotten += before - this.drive.graves().length
    await this.drive.evict()
    await this.check()
  }

  async check(): Promise<void> {
    const first = await this.#look(0)
    for (const index of this.drive.volumes.keys()) {
      assert.deepStrictEqual(await this.#look(index), first, `device ${index}`)
    }
    if (JSON.stringify(first).includes('(conflict')) tally.conflicts++
    const whole = this.#own(await this.drive.materialised())
    assert.deepStrictEqual(kindsOf(first), whole, 'materialised')
    assert.deepStrictEqual(kindsOf(first), this.#own(this.drive.everything()), 'never forgotten')
    const shown = new Set(textsOf(first))
    for (const text of this.#ledger.written) {
      assert.ok(shown.has(text) || this.#ledger.gone.has(text), `lost: ${text}`)
    }
  }

  async #look(index: number): Promise<Shown> {
    const { ino } = await this.drive.at(index).kernel.lookup(1, this.#root)
    return shownOf(await this.drive.posix(index).look(ino))
  }

  #own(shown: Shown): Shown {
    const own = shown[this.#root]
    return own === undefined || typeof own === 'string' ? {} : own
  }

  async #step(each: Step): Promise<void> {
    const volume = this.drive.at(each.device)
    switch (each.op) {
      case 'ship':
        if (each.to !== each.device) await this.drive.ship(each.device, each.to, each.batch)
        return
      case 'crash':
        return volume.crash()
      case 'commit':
        return volume.fs.ingester.flush()
      case 'forget':
        skew.ms += DAY_MS
        return volume.fs.retention.acknowledge()
      default:
        return this.#operation(each)
    }
  }

  async #operation(
    each: Exclude<Step, { op: 'ship' | 'crash' | 'commit' | 'forget' }>
  ): Promise<void> {
    const { kernel } = this.drive.at(each.device)
    const picked = 'path' in each ? each.path : await this.#picked(each.device, each.pick)
    if (picked === null) return
    const at = await this.#walk(each.device, picked)
    switch (each.op) {
      case 'mkdir':
        await kernel.mkdir(at.dir, at.name, 0o755)
        return
      case 'write':
      case 'rewrite':
        return this.#write(each.device, at)
      case 'remove': {
        const found = await kernel.lookup(at.dir, at.name)
        if ((found.mode & 0o170000) === 0o040000) return kernel.rmdir(at.dir, at.name)
        const text = await this.#read(each.device, found)
        await kernel.unlink(at.dir, at.name)
        this.#ledger.gone.add(text)
        return
      }
      case 'touch':
      case 'chmod': {
        const { ino } = await kernel.lookup(at.dir, at.name)
        if (each.op === 'chmod') await kernel.setattr(ino, {}, { 0: 1, 68: 0o700 })
        else await kernel.setattr(ino, { 40: 1000 }, { 0: 32 })
        return
      }
      case 'link':
      case 'rename':
        return this.#rename(each, picked, at)
    }
  }

  async #rename(
    each: Extract<Step, { op: 'rename' | 'link' }>,
    from: string,
    at: { dir: number; name: string }
  ): Promise<void> {
    const { kernel } = this.drive.at(each.device)
    const to = await this.#walk(each.device, each.to)
    // The kernel refuses a directory that would be in itself.
    if (each.to === from || each.to.startsWith(`${from}/`)) return
    const source = await kernel.lookup(at.dir, at.name)
    const target = await kernel.lookup(to.dir, to.name).catch(() => null)
    if (each.op === 'link') {
      if (!target) await kernel.link(source.ino, to.dir, to.name)
      return
    }
    if (source.ino === target?.ino) return
    const text = target && (await this.#read(each.device, target))
    await kernel.rename([at.dir, at.name], [to.dir, to.name], 0)
    if (text !== null) this.#ledger.gone.add(text)
  }

  async #write(index: number, at: { dir: number; name: string }): Promise<void> {
    const { kernel } = this.drive.at(index)
    const found = await kernel.lookup(at.dir, at.name).catch(() => null)
    const old = found && (await this.#read(index, found))
    const ino = found?.ino ?? (await kernel.create(at.dir, at.name, 0o644)).ino
    if (found) {
      if ((found.mode & 0o170000) !== 0o100000) return
      await kernel.setattr(ino, { 16: 0 }, { 0: SIZE })
    }
    const text = `content ${this.#ledger.next++}`
    await kernel.write(ino, 0, Buffer.from(text))
    await kernel.fsync(ino)
    this.#ledger.written.add(text)
    if (old !== null) this.#ledger.gone.add(old)
  }

  async #read(index: number, { ino, mode, size }: Attr): Promise<string> {
    if ((mode & 0o170000) !== 0o100000) return ''
    return (await this.drive.at(index).kernel.read(ino, 0, size)).toString()
  }

  /** One of the paths that a device shows. */
  async #picked(index: number, number: number): Promise<string | null> {
    const { kernel } = this.drive.at(index)
    const paths: string[] = []
    const list = async (dir: number, prefix: string): Promise<void> => {
      for (const each of (await kernel.readdir(dir)).sort()) {
        const { ino, mode } = await kernel.lookup(dir, each)
        paths.push(prefix + each)
        if ((mode & 0o170000) === 0o040000) await list(ino, `${prefix}${each}/`)
      }
    }
    await list((await kernel.lookup(1, this.#root)).ino, '')
    return paths[number % paths.length] ?? null
  }

  async #walk(index: number, text: string): Promise<{ dir: number; name: string }> {
    const names = [this.#root, ...text.split('/')]
    const last = names.pop() ?? ''
    let dir = 1
    for (const each of names) {
      const { ino, mode } = await this.drive.at(index).kernel.lookup(dir, each)
      if ((mode & 0o170000) !== 0o040000) throw new FsError('ENOTDIR')
      dir = ino
    }
    return { dir, name: last }
  }
}

type Attr = Awaited<ReturnType<TestDrive['volumes'][number]['kernel']['getattr']>>

function textsOf(shown: Shown): string[] {
  return Object.values(shown).flatMap((each) => (typeof each === 'string' ? each : textsOf(each)))
}

t.test('devices that have heard the same show the same, and nothing is lost', async (t) => {
  const drive = await TestDrive.create(DEVICES, { skew, historyBytes: 0 })
  t.teardown(() => drive.close())
  let runs = 0
  await fc.assert(
    fc.asyncProperty(
      fc.array(step, { minLength: 5, maxLength: 40, size: 'max' }),
      async (steps) => {
        const run = new Run(drive, ++runs)
        await run.begin()
        await run.run(steps)
      }
    ),
    { numRuns: RUNS, seed: SEED, interruptAfterTimeLimit: 45_000, markInterruptAsFailure: false }
  )
  t.comment(`${runs} runs, seed ${SEED}, ${JSON.stringify(tally)}`)
  t.ok(tally.done > tally.refused, 'most steps did something')
})
