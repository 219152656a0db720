/**
 * The operator's door of the daemon: a Unix socket in the home.
 *
 * Invariants: the socket is 0600 in a 0700 directory that is ours; at most `MAX_CONNECTIONS`
 * connections with `MAX_CALLS` calls each; a call ends when its connection does.
 */
import { chmodSync, rmSync } from 'node:fs'
import { createServer, type Server, type Socket } from 'node:net'
import { withDeadline } from '../base/deadline.js'
import type { Logger } from '../base/log.js'
import { Failure, toFailureRecord } from './failure.js'
import {
  isOperation,
  parseArguments,
  type Call,
  type OperationName,
  type Operations,
  type ResultOf
} from './operations.js'
import { encodeLine, LineReader, MAX_REQUEST_BYTES, type Request } from './protocol.js'
import { openSocketPath } from './socket-path.js'

const MAX_CONNECTIONS = 32
const MAX_CALLS = 16
/** No operation may take longer; what can take long reports progress and is asked for again. */
const CALL_DEADLINE_MS = 24 * 3600 * 1000

/** What the server needs. */
export interface ControlServerOptions {
  /** Directory of the socket. */
  readonly home: string
  readonly operations: Operations
  readonly log: Logger
}

/** Listens for operators. The caller holds the home's lock, so a socket that is there is stale. */
export class ControlServer {
  readonly #options: ControlServerOptions
  readonly #server: Server
  readonly #connections = new Set<Socket>()

  private constructor(options: ControlServerOptions) {
    this.#options = options
    this.#server = createServer((socket) => this.#serve(socket))
    this.#server.maxConnections = MAX_CONNECTIONS
  }

  /**
   * Resolves when operators can connect.
   * @throws {Failure} when the home is not ours alone
   * @throws when the socket cannot be made
   */
  static async listen(options: ControlServerOptions): Promise<ControlServer> {
    const control = new ControlServer(options)
    using socket = openSocketPath(options.home)
    rmSync(socket.path, { force: true })
    await new Promise<void>((resolve, reject) => {
      control.#server.once('error', reject)
      control.#server.listen(socket.path, resolve)
    })
    chmodSync(socket.path, 0o600)
    control.#server.on('error', (error) => options.log.warn({ err: error }, 'control socket'))
    return control
  }

  /** Stops listening and gives up the calls that are still running. */
  async close(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()))
    for (const socket of this.#connections) socket.destroySoon()
    await closed
    // Node removes the socket by the name it was bound with, which has gone with its descriptor.
    using socket = openSocketPath(this.#options.home)
    rmSync(socket.path, { force: true })
  }

  #serve(socket: Socket): void {
    this.#connections.add(socket)
    const gone = new AbortController()
    const reader = new LineReader<Request>(MAX_REQUEST_BYTES)
    let calls = 0
    socket.on('close', () => {
      this.#connections.delete(socket)
      gone.abort(new Failure('failed', 'the asker went away', { code: 'ECANCELED' }))
    })
    // A broken connection closes; there is nobody left to tell.
    socket.on('error', () => socket.destroy())
    socket.on('data', (chunk) => {
      try {
        for (const request of reader.push(chunk)) {
          if (++calls > MAX_CALLS) throw new Failure('failed', 'too many calls at once')
          void this.#answer(socket, request, gone.signal).finally(() => calls--)
        }
      } catch (error) {
        socket.end(encodeLine({ id: null, error: toFailureRecord(error) }))
      }
    })
  }

  async #answer(socket: Socket, request: Request, gone: AbortSignal): Promise<void> {
    const { id, op, args } = request
    const send = (message: object): void => {
      if (socket.writable) socket.write(encodeLine({ id, ...message }))
    }
    try {
      if (!isOperation(op)) {
        throw new Failure('usage', `this daemon does not know the operation ${String(op)}`, {
          code: 'ENOSYS'
        })
      }
      const ok = await withDeadline(
        { ms: CALL_DEADLINE_MS, what: op, signal: gone },
        async (signal) => this.#run(op, args, { signal, progress: (p) => send({ progress: p }) })
      )
      send({ ok })
    } catch (error) {
      if (!(error instanceof Failure)) this.#options.log.warn({ op, err: error }, 'operation')
      send({ error: toFailureRecord(error) })
    }
  }

  async #run<K extends OperationName>(op: K, args: unknown, call: Call): Promise<ResultOf<K>> {
    const operations = this.#options.operations
    return operations[op](parseArguments(op, args), call)
  }
}
