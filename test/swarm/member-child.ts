/**
 * A device in a process of its own, spoken to in lines of JSON: for what needs a network namespace
 * or a kill. A command `{id, op, ...}` is answered by `{id, result}` or `{id, error}`.
 */
import { systemClock } from '../../src/base/clock.js'
import { FsError } from '../../src/base/errors.js'
import type { Logger } from '../../src/base/log.js'
import { CIPHER_OVERHEAD_BYTES, createBlockCipher } from '../../src/keys/block-cipher.js'
import { epochOf } from '../../src/keys/epoch.js'
import { type Core, coreKey } from '../../src/store/core.js'
import { Store } from '../../src/store/store.js'
import { Replicas } from '../../src/swarm/replicas.js'
import { openSwarm, type Swarm } from '../../src/swarm/swarm.js'
import type { MemberCommand, MemberCommands } from './members.js'
import HyperDHT from 'hyperdht'
import { createInterface } from 'node:readline'

const epoch = epochOf(Buffer.alloc(32, 1), Buffer.alloc(32, 2))
const cipher = createBlockCipher({ epochs: [epoch], currentEpoch: epoch })

/** What is logged goes to standard error where somebody looks for it. */
const say = (level: string) => (fields: object, message: string) => {
  if (process.env.SWARM_LOG) console.error(level, message, fields)
}
const log: Logger = {
  error: say('error'),
  warn: say('warn'),
  info: say('info'),
  debug: say('debug')
}

interface Parts {
  readonly store: Store
  readonly swarm: Swarm
  readonly replicas: Replicas
  readonly own: Core
}

let opened: Parts | null = null
const dhts: HyperDHT[] = []
const received = { blocks: 0 }

function parts(): Parts {
  if (opened === null) throw new Error('not open')
  return opened
}

const calls: { [K in keyof MemberCommands]: (args: MemberCommands[K]) => Promise<unknown> } = {
  dht: async ({ host, port }) => {
    for (let i = 0; i < 3; i++) {
      const bootstrap = i === 0 ? [] : [{ host, port }]
      const options = { host, port: port + i, ephemeral: false, firewalled: false }
      const node = new HyperDHT({ ...options, bootstrap })
      dhts.push(node)
      await node.fullyBootstrapped()
    }
    return null
  },
  open: async (args) => {
    const keyPair = HyperDHT.keyPair(Buffer.alloc(32, args.seed))
    const members = new Set(args.members.map((seed) => noiseKeyOf(seed).toString('hex')))
    const store = await Store.open({ directory: args.directory, cipher })
    const own = await store.openCore({ keyPair })
    await store.barrier()
    const replicas = new Replicas(store, {
      onChange: () => undefined,
      onConflict: () => process.exit(9)
    })
    for (const { seed, isFull } of args.follow) {
      const key = coreKeyOf(seed)
      const options = { key, encryption: cipher, kind: 'content', isFull } as const
      const replica = await replicas.follow(options)
      replica.core.session.on('download', () => received.blocks++)
    }
    const { host, network } = args
    // Which a machine of its own on the internet finds out by asking nodes on other machines.
    const known = { host, firewalled: false, bootstrap: network?.bootstrap ?? [] }
    const dht = host === undefined ? {} : { dht: new HyperDHT({ ...known, host }) }
    const swarm = await openSwarm({
      keyPair,
      topic: Buffer.alloc(32, args.topic),
      network: network && { ...network, ...dht },
      isMember: (key) => members.has(key.toString('hex')),
      relays: () => args.relays.map(noiseKeyOf),
      isRelay: args.relays.includes(args.seed),
      store,
      clock: systemClock(),
      log
    })
    opened = { store, swarm, replicas, own }
    return null
  },
  append: async ({ count, bytes }) => {
    const { store, own } = parts()
    const appender = await store.openAppender(own)
    const batch = 64
    for (let i = 0; i < count; i += batch) {
      const blocks = Array.from({ length: Math.min(batch, count - i) }, (_, j) => {
        const block = Buffer.alloc(CIPHER_OVERHEAD_BYTES + bytes, own.length + j)
        block.writeUInt32LE(own.length + j, CIPHER_OVERHEAD_BYTES)
        return block
      })
      await appender.append(blocks)
    }
    await appender.close()
    await store.barrier()
    return own.length
  },
  read: async ({ seed, block, timeoutMs }) => {
    const replica = await parts().replicas.get(coreKeyOf(seed))
    const startedMs = performance.now()
    const bytes = await replica?.core.get(block, { timeoutMs })
    return { number: bytes?.readUInt32LE(0), ms: performance.now() - startedMs }
  },
  peers: async () =>
    parts()
      .swarm.peers()
      .map(({ noiseKey, path }) => ({ key: noiseKey.toString('hex'), path })),
  progress: async ({ seed }) => {
    const replica = await parts().replicas.get(coreKeyOf(seed))
    const { length, contiguousLength, heldBlocks } = (await replica?.progress()) ?? {}
    return { length, contiguousLength, heldBlocks, received: received.blocks }
  },
  suspend: async () => parts().swarm.suspend(),
  resume: async () => parts().swarm.resume(),
  close: async () => {
    const { swarm, replicas, own, store } = parts()
    await swarm.close()
    await replicas.close()
    await own.close()
    await store.close()
    for (const dht of dhts) await dht.destroy({ force: true })
    return null
  }
}

function noiseKeyOf(seed: number): Buffer {
  return HyperDHT.keyPair(Buffer.alloc(32, seed)).publicKey
}

function coreKeyOf(seed: number): Buffer {
  return coreKey(noiseKeyOf(seed))
}

async function serve(line: string): Promise<void> {
  const { id, op, args }: MemberCommand = JSON.parse(line)
  const call: (args: never) => Promise<unknown> = calls[op]
  try {
    const result: unknown = await Reflect.apply(call, null, [args])
    process.stdout.write(`${JSON.stringify({ id, result: result ?? null })}\n`)
    if (op === 'close') process.exit(0)
  } catch (error) {
    const code = error instanceof FsError ? error.code : String(error)
    process.stdout.write(`${JSON.stringify({ id, error: code })}\n`)
  }
}

for await (const line of createInterface({ input: process.stdin })) void serve(line)
