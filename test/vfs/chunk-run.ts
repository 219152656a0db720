/**
 * A run of appends, cuts, overwrites, renames and removals on several devices, with a ledger of
 * what was written and who removed what they saw.
 */
import assert from 'node:assert'
import { setTimeout as sleep } from 'node:timers/promises'
import { FsError } from '../../src/base/errors.js'
import { OPCODE } from '../../src/fuse/request.js'
import type { ContentStore } from '../../src/vfs/content-store.js'
import { BLOCK_BYTES } from '../../src/format/content-map.js'
import { STAT_BYTES } from '../../src/union/row.js'
import { type TestDrive, shownOf } from './drive.js'
import { fields, TestKernel } from './test-kernel.js'

const CHUNK = /\[\d{6}\]/g
/** Whole blocks: here a commit cannot fetch from others what it keeps of a block. */
const CHUNK_BYTES = BLOCK_BYTES
/** Most chunks of a file: what one READ gives. */
const MAX_CHUNKS = 16
const O_APPEND = 0o2000
/** How long a commit gets to come to its next stop, ms. */
const BREATH_MS = 3

/** One of these operations, or each of them. */
type Op<K extends string, T = object> = K extends string
  ? { readonly op: K; readonly device: number } & T
  : never
interface On {
  readonly name: string
}

/** What one device does. */
export type Step =
  | Op<'append' | 'truncate' | 'overwrite', On & { readonly at: number }>
  | Op<'rename' | 'link', On & { readonly to: string }>
  | Op<'unlink' | 'touch' | 'chmod', On>
  | Op<'ship', { readonly to: number; readonly batch: number }>
  /** From now on commits stop after each call of the store; they go on to the next; to the end. */
  | Op<'begin' | 'advance' | 'finish'>

type Named = Step & On

/** Holds up the commits of one device after each call of the store, until it is let on. */
export class Gate {
  isShut = false
  #waiting: (() => void)[] = []

  wrap(store: ContentStore): ContentStore {
    return new Proxy(store, {
      get: (target, called) => {
        const value: unknown = Reflect.get(target, called)
        if (typeof value !== 'function') return value
        if (!['ingest', 'commit', 'barrier', 'info'].includes(String(called))) {
          return (...args: unknown[]): unknown => Reflect.apply(value, target, args)
        }
        return async (...args: unknown[]): Promise<unknown> => {
          const answer: unknown = await Reflect.apply(value, target, args)
          if (this.isShut) await new Promise<void>((resolve) => this.#waiting.push(resolve))
          return answer
        }
      }
    })
  }

  advance(): void {
    for (const resolve of this.#waiting.splice(0)) resolve()
  }

  open(): void {
    this.isShut = false
    this.advance()
  }
}

/** What was done in all runs. */
export const tally = { done: 0, refused: 0, conflicts: 0, held: 0 }

interface Place {
  readonly parent: number
  readonly name: string
}

/** See the file's head. */
export class Run {
  #next = 1
  readonly #written = new Set<string>()
  /** Cut off, overwritten or removed by somebody who saw them. */
  readonly #gone = new Set<string>()
  /** For whoever looks for what is missing. */
  readonly #log: string[] = []
  readonly #root: string

  constructor(
    private readonly drive: TestDrive,
    private readonly gates: readonly Gate[],
    run: number
  ) {
    this.#root = `run ${run}`
  }

  /** Does all of it, lets everybody hear everything, and looks for what is missing. */
  async run(steps: readonly Step[]): Promise<void> {
    await this.drive.at(0).kernel.mkdir(1, this.#root, 0o755)
    await this.drive.exchange()
    try {
      for (const each of steps) await this.#try(each)
    } finally {
      for (const gate of this.gates) gate.open()
    }
    for (let round = 0; round < 2; round++) {
      await this.drive.exchange()
      await this.drive.settle()
    }
    await this.#check()
  }

  async #try(each: Step): Promise<void> {
    this.#log.push(JSON.stringify(each))
    try {
      await this.#step(each)
      tally.done++
    } catch (error) {
      // What the kernel would have refused, or what another step made impossible.
      if (!(error instanceof FsError) || error.code === 'EIO') throw error
      this.#log.push(`  ${error.code}`)
      tally.refused++
    }
  }

  async #check(): Promise<void> {
    const trees: Record<string, string>[] = []
    for (const index of this.drive.volumes.keys()) trees.push(await this.#look(index))
    const story = this.#log.join('\n')
    for (const [i, tree] of trees.entries()) {
      assert.deepStrictEqual(tree, trees[0], `device ${i} and the first one;\n${story}`)
    }
    const shown = trees[0] ?? {}
    if (JSON.stringify(shown).includes('(conflict')) tally.conflicts++
    const there = new Set(Object.values(shown).join('').match(CHUNK))
    const lost = [...this.#written].filter((id) => !there.has(id) && !this.#gone.has(id))
    assert.deepStrictEqual(lost, [], `lost;\n${story}\n${JSON.stringify(shown, null, 1)}`)
  }

  /** The ids of the chunks by the names of their files. */
  async #look(index: number): Promise<Record<string, string>> {
    const shown = shownOf(await this.drive.posix(index).look(await this.#dir(index)))
    const files = Object.entries(shown).map(([each, data]): [string, string] => {
      const ids = (typeof data === 'string' ? data : '').match(CHUNK) ?? []
      assert.equal(data, ids.map((id) => bytesOf(id).toString()).join(''), 'whole chunks')
      return [each, ids.join('')]
    })
    return Object.fromEntries(files)
  }

  async #dir(index: number): Promise<number> {
    return (await this.drive.at(index).kernel.lookup(1, this.#root)).ino
  }

  async #step(each: Step): Promise<void> {
    const gate = this.gates[each.device]
    assert(gate)
    switch (each.op) {
      case 'ship': {
        if (each.to === each.device) return
        const taken = await this.drive.shipStored(each.device, each.to, each.batch)
        for (const { held } of taken) tally.held += held
        return
      }
      case 'begin':
        gate.isShut = true
        this.drive.at(each.device).fs.ingester.hurry()
        return sleep(BREATH_MS)
      case 'advance':
        gate.advance()
        return sleep(BREATH_MS)
      case 'finish':
        gate.open()
        return this.drive.at(each.device).fs.ingester.flush()
      case 'append':
        return this.#append(each.device, await this.#place(each))
      case 'truncate':
      case 'overwrite':
        return this.#cut(each, await this.#place(each))
      case 'rename':
        return this.#rename(each, await this.#place(each))
      default:
        return this.#change(each, await this.#place(each))
    }
  }

  /** A question mark is the last name: a conflict copy, where there is one with this name. */
  async #place({ device: index, name: asked }: Named): Promise<Place> {
    const parent = await this.#dir(index)
    if (asked !== '?') return { parent, name: asked }
    const names = await this.drive.at(index).kernel.readdir(parent)
    return { parent, name: names.sort().at(-1) ?? 'a' }
  }

  async #append(index: number, place: Place): Promise<void> {
    const { kernel, fs } = this.drive.at(index)
    const known = await kernel.lookup(place.parent, place.name).catch(() => null)
    const { ino, size } = known ?? (await kernel.create(place.parent, place.name, 0o644))
    if (size >= MAX_CHUNKS * CHUNK_BYTES) return
    const id = this.#fresh()
    // As a kernel that has not asked for the size for a while.
    const body = fields(40, { 8: 0 }, { 16: CHUNK_BYTES, 32: O_APPEND })
    await kernel.call(OPCODE.write, ino, Buffer.concat([body, bytesOf(id)]))
    this.#log.push(`  ${id} to ${place.name}, inode ${ino}`)
    if (fs.names.lookup(place) === ino) this.#written.add(id)
  }

  #cut(each: Extract<Step, { op: 'truncate' | 'overwrite' }>, place: Place): Promise<void> {
    const { kernel, fs } = this.drive.at(each.device)
    return this.#seeing(each.device, place, (ids, ino) => {
      if (each.op === 'truncate') {
        fs.content.truncate(ino, Math.min(each.at, ids.length) * CHUNK_BYTES)
        return ids.slice(each.at)
      }
      const old = ids[each.at]
      if (old === undefined) return []
      const id = this.#fresh()
      const offset = each.at * CHUNK_BYTES
      fs.content.prepareWrite(ino, offset, CHUNK_BYTES, false)
      kernel.replyNow(kernel.send(OPCODE.write, ino, TestKernel.writeBody(offset, bytesOf(id))))
      this.#written.add(id)
      return [old]
    })
  }

  async #rename(each: Extract<Step, { op: 'rename' }>, from: Place): Promise<void> {
    const { kernel, fs } = this.drive.at(each.device)
    const to = { parent: from.parent, name: each.to }
    await kernel.lookup(from.parent, from.name)
    if (fs.names.lookup(to) === null) {
      fs.names.rename(from, to, 0)
      return
    }
    await this.#seeing(each.device, to, (ids, target) => {
      if (fs.names.lookup(from) === target) return []
      fs.names.rename(from, to, 0)
      return ids
    })
  }

  async #change(
    each: Extract<Step, { op: 'unlink' | 'touch' | 'chmod' | 'link' }>,
    place: Place
  ): Promise<void> {
    const { kernel, fs } = this.drive.at(each.device)
    const { ino } = await kernel.lookup(place.parent, place.name)
    switch (each.op) {
      case 'touch':
        return fs.attributes.set(ino, { mtimeNs: 1_000_000_000n })
      case 'chmod':
        return fs.attributes.set(ino, { mode: 0o600 })
      case 'link':
        return fs.names.link(ino, { parent: place.parent, name: each.to })
      case 'unlink':
        return this.#seeing(each.device, place, (ids) => {
          fs.names.unlink(place)
          return ids
        })
    }
  }

  /** Does something to a file whose content has just been seen; it gives what is gone by that. */
  async #seeing(
    index: number,
    place: Place,
    act: (ids: readonly string[], ino: number) => readonly string[]
  ): Promise<void> {
    const { kernel, fs } = this.drive.at(index)
    for (let tries = 0; tries < 100; tries++) {
      const { ino, size } = await kernel.lookup(place.parent, place.name)
      const before = this.#state(index, ino)
      const text = (await kernel.read(ino, 0, size)).toString()
      if (fs.names.lookup(place) !== ino || this.#state(index, ino) !== before) continue
      const gone = act(text.match(CHUNK) ?? [], ino)
      for (const id of gone) this.#gone.add(id)
      this.#log.push(`  ${gone.join('')} gone from ${place.name}, inode ${ino}`)
      return
    }
    throw new Error('it changes all the time')
  }

  /** All that decides what a file shows. */
  #state(index: number, ino: number): string {
    const { plane, index: rows } = this.drive.at(index).fs.volume.parts
    const stat = Buffer.alloc(STAT_BYTES)
    plane.getInode(ino, stat)
    return `${stat.toString('hex')} ${rows.node(ino)?.baseEpoch}`
  }

  #fresh(): string {
    return `[${String(this.#next++).padStart(6, '0')}]`
  }
}

function bytesOf(id: string): Buffer {
  return Buffer.from(id.padEnd(CHUNK_BYTES, '.'))
}
