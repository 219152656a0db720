/**
 * What is wired to what. A daemon opens upward (home, lock, log, filesystem, control socket) and
 * closes downward; what a failed open had acquired is released.
 */
import { realpathSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { openInSteps, type CloseStack } from '../base/close-stack.js'
import type { Logger } from '../base/log.js'
import { Mutex } from '../base/mutex.js'
import { Failure } from '../control/failure.js'
import type {
  Call,
  Operations,
  ResultOf,
  StatusReport,
  UnmountArguments
} from '../control/operations.js'
import { ControlServer } from '../control/server.js'
import { openKeyring } from '../keys/keyring.js'
import { checkApart, type DaemonConfig } from './config.js'
import { makeFaultPoint, parseFault } from './fault-point.js'
import type { CarrierOptions } from './carrier.js'
import type { Filesystem, FilesystemOptions, OpenFilesystem } from './filesystem.js'
import { checkFuse } from './fuse-access.js'
import { lockHome } from './home-lock.js'
import { openHome, type HomePaths } from './home.js'
import { openLog } from './logger.js'
import { prepareMountPoint } from './mount-point.js'
import { currentBootId, decideTrust, identityOf, readState, writeState } from './state.js'
import { VERSION } from './version.js'

/** How long an unmount waits for who is just closing files. */
const BUSY_TRIES = 10
const BUSY_WAIT_MS = 200

/** A running daemon. */
export class Daemon {
  /** The mounted directory; null: a blind device mounts nothing. */
  readonly mountPath: string | null
  /** Resolves when the daemon has ended, with what went wrong on the way down, or null. */
  readonly ended: Promise<unknown>
  readonly #config: DaemonConfig
  readonly #log: Logger
  readonly #filesystem: Filesystem
  readonly #stack: CloseStack
  readonly #startedMs = performance.now()
  /** Stops and unmounts come one after the other. */
  readonly #ending = new Mutex()
  #isMounted: boolean
  /** We are taking the mount away ourselves, so that its end is no news. */
  #isUnmounting = false
  #end: (error: unknown) => void = () => undefined

  private constructor(
    parts: { config: DaemonConfig; log: Logger; filesystem: Filesystem; mountPath: string | null },
    stack: CloseStack
  ) {
    this.#config = parts.config
    this.#log = parts.log
    this.#filesystem = parts.filesystem
    this.mountPath = parts.mountPath
    this.#isMounted = parts.mountPath !== null
    this.#stack = stack
    this.ended = new Promise((resolve) => (this.#end = resolve))
  }

  /**
   * Opens a home and mounts it, or, on a blind device, carries what it can not read; resolves when
   * the mount answers and operators can connect.
   * @throws {Failure} when the home or the mount point cannot be used
   */
  static async open(config: DaemonConfig, openers: Openers): Promise<Daemon> {
    return openInSteps(async (stack) => {
      const home = openHome(config.home)
      const lock = lockHome(home.lock)
      stack.push(() => lock[Symbol.dispose]())
      const file = openLog(home.log, config.logLevel)
      stack.push(() => file[Symbol.dispose]())
      const { log } = file
      const state = openState(home)
      const plan = parseFault(config.fault)
      let daemon: Daemon | null = null
      const options = {
        config,
        home,
        trust: state.trust,
        log,
        fault: makeFaultPoint(plan),
        faultPlan: plan,
        onEnded: () => daemon?.unmountedByOthers(),
        onPeer: state.noteSent
      }
      const { role } = await openKeyring(home.keyring)
      const { filesystem, mountPath } =
        role === 'blind'
          ? { filesystem: await openers.carrier(options), mountPath: null }
          : await openMounted(openers.mounted, options)
      stack.push(async () => filesystem.close())
      stack.push(async () => (daemon?.isMounted === false ? undefined : filesystem.unmount(true)))
      daemon = new Daemon({ config, log, filesystem, mountPath }, stack)
      const operations = daemon.operations()
      const server = await ControlServer.listen({ home: home.root, operations, log })
      stack.push(async () => server.close())
      log.info({ op: 'mount', path: mountPath, version: VERSION }, 'open')
      return daemon
    })
  }

  /** Whether the mount is there, as far as we know. */
  get isMounted(): boolean {
    return this.#isMounted
  }

  /** What operators can ask of this daemon. */
  operations(): Operations {
    return {
      ...this.#filesystem.operations,
      status: async () => this.#status(),
      flush: async (_, call) => {
        await this.#filesystem.flush(call)
        return {}
      },
      stop: async (args, call) => this.#stop(args, call),
      doctor: async () => ({ findings: await this.#filesystem.examine() })
    }
  }

  /**
   * Ends the daemon: unmounts, lazily if files are open, makes all durable and lets go of the home.
   * What is not yet ingested stays in journal and spool. May be called again. Never rejects; what
   * went wrong comes out of `ended`.
   */
  async close(): Promise<void> {
    this.#isUnmounting = true
    const closed = this.#ending.run(async () => this.#stack.close())
    this.#end(
      await closed.then(
        () => null,
        (error: unknown) => error
      )
    )
  }

  /** The mount has gone without us: there is nothing left to serve. */
  unmountedByOthers(): void {
    if (this.#isUnmounting) return
    this.#isMounted = false
    this.#log.info({ op: 'unmount', path: this.mountPath }, 'unmounted by somebody else')
    void this.close()
  }

  async #status(): Promise<StatusReport> {
    const { drive, device, peers, generations, backlog, alarms } = await this.#filesystem.status()
    return {
      version: VERSION,
      pid: process.pid,
      drive,
      device,
      mounts: this.#mounts().map((path) => ({ path })),
      peers,
      generations,
      backlog,
      tier: { url: null, state: 'off', bytes: 0 },
      alarms,
      home: this.#config.home,
      uptimeS: Math.round((performance.now() - this.#startedMs) / 1000)
    }
  }

  async #stop(args: UnmountArguments, call: Call): Promise<ResultOf<'stop'>> {
    if (args.path !== null && args.path !== this.mountPath) return { unmounted: [], pids: [] }
    await this.#filesystem.flush(call)
    const unmounted = this.#mounts()
    await this.#ending.run(async () => this.#unmount(args.lazy))
    // The answer goes out first: closing waits for the connection that carries it.
    setImmediate(() => {
      void this.close()
    })
    return { unmounted, pids: [process.pid] }
  }

  /** What is mounted, as far as we know. */
  #mounts(): string[] {
    return this.#isMounted && this.mountPath !== null ? [this.mountPath] : []
  }

  async #unmount(lazy: boolean): Promise<void> {
    this.#isUnmounting = true
    for (let tries = 1; this.#isMounted; tries++) {
      try {
        await this.#filesystem.unmount(lazy)
        this.#isMounted = false
      } catch (error) {
        const isBusy = error instanceof Failure && error.kind === 'mount-busy'
        if (!isBusy || tries >= BUSY_TRIES) {
          this.#isUnmounting = false
          throw error
        }
        await sleep(BUSY_WAIT_MS)
      }
    }
    this.#log.info({ op: 'unmount', path: this.mountPath }, 'unmounted')
  }
}

/** How the two kinds of homes are opened. */
export interface Openers {
  readonly mounted: OpenFilesystem
  /** Of a blind device: nothing is mounted. */
  readonly carrier: (options: CarrierOptions) => Promise<Filesystem>
}

async function openMounted(
  openFilesystem: OpenFilesystem,
  options: Omit<FilesystemOptions, 'mountPath'>
): Promise<{ readonly filesystem: Filesystem; readonly mountPath: string }> {
  const { config, home } = options
  checkFuse(config.allowOther)
  using point = await prepareMountPoint(config.mountPoint)
  checkApart(realpathSync(home.root), point.path)
  const filesystem = await openFilesystem({ ...options, mountPath: point.path })
  point.cover()
  return { filesystem, mountPath: point.path }
}

interface OpenState {
  readonly trust: ReturnType<typeof decideTrust>
  /** Another device may have seen something of this one's. */
  readonly noteSent: () => void
}

/** Takes over the state that the last process left, and says what it means for the store. */
function openState(home: HomePaths): OpenState {
  const now = { bootId: currentBootId(), homeId: identityOf(home.root) }
  const before = readState(home.state)
  const trust = decideTrust(before, now)
  // Until it is proven that nothing is missing, the old state is the truth.
  let hasSent = before?.hasSent ?? false
  if (trust.kind === 'append') {
    writeState(home.state, { version: 1, ...now, hasSent, hasSentSinceBarrier: false })
  }
  const noteSent = (): void => {
    if (hasSent) return
    hasSent = true
    // Peers are told of what a barrier has made durable, so nothing is ever sent that is not.
    writeState(home.state, { version: 1, ...now, hasSent, hasSentSinceBarrier: false })
  }
  return { trust, noteSent }
}
