/**
 * The main thread's side of the thread that reads attached drives. It runs while any is attached;
 * when it dies, what waits fails, and it is started again with the same drives.
 */
import { Worker } from 'node:worker_threads'
import type { ForeignChange, ForeignDrives, ForeignState } from '../attach/types.js'
import { backoffMs } from '../base/backoff.js'
import { FsError, isErrnoName } from '../base/errors.js'
import type { Logger } from '../base/log.js'
import type { AttachCallName, AttachCalls, AttachReply, AttachWorkerData } from './attach-calls.js'
import { packMessage } from './message-bytes.js'

const RESTART = { firstMs: 500, maxMs: 60_000 }
/** A drive that makes the thread need more than this is not worth it. */
const HEAP_MIB = 512
/** How long a close may take. */
const CLOSE_MS = 5000

interface Pending {
  readonly resolve: (result: unknown) => void
  readonly reject: (error: unknown) => void
}

interface OpenDrive {
  readonly directory: string
  /** Hexadecimal. */
  readonly key: string
}

/** What a client is made of. */
export interface AttachClientOptions extends AttachWorkerData {
  readonly log: Logger
  readonly onChange: (drive: number, change: ForeignChange) => void
}

/** See the file's head. */
export class AttachClient implements ForeignDrives {
  readonly #drives = new Map<number, OpenDrive>()
  readonly #pending = new Map<number, Pending>()
  #worker: Worker | null = null
  #restart: NodeJS.Timeout | null = null
  #failures = 0
  #nextId = 1
  #isClosed = false

  constructor(private readonly options: AttachClientOptions) {}

  /** Opens a drive; calls on it may be made at once, and fail if it can not be opened. */
  open(drive: number, { directory, key }: OpenDrive): void {
    this.#drives.set(drive, { directory, key })
    if (this.#worker === null && this.#restart === null) this.#start()
    else this.#open(drive, { directory, key })
  }

  /** Closes a drive and removes what was kept of it. */
  async remove(drive: number): Promise<void> {
    const opened = this.#drives.get(drive)
    if (!opened) return
    await this.#call('close', drive, opened.directory, true)
    this.#drives.delete(drive)
    if (this.#drives.size === 0) await this.#stop()
  }

  async state(drive: number): Promise<ForeignState> {
    return this.#call('state', drive)
  }
  list: ForeignDrives['list'] = async (drive, path) => this.#call('list', drive, path)
  lookup: ForeignDrives['lookup'] = async (drive, path) => this.#call('lookup', drive, path)
  read: ForeignDrives['read'] = async (drive, blob, { fileOffset, length }) =>
    this.#call('read', drive, blob, fileOffset, length)

  /** Closes all drives and ends the thread. */
  async close(): Promise<void> {
    this.#isClosed = true
    if (this.#restart !== null) clearTimeout(this.#restart)
    if (this.#worker !== null) {
      const closing = [...this.#drives].map(async ([drive, { directory }]) => {
        await this.#call('close', drive, directory, false)
      })
      let timer: NodeJS.Timeout | undefined
      const late = new Promise((resolve) => (timer = setTimeout(resolve, CLOSE_MS)))
      await Promise.race([Promise.allSettled(closing), late])
      clearTimeout(timer)
    }
    await this.#stop()
  }

  #start(): void {
    this.#restart = null
    const { network, keepBytes } = this.options
    const worker = new Worker(new URL('attach-worker.js', import.meta.url), {
      workerData: { network, keepBytes } satisfies AttachWorkerData,
      resourceLimits: { maxOldGenerationSizeMb: HEAP_MIB }
    })
    this.#worker = worker
    worker.on('message', (reply: AttachReply) => this.#hear(reply))
    worker.on('error', (error: unknown) => this.#fail(worker, error))
    worker.on('exit', () => this.#fail(worker, new Error('it has ended')))
    for (const [drive, opened] of this.#drives) this.#open(drive, opened)
  }

  #open(drive: number, { directory, key }: OpenDrive): void {
    this.#call('open', drive, directory, key).catch((error: unknown) => {
      this.options.log.warn({ err: error, drive: key }, 'an attached drive can not be opened')
    })
  }

  async #stop(): Promise<void> {
    const worker = this.#worker
    this.#worker = null
    await worker?.terminate()
    this.#rejectAll(new FsError('ECANCELED', 'attached drives are closed'))
  }

  #call<K extends AttachCallName>(
    name: K,
    ...args: AttachCalls[K]['args']
  ): Promise<AttachCalls[K]['result']> {
    const worker = this.#worker
    if (worker === null) {
      const what = 'attached drives can not be read at the moment'
      return Promise.reject(new FsError('EIO', what))
    }
    const id = this.#nextId++
    return new Promise((resolve, reject) => {
      const settle = (result: unknown): void => {
        if (isResultOf(name, result)) resolve(result)
      }
      this.#pending.set(id, { resolve: settle, reject })
      const { message, transfer } = packMessage({ id, name, args })
      worker.postMessage(message, transfer)
    })
  }

  #hear(reply: AttachReply): void {
    if ('change' in reply) {
      this.options.onChange(reply.drive, reply.change)
      return
    }
    const pending = this.#pending.get(reply.id)
    this.#pending.delete(reply.id)
    if ('result' in reply) {
      this.#failures = 0
      pending?.resolve(reply.result)
      return
    }
    const { code, message } = reply.error
    pending?.reject(new FsError(isErrnoName(code) ? code : 'EIO', message))
  }

  #fail(worker: Worker, error: unknown): void {
    if (this.#worker !== worker) return
    this.#worker = null
    this.options.log.error({ err: error }, 'the thread that reads attached drives has failed')
    this.#rejectAll(new FsError('EIO', 'reading an attached drive has failed', { cause: error }))
    if (this.#isClosed || this.#drives.size === 0) return
    this.#restart = setTimeout(() => this.#start(), backoffMs(++this.#failures, RESTART))
  }

  #rejectAll(error: FsError): void {
    for (const pending of this.#pending.values()) pending.reject(error)
    this.#pending.clear()
  }
}

/** The other thread is typed by the same table; what it answers is what the table says. */
function isResultOf<K extends AttachCallName>(
  name: K,
  result: unknown
): result is AttachCalls[K]['result'] {
  return name.length > 0 && result !== undefined
}
