/**
 * The thread that holds the Corestore: opening, hashing, encrypting and compacting happen here, so
 * that they never stall the thread that answers the kernel (measured: 118 MB/s of appends beside a
 * main thread that is never late by more than 5 ms).
 */
import { parentPort, workerData, type MessagePort } from 'node:worker_threads'
import { FsError } from '../base/errors.js'
import { noFault, type FaultPoint } from '../base/fault.js'
import { systemClock } from '../base/clock.js'
import { BLOCK_BYTES } from '../format/content-map.js'
import { parseNodeId } from '../format/ids.js'
import { loadNative, type ContentAccess } from '../fuse/native.js'
import { Projection } from '../generation/projection.js'
import { openGeneration, type Generation } from '../generation/generation.js'
import type { BlockRun, ByteRange, FrozenReader, IngestRequest } from '../generation/types.js'
import { createBlockCipher } from '../keys/block-cipher.js'
import { EpochRing } from '../keys/epoch-ring.js'
import { openKeyring } from '../keys/keyring.js'
import { Store } from '../store/store.js'
import type { FetchRequest, FrozenFile } from '../vfs/content-store.js'
import { enlargeBufferPool } from './buffer-pool.js'
import { makeFaultPoint } from './fault-point.js'
import { Invitations } from './invitations.js'
import { packMessage } from './message-bytes.js'
import type { StoreCalls, StoreInfo, StoreReply } from './store-calls.js'
import type { StoreCallName, StoreRequest, StoreWorkerData } from './store-calls.js'
import { forwardingLogger, type StoreEvent } from './store-events.js'
import { StorePeers } from './store-peers.js'

interface OpenParts {
  readonly store: Store
  readonly generation: Generation
  readonly projection: Projection
  readonly peers: StorePeers
  readonly invitations: Invitations
}

/** The open parts, and the calls on them. */
class StoreService {
  /** Of what may take long and can be done another time. */
  #tidying = new AbortController()

  private constructor(
    private readonly open: OpenParts,
    private readonly content: ContentAccess | null,
    private readonly names: Pick<StoreInfo, 'drive' | 'deviceName' | 'role' | 'projection'>
  ) {}

  static async open(
    data: StoreWorkerData,
    tell: (event: StoreEvent) => void
  ): Promise<StoreService> {
    const keyring = await openKeyring(data.keyringPath)
    const ring = new EpochRing(keyring, data.keyringPath)
    const cipher = createBlockCipher(ring)
    const log = forwardingLogger(tell)
    const fault: FaultPoint = data.fault ? makeFaultPoint(data.fault) : noFault
    const store = await Store.open({ directory: data.storeDirectory, cipher })
    try {
      const generation = await openGeneration({ store, keyring, log, fault })
      const projection = await Projection.open(store, keyring)
      const clock = systemClock()
      const { network } = data
      const hasDuties = data.sessionId !== null
      const around = { store, ring, cipher, network, hasDuties, tell, clock, log }
      const peers = await StorePeers.open(around)
      const { group } = peers
      const invitations = new Invitations({ group, ring, network, tell, clock, log })
      const content = data.sessionId === null ? null : loadNative().attach(data.sessionId)
      const drive = keyring.drive.toString('hex')
      const { deviceName, role } = keyring
      const names = { drive, deviceName, role, projection: projection.key }
      const open = { store, generation, projection, peers, invitations }
      return new StoreService(open, content, names)
    } catch (error) {
      await store.close()
      throw error
    }
  }

  readonly calls: {
    readonly [K in StoreCallName]: (
      ...args: StoreCalls[K]['args']
    ) => Promise<StoreCalls[K]['result']>
  } = {
    info: async () => ({
      ...this.open.generation.info(),
      ...this.names,
      known: this.open.peers.known()
    }),
    peers: async () => this.open.peers.network.peers(),
    followed: async () => this.open.peers.network.followed(),
    listForeign: async (generation, parent, name) =>
      this.open.peers.network.list(generation, parent, name && Buffer.from(name)),
    readForeign: async (generation, cursor) => this.open.peers.network.read(generation, cursor),
    fetch: async (request) => this.#fetch(request),
    ingest: async (files) => {
      const content = this.#mounted()
      return this.open.generation.ingest(files.map((file) => ingestRequest(file, content)))
    },
    commit: async (batch) => this.open.generation.commit(batch),
    barrier: async () => {
      await this.open.generation.barrier()
      return null
    },
    records: async (ids) => {
      const { generation } = this.open
      return Promise.all(ids.map(async (id) => ({ id, record: await generation.getNode(id) })))
    },
    coldBlocks: async (map, fileBlock, count) =>
      this.open.generation.coldBlocks(map, { fileBlock, count }),
    runsOf: async (map) => this.open.generation.runsOf(map),
    clear: async (runs) => {
      await this.open.generation.clear(runs)
      return null
    },
    sweepRecords: async (keepFrom) => {
      const { signal } = this.#tidying
      try {
        return await this.open.generation.sweepRecords({ keepFrom, signal })
      } catch (error) {
        if (signal.aborted) return 0
        throw error
      }
    },
    stopTidying: () => {
      this.#tidying.abort()
      this.#tidying = new AbortController()
      return Promise.resolve(null)
    },
    project: async (changes, below) => {
      if (below) await this.open.projection.removeBelow(below, this.#tidying.signal)
      if (changes.length > 0) await this.open.projection.update(changes)
      return null
    },
    compact: async (minBytes) => this.open.generation.compact({ minBytes }),
    space: async () => this.open.generation.space(),
    scan: async (gt, limit) => {
      const found = []
      const options = gt === null ? { limit } : { gt: parseNodeId(gt), limit }
      for await (const entry of this.open.generation.scanNodes(options)) found.push(entry)
      return found
    },
    seen: async () => this.open.generation.seen(),
    reclaimOrphans: async (knownLength, used) =>
      this.open.generation.reclaimOrphans(knownLength, (block) => isIn(used, block)),
    invite: async (request) => this.open.invitations.open(request),
    inviteAnswered: async (code) => this.open.invitations.answered(code),
    inviteConfirm: async (code, digits) => this.open.invitations.confirm(code, digits),
    inviteCancel: (code) => {
      this.open.invitations.cancel(code)
      return Promise.resolve(null)
    },
    close: async () => {
      await this.open.invitations.close()
      await this.open.peers.close()
      await this.open.projection.close()
      await this.open.generation.close()
      await this.open.store.close()
      return null
    }
  }

  #mounted(): ContentAccess {
    if (!this.content) throw new FsError('EINVAL', 'the store was opened without a mount')
    return this.content
  }

  /** Reads blocks and puts them into the file's local file; holes as zeros. */
  async #fetch(request: FetchRequest): Promise<boolean> {
    const { ino, map, baseEpoch, fileBlock, count } = request
    const content = this.#mounted()
    const blocks = await this.open.generation.read(map, fileBlock, count)
    for (const [i, block] of blocks.entries()) {
      const bytes = padded(block)
      const fileOffset = (fileBlock + i) * BLOCK_BYTES
      if (!content.fill(ino, fileOffset, bytes, BLOCK_BYTES, baseEpoch)) return false
    }
    return true
  }
}

const ZEROS = Buffer.alloc(BLOCK_BYTES)

/** A block of full length: what is beyond its end reads as zeros. */
function padded(block: Uint8Array | null): Uint8Array {
  if (!block) return ZEROS
  if (block.length === BLOCK_BYTES) return block
  const bytes = Buffer.alloc(BLOCK_BYTES)
  bytes.set(block)
  return bytes
}

function isIn(runs: readonly BlockRun[], block: number): boolean {
  return runs.some((run) => block >= run.block && block < run.block + run.count)
}

function ingestRequest(file: FrozenFile, content: ContentAccess): IngestRequest {
  const { ino, base, baseEnd, size } = file
  const ranges: ByteRange[] = []
  for (let i = 0; i < file.ranges.length; i += 2) {
    ranges.push({ start: file.ranges[i] ?? 0, end: file.ranges[i + 1] ?? 0 })
  }
  const frozen: FrozenReader = {
    ranges,
    read: (fileOffset, buffer) => content.readFrozen(ino, fileOffset, buffer),
    nextData: (fileOffset) => content.nextFrozenData(ino, fileOffset)
  }
  return { base, baseEnd, size, frozen }
}

function errorReply(id: number, error: unknown): StoreReply {
  const code = error instanceof Error && 'code' in error ? String(error.code) : 'EIO'
  return { id, error: { code, message: error instanceof Error ? error.message : String(error) } }
}

async function call(service: StoreService, request: StoreRequest): Promise<unknown> {
  const run: (...args: never[]) => Promise<unknown> = service.calls[request.name]
  return Reflect.apply(run, null, request.args)
}

async function main(port: MessagePort, data: StoreWorkerData): Promise<void> {
  const tell = (event: StoreEvent): void => {
    port.postMessage({ event } satisfies StoreReply)
  }
  const service = await StoreService.open(data, tell).catch((error: unknown) => {
    port.postMessage(errorReply(0, error))
    return null
  })
  if (!service) return
  const serve = async (request: StoreRequest): Promise<void> => {
    try {
      const result = await call(service, request)
      const { message, transfer } = packMessage({ id: request.id, result } satisfies StoreReply)
      port.postMessage(message, transfer)
      if (request.name === 'close') port.close()
    } catch (error) {
      port.postMessage(errorReply(request.id, error))
    }
  }
  port.on('message', (request: StoreRequest) => void serve(request))
  port.postMessage({ id: 0, opened: await service.calls.info() } satisfies StoreReply)
}

enlargeBufferPool()
if (parentPort) await main(parentPort, workerData)
