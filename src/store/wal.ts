/**
 * The WAL barrier. RocksDB writes its log with write(2) before it acknowledges and is never asked
 * to sync it (the binding can not), so a process crash loses nothing and a power loss may lose the
 * tail. The barrier makes it durable: fdatasync of every live log file that grew since the last
 * time, and fsync of the directory when there is a new one.
 *
 * All live logs, not only the newest: after a switch of memtables the previous log holds what is
 * not yet in a table file, and recovery stops at the first gap.
 */
import { type FileHandle, open, readdir } from 'node:fs/promises'
import { join } from 'node:path'

interface Log {
  readonly handle: FileHandle
  syncedBytes: number
}

/** See the file's head. */
export class WalBarrier {
  readonly #directory: string
  readonly #logs = new Map<string, Log>()
  /** The round that is running; what was written before it began is not certain to be in it. */
  #running: Promise<void> | null = null
  /** The round that begins when the running one ends; shared by all who ask meanwhile. */
  #next: Promise<void> | null = null

  /** @param directory RocksDB's, where its `*.log` files are */
  constructor(directory: string) {
    this.#directory = directory
  }

  /** Resolves when all that was written before the call survives power loss. Calls share rounds. */
  sync(): Promise<void> {
    if (this.#running === null) return this.#start()
    this.#next ??= this.#running.then(
      () => this.#startNext(),
      () => this.#startNext()
    )
    return this.#next
  }

  /** Closes the files. Not durable by itself. */
  async close(): Promise<void> {
    await this.#running?.catch(() => undefined)
    for (const { handle } of this.#logs.values()) await handle.close()
    this.#logs.clear()
  }

  #startNext(): Promise<void> {
    this.#next = null
    return this.#start()
  }

  #start(): Promise<void> {
    const round = this.#round().finally(() => {
      this.#running = null
    })
    this.#running = round
    return round
  }

  async #round(): Promise<void> {
    const names = (await readdir(this.#directory)).filter((name) => name.endsWith('.log'))
    await this.#forget(names)
    let isNew = false
    for (const name of names) {
      if (!this.#logs.has(name)) {
        const handle = await openIfThere(join(this.#directory, name))
        // Gone already: its content is in table files, which RocksDB has synced.
        if (handle === null) continue
        this.#logs.set(name, { handle, syncedBytes: -1 })
        isNew = true
      }
    }
    for (const log of this.#logs.values()) {
      const { size } = await log.handle.stat()
      if (size === log.syncedBytes) continue
      await log.handle.datasync()
      log.syncedBytes = size
    }
    if (isNew) await syncDirectory(this.#directory)
  }

  async #forget(names: readonly string[]): Promise<void> {
    for (const [name, { handle }] of this.#logs) {
      if (names.includes(name)) continue
      this.#logs.delete(name)
      await handle.close()
    }
  }
}

async function openIfThere(path: string): Promise<FileHandle | null> {
  try {
    return await open(path, 'r')
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return null
    throw error
  }
}

async function syncDirectory(path: string): Promise<void> {
  const handle = await open(path, 'r')
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}
