/** The main thread's side of the store's thread: calls as promises, errors as FsErrors. */
import { Worker } from 'node:worker_threads'
import { FsError, isErrnoName } from '../base/errors.js'
import type { ContentStore } from '../vfs/content-store.js'
import { packMessage } from './message-bytes.js'
import type { StoreCallName, StoreCalls, StoreInfo } from './store-calls.js'
import type { StoreReply, StoreWorkerData } from './store-calls.js'
import type { StoreEvent } from './store-events.js'

interface Pending {
  readonly resolve: (result: unknown) => void
  readonly reject: (error: unknown) => void
}

/** Calls on their way, at most. */
const CALL_LIMIT = 4096

/** An open store thread. */
export class StoreClient implements ContentStore {
  readonly #worker: Worker
  readonly #pending = new Map<number, Pending>()
  #nextId = 1
  #dead: FsError | null = null
  #opened: ((reply: StoreReply) => void) | null = null
  /** News that came before anybody listened. */
  #early: StoreEvent[] | null = []
  #hear: (event: StoreEvent) => void = () => undefined

  private constructor(data: StoreWorkerData) {
    this.#worker = new Worker(new URL('store-worker.js', import.meta.url), { workerData: data })
    this.#worker.on('message', (reply: StoreReply) => this.#answer(reply))
    this.#worker.on('error', (error: unknown) => this.#fail(error))
    this.#worker.on('exit', () => this.#fail(new Error('the store thread has ended')))
  }

  /**
   * Starts the thread; resolves when the generation is open.
   * @throws {FsError} as opening keyring, store and generation do
   */
  static async open(
    data: StoreWorkerData
  ): Promise<{ readonly client: StoreClient; readonly info: StoreInfo }> {
    const client = new StoreClient(data)
    const reply = await new Promise<StoreReply>((resolve) => (client.#opened = resolve))
    if ('opened' in reply) return { client, info: reply.opened }
    await client.#worker.terminate()
    throw errorOf(reply)
  }

  /** Sets who is told of news; what has come before is told at once. */
  listen(hear: (event: StoreEvent) => void): void {
    this.#hear = hear
    for (const event of this.#early ?? []) hear(event)
    this.#early = null
  }

  /** Asks the thread for one thing. */
  call<K extends StoreCallName>(
    name: K,
    ...args: StoreCalls[K]['args']
  ): Promise<StoreCalls[K]['result']> {
    if (this.#dead) return Promise.reject(this.#dead)
    if (this.#pending.size >= CALL_LIMIT) return Promise.reject(new FsError('EAGAIN'))
    const id = this.#nextId++
    return new Promise((resolve, reject) => {
      const settle = (result: unknown): void => {
        if (isResultOf(name, result)) resolve(result)
      }
      this.#pending.set(id, { resolve: settle, reject })
      const { message, transfer } = packMessage({ id, name, args })
      this.#worker.postMessage(message, transfer)
    })
  }

  fetch: ContentStore['fetch'] = async (request, signal) => {
    const answer = this.call('fetch', request)
    if (!signal) return answer
    return Promise.race([answer, aborted(signal)])
  }
  ingest: ContentStore['ingest'] = async (files) => this.call('ingest', files)
  commit: ContentStore['commit'] = async (batch) => this.call('commit', batch)
  barrier: ContentStore['barrier'] = async () => {
    await this.call('barrier')
  }
  info: ContentStore['info'] = async () => this.call('info')
  records: ContentStore['records'] = async (ids) => this.call('records', ids)
  coldBlocks: ContentStore['coldBlocks'] = async (map, fileBlock, count) =>
    this.call('coldBlocks', map, fileBlock, count)
  runsOf: ContentStore['runsOf'] = async (map) => this.call('runsOf', map)
  clear: ContentStore['clear'] = async (runs) => {
    await this.call('clear', runs)
  }
  sweepRecords: ContentStore['sweepRecords'] = async (keepFrom) =>
    this.call('sweepRecords', keepFrom)
  stopTidying: ContentStore['stopTidying'] = async () => {
    await this.call('stopTidying')
  }
  project: ContentStore['project'] = async (changes, below) => this.call('project', changes, below)
  compact: ContentStore['compact'] = async (minBytes) => this.call('compact', minBytes)
  space: ContentStore['space'] = async () => this.call('space')

  /** Closes generation and store, ends the thread. Runs twice harmlessly. */
  async close(): Promise<void> {
    if (this.#dead) return
    await this.call('close')
    this.#dead = new FsError('EBADF', 'the store is closed')
    await this.#worker.terminate()
  }

  #answer(reply: StoreReply): void {
    if ('event' in reply) {
      if (this.#early) this.#early.push(reply.event)
      else this.#hear(reply.event)
      return
    }
    if (reply.id === 0) {
      this.#opened?.(reply)
      this.#opened = null
      return
    }
    const pending = this.#pending.get(reply.id)
    this.#pending.delete(reply.id)
    if (!pending) return
    if ('result' in reply) pending.resolve(reply.result)
    else pending.reject(errorOf(reply))
  }

  #fail(error: unknown): void {
    this.#dead ??= new FsError('EIO', 'the store thread has failed', { cause: error })
    this.#opened?.({ id: 0, error: { code: 'EIO', message: String(error) } })
    this.#opened = null
    for (const pending of this.#pending.values()) pending.reject(this.#dead)
    this.#pending.clear()
  }
}

/** The other thread is typed by the same table; what it answers is what the table says. */
function isResultOf<K extends StoreCallName>(
  name: K,
  result: unknown
): result is StoreCalls[K]['result'] {
  return name.length > 0 && result !== undefined
}

function errorOf(reply: StoreReply): Error {
  if (!('error' in reply)) return new FsError('EIO')
  const { code, message } = reply.error
  return new FsError(isErrnoName(code) ? code : 'EIO', message)
}

function aborted(signal: AbortSignal): Promise<never> {
  return new Promise((_resolve, reject) => {
    signal.addEventListener(
      'abort',
      () => reject(new FsError('ETIMEDOUT', 'the blocks did not come in time')),
      { once: true }
    )
  })
}
