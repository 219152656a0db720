/**
 * Two devices on this machine that keep one folder the same: pcfs, and Syncthing as a person gets
 * it from Debian, with its settings as they come but for discovery outside.
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { ChildProcess } from 'node:child_process'
import createTestnet from '@hyperswarm/testnet'
import { PCFS_BIN } from '../support/pcfs.js'
import { killGroup, must, run, start, waitFor } from '../support/process.js'

/** A running pair. */
export interface Pair {
  readonly name: string
  /** The folder on each device. */
  readonly folders: readonly [string, string]
  stop(): Promise<void>
}

/** One pcfs home and how it is spoken to. */
class Device {
  readonly folder: string
  readonly #env: Record<string, string>

  constructor(directory: string, bootstrap: string) {
    this.folder = join(directory, 'pc')
    mkdirSync(this.folder, { recursive: true })
    this.#env = { PCFS_HOME: join(directory, 'home'), PCFS_BOOTSTRAP: bootstrap }
  }

  pcfs(...args: string[]): Promise<string> {
    return must(PCFS_BIN, args, { env: this.#env, timeoutMs: 600_000 })
  }

  mount(): Promise<string> {
    return this.pcfs('mount', this.folder)
  }

  async stop(): Promise<void> {
    await run(PCFS_BIN, ['stop', '--lazy'], { env: this.#env, timeoutMs: 120_000 })
  }
}

/** A drive's devices on a private DHT in this process. */
export class PcfsPair implements Pair {
  readonly name = 'pcfs'
  readonly #devices: Device[] = []

  private constructor(
    private readonly directory: string,
    private readonly testnet: Awaited<ReturnType<typeof createTestnet>>
  ) {}

  static async start(directory: string): Promise<PcfsPair> {
    const pair = new PcfsPair(directory, await createTestnet(4))
    const first = pair.#add()
    await first.pcfs('init', '--name', 'device-1')
    await first.mount()
    await (await pair.join()).mount()
    return pair
  }

  get folders(): [string, string] {
    return [this.at(0).folder, this.at(1).folder]
  }

  at(index: number): Device {
    const device = this.#devices[index]
    if (device === undefined) throw new Error(`there is no device ${index}`)
    return device
  }

  /** One more device, not mounted yet. */
  async join(): Promise<Device> {
    const { code }: { code: string } = JSON.parse(
      await this.at(0).pcfs('device', 'invite', '--json')
    )
    const device = this.#add()
    await device.pcfs('device', 'join', code, '--name', `device-${this.#devices.length}`)
    return device
  }

  async stop(): Promise<void> {
    for (const device of this.#devices) await device.stop()
    await this.testnet.destroy()
  }

  #add(): Device {
    const { bootstrap } = this.testnet
    const text = bootstrap.map(({ host, port }) => `${host}:${port}`).join(',')
    const device = new Device(join(this.directory, `device-${this.#devices.length + 1}`), text)
    this.#devices.push(device)
    return device
  }
}

const SYNCTHING_PORTS = [22_101, 22_102] as const

/** Syncthing's pair; null: it is not installed, or does not work here. */
export async function startSyncthing(directory: string): Promise<Pair | null> {
  const version = await run('syncthing', ['--version'], { timeoutMs: 20_000 })
  if (version.code !== 0) return null
  const homes = [join(directory, 'st-1'), join(directory, 'st-2')] as const
  const folders = [join(directory, 'folder-1'), join(directory, 'folder-2')] as const
  const ids: string[] = []
  for (const [i, home] of homes.entries()) {
    mkdirSync(folders[i] ?? '', { recursive: true })
    await must('syncthing', ['generate', `--home=${home}`], { timeoutMs: 60_000 })
    const found = /<device id="([A-Z0-9-]+)"/.exec(readFileSync(join(home, 'config.xml'), 'utf8'))
    ids.push(found?.[1] ?? '')
  }
  const running: ChildProcess[] = []
  for (const [i, home] of homes.entries()) {
    configure(home, i, ids, folders[i] ?? '')
    running.push(start('syncthing', ['serve', '--no-browser', `--home=${home}`], {}))
  }
  const stop = async (): Promise<void> => {
    for (const child of running) killGroup(child, 'SIGTERM')
    await Promise.resolve()
  }
  writeFileSync(join(folders[0], 'ready'), 'x')
  try {
    const isThere = async (): Promise<boolean> =>
      (await run('test', ['-e', join(folders[1], 'ready')], { timeoutMs: 5000 })).code === 0
    if (!(await waitFor(isThere, 60_000, 200))) {
      console.error('syncthing does not bring its first file over; it is left out')
      await stop()
      return null
    }
  } catch (error) {
    await stop()
    throw error
  }
  return { name: 'syncthing', folders, stop }
}

function configure(home: string, index: number, ids: readonly string[], folder: string): void {
  const path = join(home, 'config.xml')
  const addressOf = (i: number): string => `tcp://127.0.0.1:${SYNCTHING_PORTS[i] ?? 0}`
  const devices = ids.map((id, i) => {
    return `<device id="${id}" name="d${i}"><address>${addressOf(i)}</address></device>`
  })
  const members = ids.map((id) => `<device id="${id}"></device>`)
  const text = readFileSync(path, 'utf8')
    .replace(/<folder [\s\S]*?<\/folder>/g, '')
    .replace(/<device id=[\s\S]*?<\/device>/g, '')
    .replace(/<gui [\s\S]*?<\/gui>/, '<gui enabled="false"></gui>')
    .replace(/<options>[\s\S]*?<\/options>/, optionsOf(addressOf(index)))
    .replace(
      '</configuration>',
      `<folder id="f" label="f" path="${folder}" type="sendreceive" fsWatcherEnabled="true">` +
        `${members.join('')}</folder>${devices.join('')}</configuration>`
    )
  writeFileSync(path, text)
}

function optionsOf(listen: string): string {
  const off = ['globalAnnounceEnabled', 'localAnnounceEnabled', 'relaysEnabled', 'natEnabled']
  return (
    `<options><listenAddress>${listen}</listenAddress>` +
    off.map((name) => `<${name}>false</${name}>`).join('') +
    '<urAccepted>-1</urAccepted><crashReportingEnabled>false</crashReportingEnabled></options>'
  )
}
