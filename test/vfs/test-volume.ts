/**
 * A whole filesystem without a mount: a native session on a socket pair, a real store thread, a
 * home in a temporary folder; and what may happen to it: a crash, a power loss, a remount, a lost
 * index.
 *
 * A crash is simulated by going on with a copy of the home, taken while nothing in this process
 * runs and the store's thread is idle, that is at the very instant that a kill would have struck.
 */
import { execFileSync } from 'node:child_process'
import { existsSync, mkdtempSync, renameSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { noFault, type FaultPoint } from '../../src/base/fault.js'
import { silentLogger, type Logger } from '../../src/base/log.js'
import { Alarms } from '../../src/base/alarms.js'
import type { Clock } from '../../src/base/clock.js'
import { toGenerationNumber } from '../../src/format/ids.js'
import { Dispatcher } from '../../src/fuse/dispatcher.js'
import { loadNative, type Session } from '../../src/fuse/native.js'
import { pathsOf, type HomePaths } from '../../src/daemon/home.js'
import { initHome } from '../../src/daemon/init.js'
import { fillIndex, rebuildIndex } from '../../src/daemon/offline.js'
import { StoreClient } from '../../src/daemon/store-client.js'
import { Index } from '../../src/union/index-store.js'
import type { ContentStore } from '../../src/vfs/content-store.js'
import { Filesystem } from '../../src/vfs/filesystem.js'
import type { Belonging } from '../../src/vfs/horizon.js'
import { TestKernel } from './test-kernel.js'

/** How a test volume differs from a mounted one. */
export interface TestVolumeOptions {
  readonly historyBytes?: number
  readonly historyMs?: number
  readonly cacheBytes?: number
  readonly uid?: number
  /** Added to the monotonic clock; a test may turn it. */
  readonly skew?: { ms: number }
  readonly log?: Logger
  readonly fault?: FaultPoint
  /** An identity, and so a generation, of its own: for one of several devices. */
  readonly isOther?: boolean
  /** Who belongs, for one of several devices. */
  readonly belonging?: () => Belonging
  /** Stands between filesystem and store. */
  readonly wrapStore?: (store: ContentStore) => ContentStore
}

interface Open {
  readonly session: Session
  readonly kernel: TestKernel
  readonly client: StoreClient
  readonly index: Index
  readonly fs: Filesystem
}

let template: Promise<string> | null = null
/** In memory where there is some: a test opens dozens of homes, each with 32 MiB of journal. */
const memory = process.env['PCFS_TEST_TMP'] ?? (existsSync('/dev/shm') ? '/dev/shm' : tmpdir())
const base = mkdtempSync(join(memory, 'pcfs-volume-'))
process.on('exit', () => rmSync(base, { recursive: true, force: true }))
let homes = 0

/** Makes one identity for all volumes of this process: that takes a while. */
async function newHome(): Promise<string> {
  template ??= (async () => {
    const home = join(base, 'template')
    await initHome({ home, deviceName: 'test', phraseFile: null })
    return home
  })()
  const from = await template
  const home = join(base, `home-${++homes}`)
  copyTree(from, home)
  return home
}

/** Makes an identity for one volume. */
async function otherHome(): Promise<string> {
  const home = join(base, `home-${++homes}`)
  await initHome({ home, deviceName: `test ${homes}`, phraseFile: null })
  return home
}

/** Copies a tree, holes as holes. Blocks: nothing else of this thread runs meanwhile. */
function copyTree(from: string, to: string): void {
  execFileSync('cp', ['-a', '--sparse=always', '--reflink=auto', from, to])
}

/** A process that is a background reader in tests. */
export const INDEXER = 4242

/** See the file's head. */
export class TestVolume {
  /** What the volume has raised, over all its lives. */
  readonly alarms = new Alarms()
  #open: Open | null = null
  #boots = 1
  /** Calls of the store under way: a copy is taken only at none. */
  #storeCalls = 0
  #durableCopy: string | null = null

  private constructor(
    private root: string,
    private readonly options: TestVolumeOptions
  ) {}

  /** A new, empty one. */
  static async create(options: TestVolumeOptions = {}): Promise<TestVolume> {
    const volume = new TestVolume(await (options.isOther ? otherHome() : newHome()), options)
    await volume.#start()
    return volume
  }

  get #opened(): Open {
    if (!this.#open) throw new Error('the volume is closed')
    return this.#open
  }

  get fs(): Filesystem {
    return this.#opened.fs
  }
  get kernel(): TestKernel {
    return this.#opened.kernel
  }
  get session(): Session {
    return this.#opened.session
  }
  get store(): StoreClient {
    return this.#opened.client
  }
  get home(): HomePaths {
    return pathsOf(this.root)
  }

  async #start(): Promise<void> {
    const { log = silentLogger, fault = noFault, skew = { ms: 0 } } = this.options
    const native = loadNative()
    const home = pathsOf(this.root)
    const kernel = new TestKernel()
    let dispatcher: Dispatcher | null = null
    const session = native.mount(
      {
        mountpoint: '/',
        fsname: 'test',
        allowOther: false,
        suid: true,
        dev: true,
        syncIntervalMs: 0,
        watchdogMs: 0,
        undoDir: home.spool,
        transportFd: kernel.transportFd
      },
      { onWork: () => dispatcher?.work() }
    )
    const { client, info } = await openStore(home, session.id)
    const index = Index.open(home.index)
    const clock: Clock = {
      nowNs: () => native.nowNs(),
      nowMs: () => Date.now(),
      monotonicMs: () => performance.now() + skew.ms
    }
    if (index.isEmpty && info.dbLength > 0) {
      const { journal } = home
      await fillIndex(index, { store: client, info, journal }, clock, () => undefined)
    }
    dispatcher = new Dispatcher({
      session,
      now: () => native.nowNs(),
      log,
      onEnded: () => undefined
    })
    const uid = this.options.uid ?? 0
    const fs = new Filesystem({
      journalDirectory: home.journal,
      spoolDirectory: home.spool,
      index,
      plane: session,
      store: this.#counted(this.options.wrapStore?.(client) ?? client),
      generation: toGenerationNumber(info.generation),
      ownership: { numericIds: uid === 0, uid, gid: uid },
      clock,
      crc32c: (bytes, seed) => native.crc32c(bytes, seed),
      bootId: `boot-${this.#boots}`,
      salt: 7n,
      history: {
        budgetBytes: this.options.historyBytes ?? 1e12,
        keepRunMs: this.options.historyMs ?? 1e12
      },
      cacheBudgetBytes: this.options.cacheBytes ?? 1e12,
      alarms: this.alarms,
      background: {
        limits: { names: new Set(['indexer']), hourlyBytes: 10 * 65_536 },
        nameOf: (pid) => (pid === INDEXER ? 'indexer' : null)
      },
      log,
      fault,
      ...(this.options.belonging && { belonging: this.options.belonging })
    })
    dispatcher.attach(fs)
    await fs.open()
    dispatcher.serve()
    this.#open = { session, kernel, client, index, fs }
    await kernel.init()
  }

  /** Every call of the store is counted while it is under way. */
  #counted(store: ContentStore): ContentStore {
    return new Proxy(store, {
      get: (target, name) => {
        const value: unknown = Reflect.get(target, name)
        if (typeof value !== 'function') return value
        return async (...args: unknown[]): Promise<unknown> => {
          this.#storeCalls++
          try {
            const answer: unknown = await Reflect.apply(value, target, args)
            return answer
          } finally {
            this.#storeCalls--
          }
        }
      }
    })
  }

  /**
   * A copy of the home as a kill would leave it now. To be called where the store is idle.
   * @param calls that have been answered and whose caller is kept waiting
   */
  copyHome(calls = 0): string {
    if (this.#storeCalls > calls) throw new Error('the store is not idle')
    const to = join(base, `home-${++homes}`)
    copyTree(this.root, to)
    return to
  }

  /** Waits until the store is idle and the thread has nothing else to do. */
  async idle(): Promise<void> {
    do await sleep(1)
    while (this.#storeCalls > 0)
  }

  /** kill -9, and a new mount of what that left. */
  async crash(): Promise<void> {
    await this.idle()
    await this.goOnWith(this.copyHome())
  }

  /** Goes on with a copy of the home, as after a crash when the copy was taken. */
  async goOnWith(copy: string, newBoot = false): Promise<void> {
    await this.#drop()
    this.#replaceRoot(copy)
    if (newBoot) this.#boots++
    await this.#start()
  }

  /** The store knows its own file by its inode, so that one goes on with the copy. */
  #replaceRoot(copy: string): void {
    const file = join('store', 'CORESTORE')
    renameSync(join(this.root, file), join(copy, file))
    rmSync(this.root, { recursive: true, force: true })
    this.root = copy
  }

  /** Power loss with everything that was written on the disk, but nothing proven to be. */
  async powerLoss(): Promise<void> {
    await this.idle()
    await this.goOnWith(this.copyHome(), true)
  }

  /** Remembers the state of journal and local files that the disk has for sure by now. */
  async recordDurable(): Promise<void> {
    await this.fs.durable(this.session.lastSeq())
    await this.idle()
    this.forgetDurable()
    this.#durableCopy = this.copyHome()
  }

  forgetDurable(): void {
    if (this.#durableCopy) rmSync(this.#durableCopy, { recursive: true, force: true })
    this.#durableCopy = null
  }

  /** Power loss that takes everything since `recordDurable`. */
  async powerLossToRecord(): Promise<void> {
    const copy = this.#durableCopy
    this.#durableCopy = null
    if (copy === null) throw new Error('recordDurable comes first')
    await this.goOnWith(copy, true)
  }

  /** Unmounts in order and mounts again. */
  async remount(): Promise<void> {
    await this.#stop()
    await this.#start()
  }

  /** A crash, then `pcfs doctor --rebuild-index`, then a mount. */
  async rebuildIndex(): Promise<void> {
    await this.idle()
    const copy = this.copyHome()
    await this.#drop()
    this.#replaceRoot(copy)
    await rebuildIndex(this.home, () => undefined)
    await this.#start()
  }

  /** Commits everything; then nothing is dirty. */
  async flush(): Promise<void> {
    await this.fs.flush()
    await this.fs.retention.history.tend()
  }

  /** Takes everything out of the cache, so that it has to be fetched. */
  async evict(): Promise<void> {
    await this.flush()
    this.fs.space.evict(Infinity)
    // That leaves the files that slots are still given out of.
    const { files, index, tracker } = this.fs.volume.parts
    for (const { ino } of index.rows()) if (!tracker.hasFile(ino)) files.release(ino)
  }

  /** Ends the parts without letting them write what they still hold. */
  async #drop(): Promise<void> {
    const { session, kernel, client, index, fs } = this.#opened
    this.#open = null
    await fs.abandon()
    await client.close()
    await index.close()
    session.close()
    kernel.close()
  }

  async #stop(): Promise<void> {
    const { session, kernel, client, index, fs } = this.#opened
    this.#open = null
    await fs.close()
    await index.close()
    await client.close()
    session.close()
    kernel.close()
  }

  /** Ends it and removes the home. */
  async close(): Promise<void> {
    if (this.#open) await this.#stop()
    this.forgetDurable()
    rmSync(this.root, { recursive: true, force: true })
  }

  /** Does something with the home while it is closed, then mounts again. */
  async offline<T>(work: (home: HomePaths) => Promise<T>): Promise<T> {
    await this.#stop()
    try {
      return await work(this.home)
    } finally {
      await this.#start()
    }
  }

  /** Damages a file of the home while it is closed, then mounts again. */
  async tamper(change: (home: HomePaths) => void, newBoot = false): Promise<void> {
    await this.idle()
    const copy = this.copyHome()
    change(pathsOf(copy))
    await this.goOnWith(copy, newBoot)
  }
}

function openStore(home: HomePaths, sessionId: number): ReturnType<typeof StoreClient.open> {
  const { keyring: keyringPath, store: storeDirectory } = home
  return StoreClient.open({ keyringPath, storeDirectory, sessionId, fault: null, network: null })
}
