/** The operator's end of the control socket. */
import { connect, type Socket } from 'node:net'
import { withDeadline } from '../base/deadline.js'
import { Failure, fromFailureRecord } from './failure.js'
import type { ArgumentsOf, OperationName, Progress, ResultOf } from './operations.js'
import { encodeLine, LineReader, MAX_REPLY_BYTES, type Reply } from './protocol.js'
import { openSocketPath } from './socket-path.js'

const CONNECT_DEADLINE_MS = 5000

/** How a call is made. */
export interface CallOptions {
  readonly home: string
  /** Milliseconds until the asker gives up. */
  readonly deadlineMs: number
  readonly signal?: AbortSignal
  readonly onProgress?: (progress: Progress) => void
}

/**
 * Asks the daemon of a home for one operation.
 * @returns what the daemon answered; it is our own program, so its shape is trusted
 * @throws {Failure} `not-running` when no daemon answers, `timeout` at the deadline, and whatever
 * the daemon failed with
 */
export async function callDaemon<K extends OperationName>(
  op: K,
  args: ArgumentsOf<K>,
  options: CallOptions
): Promise<ResultOf<K>> {
  const { home, deadlineMs, signal, onProgress } = options
  const socket = await open(home)
  try {
    return await withDeadline({ ms: deadlineMs, what: `'${op}'`, signal }, async () => {
      socket.write(encodeLine({ id: 1, op, args }))
      return receive<ResultOf<K>>(socket, onProgress)
    })
  } finally {
    socket.destroy()
  }
}

async function open(home: string): Promise<Socket> {
  using path = openSocketPath(home)
  return withDeadline({ ms: CONNECT_DEADLINE_MS, what: 'connecting to the daemon' }, async () => {
    const socket = connect(path.path)
    return new Promise<Socket>((resolve, reject) => {
      socket.once('connect', () => resolve(socket))
      socket.once('error', (error) => {
        reject(
          new Failure('not-running', "pcfs is not running; 'pcfs mount' starts it", {
            code: 'ECONNREFUSED',
            cause: error
          })
        )
      })
    })
  })
}

async function receive<T>(
  socket: Socket,
  onProgress: ((progress: Progress) => void) | undefined
): Promise<T> {
  const reader = new LineReader<Reply<T>>(MAX_REPLY_BYTES)
  return new Promise((resolve, reject) => {
    socket.on('data', (chunk) => {
      try {
        for (const message of reader.push(chunk)) {
          if (message.progress !== undefined) onProgress?.(message.progress)
          else if (message.ok !== undefined) resolve(message.ok)
          else reject(fromFailureRecord(message.error))
        }
      } catch (error) {
        reject(error)
      }
    })
    const lost = (): void => {
      reject(
        new Failure('not-running', 'the daemon ended before it answered', { code: 'ECONNRESET' })
      )
    }
    socket.on('error', lost)
    socket.on('close', lost)
  })
}
