/**
 * The thread that reads attached drives. What strangers have written is parsed and verified here,
 * apart from the person's own store and from the thread that answers the kernel: the worst that a
 * hostile drive can do is to end this thread, which is started again.
 */
import { rm } from 'node:fs/promises'
import { parentPort, workerData, type MessagePort } from 'node:worker_threads'
import { AttachedDrive, type PeerSearch } from '../attach/attached-drive.js'
import { FsError } from '../base/errors.js'
import { Visitor } from '../swarm/visitor.js'
import type { AttachCallName, AttachCalls, AttachReply } from './attach-calls.js'
import type { AttachRequest, AttachWorkerData } from './attach-calls.js'
import { enlargeBufferPool } from './buffer-pool.js'
import { packMessage } from './message-bytes.js'

/** The drives that are open, and the calls on them. */
class AttachService {
  readonly #drives = new Map<number, Promise<AttachedDrive>>()

  constructor(
    private readonly data: AttachWorkerData,
    private readonly tell: (news: AttachReply) => void
  ) {}

  readonly calls: {
    readonly [K in AttachCallName]: (
      ...args: AttachCalls[K]['args']
    ) => Promise<AttachCalls[K]['result']>
  } = {
    open: async (drive, directory, key) => {
      const opened = this.#open(drive, directory, Buffer.from(key, 'hex'))
      this.#drives.set(drive, opened)
      await opened
      return null
    },
    close: async (drive, directory, remove) => {
      const opened = this.#drives.get(drive)
      this.#drives.delete(drive)
      // One that could not be opened has nothing to be closed.
      await opened?.then(
        (each) => each.close(),
        () => undefined
      )
      if (remove) await rm(directory, { recursive: true, force: true })
      return null
    },
    state: async (drive) => (await this.#drive(drive)).state,
    list: async (drive, path) => (await this.#drive(drive)).list(path),
    lookup: async (drive, path) => (await this.#drive(drive)).lookup(path),
    read: async (drive, blob, fileOffset, length) =>
      (await this.#drive(drive)).read(blob, { fileOffset, length })
  }

  #drive(drive: number): Promise<AttachedDrive> {
    const opened = this.#drives.get(drive)
    if (!opened) throw new FsError('ESTALE', 'the drive is not attached any more')
    return opened
  }

  #open(drive: number, directory: string, key: Buffer): Promise<AttachedDrive> {
    const { network } = this.data
    const search = (
      topic: Buffer,
      onConnection: ConstructorParameters<typeof Visitor>[0]['onConnection']
    ): PeerSearch => new Visitor({ topic, network: network ?? NO_NODES, onConnection })
    return AttachedDrive.open({
      directory,
      key,
      keepBytes: this.data.keepBytes,
      search: network === null ? null : search,
      onChange: (change) => this.tell({ drive, change })
    })
  }
}

const NO_NODES = { bootstrap: [] }

async function call(service: AttachService, request: AttachRequest): Promise<unknown> {
  const run: (...args: never[]) => Promise<unknown> = service.calls[request.name]
  return Reflect.apply(run, null, request.args)
}

function main(port: MessagePort, data: AttachWorkerData): void {
  const service = new AttachService(data, (news) => port.postMessage(news))
  const serve = async (request: AttachRequest): Promise<void> => {
    const { id } = request
    try {
      const result = await call(service, request)
      const { message, transfer } = packMessage({ id, result } satisfies AttachReply)
      port.postMessage(message, transfer)
    } catch (error) {
      const code = error instanceof Error && 'code' in error ? String(error.code) : 'EIO'
      const message = error instanceof Error ? error.message : String(error)
      port.postMessage({ id, error: { code, message } } satisfies AttachReply)
    }
  }
  port.on('message', (request: AttachRequest) => void serve(request))
}

enlargeBufferPool()
if (parentPort) main(parentPort, workerData)
