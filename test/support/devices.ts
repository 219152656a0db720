/** Several real devices on a private DHT: invitations and joins as a person does them. */
import createTestnet from '@hyperswarm/testnet'
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import type { Test } from 'tap'
import type { DeviceReport, StatusReport } from '../../src/control/operations.js'
import { makePlayground, PCFS, type CliResult, type Playground } from './cli.js'
import { must, run, waitFor } from './process.js'

/** A playground on a network. */
export interface DevicePlayground extends Playground {
  readonly env: Readonly<Record<string, string>>
}

/** A private DHT in this process; gone with the test. @returns what PCFS_BOOTSTRAP takes */
export async function privateNetwork(t: Test): Promise<string> {
  const testnet = await createTestnet(4)
  t.teardown(() => testnet.destroy())
  return testnet.bootstrap.map(({ host, port }) => `${host}:${port}`).join(',')
}

/** A device that has nothing yet. */
export function makeDevice(t: Test, bootstrap: string): DevicePlayground {
  const base = { PCFS_BOOTSTRAP: bootstrap }
  const playground = makePlayground(t, base)
  return { ...playground, env: { ...base, PCFS_HOME: playground.home } }
}

/** A drive's first device, mounted. */
export async function makeFirst(
  t: Test,
  bootstrap: string,
  name = 'laptop'
): Promise<DevicePlayground> {
  const device = makeDevice(t, bootstrap)
  await succeed(device.pcfs(['init', '--name', name]))
  await succeed(device.pcfs(['mount', device.mount]))
  return device
}

/** Waits for a command that must succeed. */
export async function succeed(running: Promise<CliResult>): Promise<CliResult> {
  const result = await running
  if (result.code !== 0) throw new Error(`exit code ${result.code}: ${result.stderr}`)
  return result
}

/** A command that is running and may be typed at. */
export class Running {
  readonly #child: ChildProcess
  #stdout = ''
  #stderr = ''
  readonly ended: Promise<CliResult>

  constructor(t: Test, device: DevicePlayground, args: readonly string[]) {
    const env = { ...process.env, ...device.env }
    this.#child = spawn(PCFS, args, { env, stdio: 'pipe' })
    this.#child.stdout?.on('data', (part: Buffer) => (this.#stdout += part.toString()))
    this.#child.stderr?.on('data', (part: Buffer) => (this.#stderr += part.toString()))
    this.#child.stdin?.on('error', () => undefined)
    this.ended = once(this.#child, 'close').then(([code]) => ({
      code: typeof code === 'number' ? code : null,
      stdout: this.#stdout,
      stderr: this.#stderr
    }))
    t.teardown(async () => {
      this.kill()
      await this.ended
    })
  }

  /** The first group of a pattern in what it says, once it says it. */
  async says(pattern: RegExp, timeoutMs = 60_000): Promise<string> {
    const find = (): RegExpExecArray | null => pattern.exec(this.#stdout + this.#stderr)
    const isDead = (): boolean => this.#child.exitCode !== null || this.#child.signalCode !== null
    await waitFor(() => find() !== null || isDead(), timeoutMs)
    const found = find()
    if (found === null) throw new Error(`it said ${this.#stdout}${this.#stderr}`)
    return found[1] ?? ''
  }

  type(line: string): void {
    this.#child.stdin?.write(`${line}\n`)
  }

  /** Ends its standard input. */
  hangUp(): void {
    this.#child.stdin?.end()
  }

  kill(signal: NodeJS.Signals = 'SIGKILL'): void {
    this.#child.kill(signal)
  }
}

const CODE = /(pcfs1[a-z2-7]{20,})/

/** Opens an invitation that asks for digits. */
export async function invite(
  t: Test,
  by: DevicePlayground,
  args: readonly string[] = []
): Promise<{ readonly running: Running; readonly code: string }> {
  const running = new Running(t, by, ['device', 'invite', ...args])
  return { running, code: await running.says(CODE) }
}

/** Joins a new device with digits, as two people would. @returns the new device */
export async function joinWithDigits(
  t: Test,
  by: DevicePlayground,
  args: readonly string[] = []
): Promise<DevicePlayground> {
  const { running, code } = await invite(t, by)
  const device = makeDevice(t, by.env['PCFS_BOOTSTRAP'] ?? '')
  const joining = new Running(t, device, ['device', 'join', code, ...args])
  const digits = await joining.says(DIGITS)
  await running.says(/The six digits/)
  running.type(digits)
  await succeed(running.ended)
  await succeed(joining.ended)
  return device
}

/** What a joining device shows. */
export const DIGITS = /^ {4}(\d{3} \d{3})$/m

/** Joins a new device by a bearer code. */
export async function joinByCode(
  t: Test,
  by: DevicePlayground,
  args: readonly string[] = []
): Promise<DevicePlayground> {
  const { code } = await by.json<{ code: string }>(['device', 'invite'])
  const device = makeDevice(t, by.env['PCFS_BOOTSTRAP'] ?? '')
  await succeed(device.pcfs(['device', 'join', code, ...args]))
  return device
}

/** The devices as one of them knows them. */
export function devicesOf(device: DevicePlayground): Promise<DeviceReport[]> {
  return device.json<DeviceReport[]>(['device', 'list'])
}

/** Status of a device. */
export function statusOf(device: DevicePlayground): Promise<StatusReport> {
  return device.json<StatusReport>(['status'])
}

/** Writes a file in a device's mount. */
export async function put(device: DevicePlayground, name: string, text: string): Promise<void> {
  const script = 'printf %s "$1" > "$2"'
  await must('sh', ['-c', script, 'sh', text, join(device.mount, name)], { timeoutMs: 20_000 })
}

/** Waits until a file in a device's mount has a content. @returns what it has at last */
export async function comesToRead(
  device: DevicePlayground,
  name: string,
  text: string
): Promise<string> {
  let last = ''
  await waitFor(
    async () => {
      last = (await run('cat', [join(device.mount, name)], { timeoutMs: 20_000 })).stdout
      return last === text
    },
    30_000,
    100
  )
  return last
}
