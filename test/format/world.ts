/** Stories of a few devices, told by paths. */
import assert from 'node:assert'
import { Device, Ledger, type Operation, type Seen, contentId } from './drive-model.js'
import { type NodeId, ROOT_ID } from '../../src/format/ids.js'

/** When a world begins, ms since 1970. */
export const START_MS = 1_795_000_000_000

/** A few devices whose operations are a second apart. */
export class World {
  readonly devices: Device[]
  #nowMs = START_MS

  constructor(count = 2) {
    const ledger = new Ledger()
    this.devices = Array.from({ length: count }, (_, index) => new Device(index, 0, ledger))
  }

  device(index: number): Device {
    const device = this.devices[index]
    if (device === undefined) throw new Error('no such device')
    return device
  }

  do(index: number, what: (operation: Operation, device: Device) => void): void {
    this.#nowMs += 1000
    const operation = this.device(index).begin(this.#nowMs)
    what(operation, this.device(index))
    operation.commit()
  }

  create(index: number, path: string, content = this.device(index).ledger.newContent()): void {
    this.do(index, (operation, device) => {
      operation.create(placeOf(device, path), 'file', content)
    })
  }

  mkdir(index: number, path: string): void {
    this.do(index, (operation, device) => {
      operation.create(placeOf(device, path), 'dir')
    })
  }

  write(index: number, path: string): void {
    this.do(index, (operation, device) =>
      operation.overwrite(find(device, path), device.ledger.newContent())
    )
  }

  rename(index: number, from: string, to: string): void {
    this.do(index, (operation, device) => operation.rename(find(device, from), placeOf(device, to)))
  }

  remove(index: number, path: string): void {
    this.do(index, (operation, device) => operation.remove(find(device, path)))
  }

  /** Everybody hears of everything. */
  sync(): void {
    const all = this.devices.flatMap((device) => device.batches)
    for (const device of this.devices) {
      for (const batch of all) device.receive(batch, this.#nowMs)
    }
  }

  /** What the first device shows; the others must show the same. */
  tree(): Record<string, string> {
    this.sync()
    const [first, ...others] = this.devices.map((device) =>
      Object.fromEntries(device.list().map(({ path, entry }) => [path, textOf(entry)]))
    )
    for (const other of others) assert.deepStrictEqual(other, first)
    return first ?? {}
  }
}

function textOf(entry: Seen['entry']): string {
  return entry.kind === 'file' ? `file ${contentId(entry)}` : entry.kind
}

/** What a device shows at a path. */
export function find(device: Device, path: string): Seen {
  const seen = device.list().find((each) => each.path === path)
  if (seen === undefined) throw new Error(`${path} is not there`)
  return seen
}

/** The place that a path is. */
export function placeOf(device: Device, path: string): { parent: NodeId; name: Buffer } {
  const slash = path.lastIndexOf('/')
  const parent = slash === 0 ? ROOT_ID : find(device, path.slice(0, slash)).entry.node
  return { parent, name: Buffer.from(path.slice(slash + 1)) }
}

/** Replaces the digits of conflict names, which nobody can foresee. */
export function plain(tree: Record<string, string>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(tree).map(([path, text]) => [
      path.replaceAll(/, [0-9a-f]{4}\)/g, ', HEX)'),
      text
    ])
  )
}
