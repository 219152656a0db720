/**
 * Machines of one person on this one: each with a pcfs home and mount, in a network namespace of
 * its own whose only cable leads to a switch. The switch is a bridge in a namespace where nodes of
 * a private DHT run. A cable can be pulled; a machine can die and come back.
 *
 * A mount that is made inside a network namespace is visible outside, since mounts belong to
 * another kind of namespace. It is touched by children only (`agent.py`, `Machine.run`), each with
 * a deadline, after which the mount is aborted.
 */
import { readlinkSync } from 'node:fs'
import { join } from 'node:path'
import type { ChildProcess } from 'node:child_process'
import type { Test } from 'tap'
import { callDaemon } from '../../src/control/client.js'
import type { StatusReport } from '../../src/control/operations.js'
import { onEarlyEnd } from '../support/cleanup.js'
import { Pcfs } from '../support/pcfs.js'
import { describe, killGroup, must, run, start, waitFor } from '../support/process.js'
import type { RunOptions, RunResult } from '../support/process.js'
import { makeTempFolder, root } from '../support/workspace.js'
import { Member } from '../swarm/members.js'
import { makePairedHomes } from './paired-homes.js'

const PYTHON = '/usr/bin/python3'
const AGENT = join(root, 'test', 'devices', 'agent.py')

const SWITCH = '10.88.0.254'
const DHT_PORT = 49_737

/** Nothing is there (TEST-NET-1), and there is no way to it. */
export const NOWHERE = '192.0.2.1:49737'

/** What is in a mount: by path, everything that has to be the same on all devices. */
export interface Tree {
  readonly entries: Readonly<Record<string, string>>
  /** Ids of the chunks that are whole somewhere. */
  readonly chunks: readonly string[]
}

/** What an agent did by itself. */
export interface Work {
  /** Ids of the chunks whose write has succeeded. */
  readonly written: readonly string[]
  /** Ids of the chunks that it saw and then removed. */
  readonly superseded: readonly string[]
  readonly done: Readonly<Record<string, number>>
  readonly failed: Readonly<Record<string, number>>
  /** Failures that neither a cut nor another device's change explains. */
  readonly unexpected: readonly string[]
  /** Moments at which it may have removed what came from elsewhere just then, unseen. */
  readonly doubts: number
  /** What it did to which chunks and when, for whoever looks for one that is missing. */
  readonly log: readonly string[]
}

interface Agent {
  work: { args: { seed: number; tag: string; ms: number; pause_ms: number }; result: Work }
  tree: { args: { content: boolean }; result: Tree }
  pulse: { args: { ms: number }; result: { rounds: number; slowestMs: number } }
}

/** The switch, and what is plugged into it. Everything goes away with the test. */
export class Network {
  readonly #switch: Member
  readonly #t: Test
  readonly #folder: string
  readonly machines: Machine[] = []

  private constructor(t: Test, folder: string) {
    this.#t = t
    this.#folder = folder
    this.#switch = new Member(t, true)
  }

  /**
   * Sets up a switch.
   * @param hasDht whether DHT nodes run there
   */
  static async open(t: Test, hasDht = true): Promise<Network> {
    const folder = makeTempFolder('devices')
    t.teardown(() => folder[Symbol.dispose]())
    const network = new Network(t, folder.path)
    const { ip } = network
    await inNamespace(network.#switch.pid)
    // Without snooping the bridge needs nobody who asks for multicast groups.
    ip('link', 'add', 'sw0', 'type', 'bridge', 'mcast_snooping', '0')
    ip('addr', 'add', `${SWITCH}/24`, 'dev', 'sw0')
    ip('link', 'set', 'sw0', 'up')
    ip('link', 'set', 'lo', 'up')
    if (hasDht) await network.#switch.ask('dht', { host: SWITCH, port: DHT_PORT })
    return network
  }

  /** `PCFS_BOOTSTRAP` of the DHT nodes at the switch. */
  readonly bootstrap = `${SWITCH}:${DHT_PORT},${SWITCH}:${DHT_PORT + 1},${SWITCH}:${DHT_PORT + 2}`

  /** Process whose network namespace is that of the switch. */
  get pid(): number {
    return this.#switch.pid
  }

  /** The ip command at the switch. */
  readonly ip = (...args: readonly string[]): void => {
    this.#switch.inside('ip', ...args)
  }

  /**
   * Plugs in one more machine; it has no home yet.
   * @param bootstrap `PCFS_BOOTSTRAP`
   */
  async add(name: string, bootstrap = this.bootstrap): Promise<Machine> {
    const number = this.machines.length + 1
    const folder = join(this.#folder, name)
    await must('mkdir', ['-m', '755', folder])
    const holder = start('unshare', ['--net', '--', 'sleep', 'infinity'], { stdio: 'ignore' })
    const machine = new Machine({ network: this, name, number, folder, holder, bootstrap })
    this.#t.teardown(() => machine.remove())
    await inNamespace(machine.pid)
    this.ip('link', 'add', machine.cable, 'type', 'veth', 'peer', 'eth0', 'netns', `${machine.pid}`)
    this.ip('link', 'set', machine.cable, 'master', 'sw0', 'up')
    await machine.ip('link', 'set', 'lo', 'up')
    await machine.ip('addr', 'add', `10.88.0.${number}/24`, 'dev', 'eth0')
    await machine.ip('link', 'set', 'eth0', 'up')
    this.machines.push(machine)
    return machine
  }

  /** A new machine with a drive of its own, mounted: what a person does first. */
  async first(name: string): Promise<Machine> {
    const machine = await this.add(name)
    await machine.pcfs.json(['init', '--name', name])
    await machine.pcfs.mount()
    return machine
  }

  /** A new machine that joins with one code of another, mounted. */
  async joined(by: Machine, name: string): Promise<Machine> {
    const machine = await this.add(name)
    const { code } = await by.pcfs.json(['device', 'invite'])
    await machine.pcfs.json(['device', 'join', String(code), '--name', name], 120_000)
    await machine.pcfs.mount()
    return machine
  }

  /** So many machines of one drive, mounted. The first one is the drive's first device. */
  async addPaired(names: readonly string[], bootstrap = this.bootstrap): Promise<Machine[]> {
    const machines: Machine[] = []
    for (const name of names) machines.push(await this.add(name, bootstrap))
    await makePairedHomes(
      this.#t,
      machines.map(({ name, pcfs }) => ({ name, home: pcfs.home }))
    )
    await Promise.all(machines.map((machine) => machine.pcfs.mount()))
    return machines
  }
}

interface MachineParts {
  readonly network: Network
  readonly name: string
  readonly number: number
  readonly folder: string
  /** Keeps the namespace. */
  readonly holder: ChildProcess
  readonly bootstrap: string
}

/** See the file's head. Made by `Network.add`. */
export class Machine {
  readonly name: string
  readonly pcfs: Pcfs
  readonly #parts: MachineParts
  readonly #forget: () => void

  constructor(parts: MachineParts) {
    this.#parts = parts
    this.name = parts.name
    this.pcfs = new Pcfs({
      folder: parts.folder,
      prefix: ['nsenter', '-t', String(parts.holder.pid), '-n'],
      env: { PCFS_BOOTSTRAP: parts.bootstrap }
    })
    this.#forget = onEarlyEnd(() => killGroup(parts.holder))
  }

  /** A process in the machine's network namespace. */
  get pid(): number {
    return this.#parts.holder.pid ?? 0
  }

  /** The cable's end at the switch. */
  get cable(): string {
    return `m${this.#parts.number}`
  }

  /** The ip command on this machine. */
  async ip(...args: readonly string[]): Promise<void> {
    await must('nsenter', ['-t', String(this.pid), '-n', 'ip', ...args], { timeoutMs: 10_000 })
  }

  /** Pulls the cable. */
  cut(): void {
    this.#parts.network.ip('link', 'set', this.cable, 'down')
  }

  /** Plugs it in again. */
  mend(): void {
    this.#parts.network.ip('link', 'set', this.cable, 'up')
  }

  /** Bytes that have come over the cable. */
  async receivedBytes(): Promise<number> {
    const args = ['-t', String(this.pid), '-n', 'cat', '/proc/net/dev']
    const text = await must('nsenter', args, { timeoutMs: 10_000 })
    return Number(/eth0:\s*(\d+)/.exec(text)?.[1])
  }

  /** What the daemon says of itself; null when none answers. */
  async status(): Promise<StatusReport | null> {
    const { home } = this.pcfs
    return callDaemon('status', {}, { home, deadlineMs: 10_000 }).catch(() => null)
  }

  /** Runs a program with the mount as its working directory. */
  run(
    command: string,
    args: readonly string[],
    options: Pick<RunOptions, 'timeoutMs' | 'env'> = {}
  ): Promise<RunResult> {
    const { dir } = this.pcfs
    return run(command, args, { ...options, cwd: dir, onStuck: () => this.pcfs.abort() })
  }

  /** Runs lines of shell in the mount that must succeed; gives what they print. */
  async sh(script: string, timeoutMs = 60_000): Promise<string> {
    const result = await this.run('sh', ['-ec', script], { timeoutMs })
    if (result.code === 0) return result.stdout
    throw new Error(`${this.name}: ${script}: ${describe(result)}`)
  }

  /** Lets an agent do something in the mount. @throws {Error} when that fails */
  async agent<K extends keyof Agent>(
    op: K,
    args: Agent[K]['args'],
    timeoutMs = 60_000
  ): Promise<Agent[K]['result']> {
    const line = [AGENT, this.pcfs.dir, op, JSON.stringify(args)]
    const onStuck = (): Promise<void> => this.pcfs.abort()
    const result = await run(PYTHON, line, { timeoutMs, onStuck })
    if (result.code === 0) return JSON.parse(result.stdout)
    throw new Error(`${this.name}: ${op}: ${describe(result)}\n${this.pcfs.logTail()}`)
  }

  /** Everything of it goes away. */
  async remove(): Promise<void> {
    await this.pcfs.destroy()
    killGroup(this.#parts.holder)
    this.#forget()
  }
}

/** Waits until each of these machines is connected with all the others; returns the ms it took. */
export async function allConnected(machines: readonly Machine[], ms = 60_000): Promise<number> {
  const began = performance.now()
  const others = machines.length - 1
  const isConnected = async (machine: Machine): Promise<boolean> =>
    new Set((await machine.status())?.peers.map(({ device }) => device)).size >= others
  for (const machine of machines) {
    const isThere = await waitFor(() => isConnected(machine), ms, 100)
    if (isThere) continue
    const peers = JSON.stringify((await machine.status())?.peers)
    throw new Error(`${machine.name} is connected with ${peers} only\n${machine.pcfs.logTail()}`)
  }
  return Math.round(performance.now() - began)
}

/** What differs between the machines' trees, as lines; empty when they are the same. */
export function differences(trees: readonly Tree[]): string[] {
  const paths = new Set(trees.flatMap(({ entries }) => Object.keys(entries)))
  return [...paths].sort().flatMap((path) => {
    const all = trees.map(({ entries }) => entries[path] ?? 'is not there')
    return new Set(all).size === 1 ? [] : [`${path}: ${all.join(' | ')}`]
  })
}

/**
 * Waits until all machines show the same tree, contents included.
 * @returns the tree; how long it took until everything but contents was the same, and all, ms
 * @throws {Error} with what differs when it does not come to that
 */
export async function sameTree(
  machines: readonly Machine[],
  ms = 60_000
): Promise<{ readonly tree: Tree; readonly listedMs: number; readonly tookMs: number }> {
  const began = performance.now()
  let problem = ''
  for (;;) {
    let listedMs = 0
    for (const content of [false, true]) {
      problem = ''
      const trees = await Promise.all(
        machines.map((machine) =>
          machine.agent('tree', { content }).catch((error: unknown) => {
            problem = String(error)
            return { entries: {}, chunks: [] }
          })
        )
      )
      problem ||= differences(trees).slice(0, 20).join('\n')
      if (problem !== '') break
      const [tree] = trees
      const tookMs = Math.round(performance.now() - began)
      if (content && tree !== undefined) return { tree, listedMs, tookMs }
      listedMs = tookMs
    }
    if (performance.now() - began > ms) throw new Error(`not the same after ${ms} ms:\n${problem}`)
  }
}

/** Waits until a process is in a network namespace of its own. */
async function inNamespace(pid: number): Promise<void> {
  const own = readlinkSync('/proc/self/ns/net')
  const isApart = await waitFor(() => readlinkSync(`/proc/${pid}/ns/net`) !== own, 10_000)
  if (!isApart) throw new Error(`process ${pid} has no network namespace of its own`)
}
