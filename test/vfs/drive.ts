/**
 * Several devices of one drive, each a test volume with a home and a generation of its own, and
 * what carries their records and contents from one to another: here, function calls.
 */
import assert from 'node:assert'
import { openSync, readSync, closeSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { BLOCK_BYTES, EMPTY_MAP, lookup, replaceBlocks } from '../../src/format/content-map.js'
import { parseNodeId, toGenerationNumber } from '../../src/format/ids.js'
import type { GenerationNumber, NodeId } from '../../src/format/ids.js'
import { decodeMap, encodeMap } from '../../src/format/map-codec.js'
import { mergeRecord } from '../../src/format/merge.js'
import type { NodeRecord } from '../../src/format/record.js'
import { decodeRecord } from '../../src/format/record-codec.js'
import { materialise } from '../../src/format/tree.js'
import { ROOT_ID } from '../../src/format/ids.js'
import { Row } from '../../src/union/row.js'
import type { ContentStore, FetchRequest } from '../../src/vfs/content-store.js'
import type { Belonging } from '../../src/vfs/horizon.js'
import type { TakenIn } from '../../src/vfs/remote.js'
import { Posix, type Seen } from './posix.js'
import { TestVolume, type TestVolumeOptions } from './test-volume.js'

/** Records asked for at once. */
const PAGE = 5000
/** Inode numbers that no node has, for blocks that are read on behalf of others. */
const FOREIGN_INO = 4094 * 2 ** 41
const RECORD_BYTES = 112

/** Names with what they show: directories as trees, files as text. */
export interface Shown {
  readonly [name: string]: Shown | string
}

/** As a volume's. */
export interface TestDriveOptions extends Omit<TestVolumeOptions, 'wrapStore' | 'isOther'> {
  /** Stands between the filesystem of a device and its store. */
  readonly wrapStore?: (store: ContentStore, device: number) => ContentStore
}

/** See the file's head. */
export class TestDrive {
  readonly volumes: TestVolume[] = []
  /** Generations that are merged and no longer current. */
  readonly sealed = new Set<GenerationNumber>()
  /** Generations that are no longer merged. */
  readonly retired = new Set<GenerationNumber>()
  readonly #generations: GenerationNumber[] = []
  readonly #blobs = new Map<string, number>()
  readonly #blocks = new Map<string, Buffer>()
  /** What each pair has shipped: records as hex by id. */
  readonly #shipped = new Map<string, Map<string, string>>()
  /** All records that any device ever shipped, merged: what nothing is ever forgotten of. */
  readonly #everything = new Map<NodeId, NodeRecord>()
  #foreign = FOREIGN_INO

  /** So many devices, each empty. */
  static async create(count: number, options: TestDriveOptions = {}): Promise<TestDrive> {
    const drive = new TestDrive()
    for (let i = 0; i < count; i++) {
      const volume = await TestVolume.create({
        ...options,
        isOther: true,
        belonging: () => drive.belonging(),
        wrapStore: (store) => drive.#wrap(i, options.wrapStore?.(store, i) ?? store)
      })
      const { generation, blobsKey } = await volume.store.call('info')
      drive.volumes.push(volume)
      drive.#generations.push(toGenerationNumber(generation))
      drive.#blobs.set(Buffer.from(blobsKey).toString('hex'), i)
      volume.fs.remote.share()
    }
    return drive
  }

  /** Whose word counts. */
  belonging(): Belonging {
    const merged = this.#generations.filter((generation) => !this.retired.has(generation))
    return {
      current: merged.filter((generation) => !this.sealed.has(generation)),
      sealed: merged
        .filter((generation) => this.sealed.has(generation))
        .map((generation) => ({ generation, length: 1 }))
    }
  }

  /** The generation of the device with a number. */
  generationOf(index: number): GenerationNumber {
    const generation = this.#generations[index]
    assert(generation !== undefined)
    return generation
  }

  /** The device with a number. */
  at(index: number): TestVolume {
    const volume = this.volumes[index]
    assert(volume, `device ${index}`)
    return volume
  }

  posix(index: number): Posix {
    return new Posix(this.at(index).kernel, 1)
  }

  /** Ships what one device has committed, and another has not heard, in batches of this size. */
  async ship(from: number, to: number, batchSize = Infinity): Promise<TakenIn[]> {
    await this.at(from).fs.ingester.flush()
    return this.shipStored(from, to, batchSize)
  }

  /** As `ship`, of what is in the store by now. */
  async shipStored(from: number, to: number, batchSize = Infinity): Promise<TakenIn[]> {
    const source = this.at(from)
    const generation = this.generationOf(from)
    const { dbLength } = await source.store.call('info')
    const seen = await source.store.call('seen')
    const pair = `${from}>${to}`
    const shipped = this.#shipped.get(pair) ?? new Map<string, string>()
    this.#shipped.set(pair, shipped)
    const news: { id: NodeId; record: Uint8Array }[] = []
    for await (const [id, record] of recordsOf(source)) {
      merge(this.#everything, id, record)
      const hex = Buffer.from(record).toString('hex')
      if (shipped.get(id) === hex) continue
      shipped.set(id, hex)
      news.push({ id, record })
    }
    const taken: TakenIn[] = []
    const size = Math.min(batchSize, PAGE)
    for (let at = 0; at < Math.max(1, news.length); at += size) {
      const batch = news.slice(at, at + size)
      const isLast = at + size >= news.length
      const cursor = { version: dbLength, scanned: isLast ? null : ROOT_ID }
      taken.push(this.at(to).fs.remote.takeIn(generation, batch, cursor, isLast ? seen : []))
    }
    return taken
  }

  /** A device hears everything again from the beginning. */
  forgetShipped(to: number): void {
    for (const pair of this.#shipped.keys()) if (pair.endsWith(`>${to}`)) this.#shipped.delete(pair)
  }

  /** Until all have heard all. */
  async exchange(): Promise<void> {
    for (let round = 0; round < 2; round++) {
      for (const from of this.volumes.keys()) {
        for (const to of this.volumes.keys()) if (from !== to) await this.ship(from, to)
      }
      for (const volume of this.volumes) await volume.fs.ingester.flush()
    }
  }

  /** All tell the others what they have merged, hear it of the others, and let go what is old. */
  async acknowledge(): Promise<void> {
    for (const volume of this.volumes) await volume.fs.retention.acknowledge()
    await this.exchange()
    for (const volume of this.volumes) {
      await volume.fs.retention.acknowledge()
      await volume.fs.retention.history.tend()
    }
  }

  /** Until nothing is held any more: no file is open, and the kernels forget. */
  async settle(): Promise<void> {
    for (let tries = 0; tries < 100; tries++) {
      for (const { kernel } of this.volumes) kernel.forgetAll()
      if (this.volumes.every(({ fs }) => fs.remote.heldCount === 0)) return
      await sleep(20)
    }
    throw new Error('something is held for ever')
  }

  /** What a device shows, from a fresh look. */
  async look(index: number): Promise<Shown> {
    return shownOf(await this.posix(index).look())
  }

  /** What the records that all devices have by now make together. */
  async materialised(): Promise<Shown> {
    const records = new Map<NodeId, NodeRecord>()
    for (const volume of this.volumes) {
      await volume.fs.ingester.flush()
      for await (const [id, bytes] of recordsOf(volume)) merge(records, id, bytes)
    }
    return treeOf(records)
  }

  /** What all records that were ever shipped make, also those that all have forgotten. */
  everything(): Shown {
    return treeOf(this.#everything)
  }

  /** The keys of removed nodes' records, of one device or of all. */
  graves(index: number | null = null): readonly string[] {
    const volumes = index === null ? this.volumes : [this.at(index)]
    return volumes.flatMap(({ fs }) =>
      fs.volume.parts.index.metaRange('grave:').map(({ key }) => key)
    )
  }

  /** How many records a device's bee has. */
  async recordCount(index: number): Promise<number> {
    let count = 0
    for await (const _ of recordsOf(this.at(index))) count++
    return count
  }

  /** The next reads ask the devices that hold the blocks, not a local file or this one. */
  async evict(): Promise<void> {
    for (const volume of this.volumes) await volume.evict()
    this.#blocks.clear()
  }

  async close(): Promise<void> {
    for (const volume of this.volumes) await volume.close()
  }

  /** Serves contents of which other devices hold a part. */
  #wrap(index: number, store: ContentStore): ContentStore {
    return new Proxy(store, {
      get: (target, name) => {
        const value: unknown = Reflect.get(target, name)
        if (name === 'fetch') return (request: FetchRequest) => this.#fetch(index, target, request)
        return typeof value === 'function' ? value.bind(target) : value
      }
    })
  }

  async #fetch(index: number, store: ContentStore, request: FetchRequest): Promise<boolean> {
    const map = decodeMap(Buffer.from(request.map))
    const isOwn = map.cores.every((core) => this.#blobs.get(core.toString('hex')) === index)
    if (isOwn) return store.fetch(request)
    const { ino, baseEpoch, fileBlock, count } = request
    const blocks = new Map<number, Buffer>()
    for (const segment of lookup(map, fileBlock, fileBlock + count)) {
      if (segment.type !== 'run') continue
      for (let i = 0; i < segment.count; i++) {
        const block = await this.#block(segment.core, segment.coreBlock + i)
        blocks.set(segment.fileBlock + i, block)
      }
    }
    const { session } = this.at(index)
    for (let block = fileBlock; block < fileBlock + count; block++) {
      const bytes = blocks.get(block) ?? Buffer.alloc(BLOCK_BYTES)
      if (!session.fill(ino, block * BLOCK_BYTES, bytes, BLOCK_BYTES, baseEpoch)) return false
    }
    return true
  }

  /** One block of a core, read by its owner through an inode of its own. */
  async #block(core: Buffer, coreBlock: number): Promise<Buffer> {
    const key = `${core.toString('hex')}:${coreBlock}`
    const known = this.#blocks.get(key)
    if (known) return known
    const owner = this.at(this.#blobs.get(core.toString('hex')) ?? -1)
    const { files, plane } = owner.fs.volume.parts
    const ino = this.#foreign++
    const size = BLOCK_BYTES
    const row = new Row(Buffer.alloc(RECORD_BYTES + 32)).with({
      ino,
      size,
      baseEnd: size,
      nlink: 1
    })
    plane.putInodes(row.with({ mode: 0o100600, baseEpoch: 1 }).stat, 1)
    files.ensure(ino, size)
    const run = { fileBlock: 0, count: 1, core, coreBlock }
    const map = encodeMap(replaceBlocks(EMPTY_MAP, [run]))
    assert(await owner.store.fetch({ ino, map, baseEpoch: 1, fileBlock: 0, count: 1 }))
    const binding = files.bindingOf(ino)
    const name = readdirSync(owner.home.spool).find((each) => {
      return Number.parseInt(each, 10) === binding?.fileId
    })
    assert(binding && name)
    const bytes = Buffer.alloc(size)
    const fd = openSync(join(owner.home.spool, name), 'r')
    readSync(fd, bytes, 0, size, binding.base)
    closeSync(fd)
    files.release(ino)
    plane.dropInode(ino)
    this.#blocks.set(key, bytes)
    return bytes
  }
}

function merge(records: Map<NodeId, NodeRecord>, id: NodeId, bytes: Uint8Array): void {
  const record = decodeRecord(Buffer.from(bytes))
  const known = records.get(id)
  records.set(id, known ? mergeRecord(known, record) : record)
}

/** The kinds that the tree of these records shows. */
function treeOf(records: ReadonlyMap<NodeId, NodeRecord>): Shown {
  const { dirs } = materialise(records, { deviceName: (number) => number.toString(16) })
  const tree = (dir: NodeId): Shown => {
    const names: Record<string, Shown | string> = {}
    for (const { name, kind, node } of dirs.get(dir) ?? []) {
      names[name.toString()] = kind === 'dir' ? tree(node) : kind
    }
    return names
  }
  return tree(ROOT_ID)
}

/** All records of a device's generation. */
async function* recordsOf(volume: TestVolume): AsyncGenerator<[NodeId, Uint8Array]> {
  for (let gt: string | null = null; ;) {
    const page: Awaited<ReturnType<typeof scan>> = await scan(volume, gt)
    for (const { id, record } of page) if (record) yield [parseNodeId(id), record]
    const last = page.at(-1)
    if (!last) return
    gt = last.id
  }
}

function scan(
  volume: TestVolume,
  gt: string | null
): Promise<readonly { readonly id: string; readonly record: Uint8Array | null }[]> {
  return volume.store.call('scan', gt, PAGE)
}

/** A tree as text. */
export function shownOf(seen: Seen): Shown {
  const names: Record<string, Shown | string> = {}
  for (const [name, child] of [...seen.children].sort(([a], [b]) => (a < b ? -1 : 1))) {
    const isDir = child.data === null && child.target === null
    names[name] = isDir ? shownOf(child) : (child.target ?? child.data?.toString('latin1') ?? '')
  }
  return names
}

/** The kinds of what a tree shows, as `materialised` tells them. */
export function kindsOf(shown: Shown): Shown {
  const entries = Object.entries(shown).map(([name, each]): [string, Shown | string] => {
    return [name, typeof each === 'string' ? 'file' : kindsOf(each)]
  })
  return Object.fromEntries(entries)
}
