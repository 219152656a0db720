/** The other side of `member-child.ts`, and network namespaces that go with the processes. */
import { execFileSync, spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import HyperDHT from 'hyperdht'
import type { Test } from 'tap'

/** What a member can be asked. A device is known by a number from which its keys are made. */
export interface MemberCommands {
  /** Runs the nodes of a private DHT. */
  dht: { readonly host: string; readonly port: number }
  open: {
    readonly directory: string
    readonly seed: number
    readonly topic: number
    readonly members: readonly number[]
    readonly network: {
      readonly bootstrap: readonly HyperDHT.Address[]
      readonly lan: boolean
    } | null
    /** The one address at which this device is reached; default: all that its machine has. */
    readonly host?: string
    /** Devices that relay; this one does when it is among them. */
    readonly relays: readonly number[]
    readonly follow: readonly { readonly seed: number; readonly isFull: boolean }[]
  }
  append: { readonly count: number; readonly bytes: number }
  read: { readonly seed: number; readonly block: number; readonly timeoutMs: number }
  peers: Record<string, never>
  progress: { readonly seed: number }
  suspend: Record<string, never>
  resume: Record<string, never>
  close: Record<string, never>
}

/** One line to a member. */
export interface MemberCommand {
  readonly id: number
  readonly op: keyof MemberCommands
  readonly args: MemberCommands[keyof MemberCommands]
}

/** How far a followed core is at a member. */
export interface MemberProgress {
  readonly length: number
  readonly contiguousLength: number
  readonly heldBlocks: number
  /** Blocks that came over the network since the process began. */
  readonly received: number
}

/** What a member answers where it is not null. */
interface MemberResults {
  append: number
  read: { readonly number: number | null; readonly ms: number }
  peers: readonly { readonly key: string; readonly path: string }[]
  progress: MemberProgress
}

type ResultOf<K> = K extends keyof MemberResults ? MemberResults[K] : null

interface Answer<K> {
  readonly id: number
  readonly result: ResultOf<K>
  readonly error?: string
}

/** A device in a process of its own. */
export class Member {
  readonly #child: ChildProcess
  readonly #waiting = new Map<number, (line: string) => void>()
  #nextId = 1

  /** @param isApart whether it gets a network namespace of its own (needs root) */
  constructor(t: Test, isApart = false) {
    const script = new URL('member-child.js', import.meta.url).pathname
    const node = [process.execPath, '--enable-source-maps', script]
    // env runs what it is given, where there is nothing else to do that.
    const [program, args] = isApart ? ['unshare', ['--net', '--', ...node]] : ['env', node]
    this.#child = spawn(program, args, { stdio: ['pipe', 'pipe', 'inherit'] })
    t.teardown(() => this.kill())
    const output = this.#child.stdout
    if (output === null) throw new Error('no output')
    createInterface({ input: output }).on('line', (line) => {
      const { id }: { id: number } = JSON.parse(line)
      this.#waiting.get(id)?.(line)
      this.#waiting.delete(id)
    })
  }

  get pid(): number {
    return this.#child.pid ?? 0
  }

  /** Asks for one thing; fails with the message that the member gives. */
  async ask<K extends keyof MemberCommands>(op: K, args: MemberCommands[K]): Promise<ResultOf<K>> {
    const id = this.#nextId++
    const answered = new Promise<string>((resolve) => this.#waiting.set(id, resolve))
    this.#child.stdin?.write(`${JSON.stringify({ id, op, args })}\n`)
    const { result, error }: Answer<K> = JSON.parse(await answered)
    if (error !== undefined) throw new Error(error)
    return result
  }

  async peers(): Promise<MemberResults['peers']> {
    return this.ask('peers', {})
  }

  async progress(seed: number): Promise<MemberProgress> {
    return this.ask('progress', { seed })
  }

  /** kill -9; resolves when it is gone. */
  async kill(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return
    this.#child.kill('SIGKILL')
    await once(this.#child, 'exit')
  }

  /** Runs a command in the member's network namespace. */
  inside(...command: readonly string[]): void {
    execFileSync('nsenter', ['-t', String(this.pid), '-n', ...command])
  }
}

/** Why there can be no network namespaces here, or false. */
export function noNamespaces(): string | false {
  try {
    execFileSync('unshare', ['--net', 'ip', 'link', 'add', 'a0', 'type', 'veth'])
    return false
  } catch {
    return 'network namespaces need root and the ip command'
  }
}

/** A cable between two members, each end with its address (`10.1.2.3/24`), named by `name`. */
export function connect(
  name: string,
  [a, addressA]: readonly [Member, string],
  [b, addressB]: readonly [Member, string]
): void {
  const ends = ['netns', String(a.pid), 'type', 'veth', 'peer', 'name', name]
  execFileSync('ip', ['link', 'add', name, ...ends, 'netns', String(b.pid)])
  for (const [member, address] of [
    [a, addressA],
    [b, addressB]
  ] as const) {
    member.inside('ip', 'addr', 'add', address, 'dev', name)
    member.inside('ip', 'link', 'set', name, 'up')
    member.inside('ip', 'link', 'set', 'lo', 'up')
  }
}

/** The Noise key in hex of the device with a number. */
export function keyOf(seed: number): string {
  return HyperDHT.keyPair(Buffer.alloc(32, seed)).publicKey.toString('hex')
}

/** Waits until something that is asked for holds; returns how long it took, ms. */
export async function untilAsked(holds: () => Promise<boolean>, ms: number): Promise<number> {
  const startedMs = performance.now()
  while (!(await holds())) {
    if (performance.now() - startedMs > ms)
      throw new Error(`did not happen in ${ms} ms: ${holds.toString()}`)
    await sleep(20)
  }
  return Math.round(performance.now() - startedMs)
}
