/**
 * Connections through a device of one's own that is always on, where two others can not reach each
 * other. The relay sees ciphertext only (the handshake is between the two ends).
 *
 * A relay answers under a key of its own, made from its Noise key: under the Noise key itself a
 * client of the relay would look like a second connection of the same member, of which one is
 * dropped. Members are told that key over their connections with the relay, so that who has not
 * proved to own a `cloud` device's Noise key is never used as a relay.
 */
import type { Logger } from '../base/log.js'
import { hashParts } from '../keys/secrets.js'
import HyperDHT from 'hyperdht'
import { createRequire } from 'node:module'

/** Most devices that use this relay at a time. */
const CLIENT_LIMIT = 64

/** Name of the channel over which a relay tells its key; its only message is the key, 32 bytes. */
const PROTOCOL = 'pcfs/relay/1'

interface RelaySession {
  on(event: 'error', listener: (err: unknown) => void): this
}

interface BlindRelay {
  readonly Server: new (options: { readonly createStream: (options: object) => unknown }) => {
    accept(stream: HyperDHT.Connection, options: { readonly id: Buffer }): RelaySession
    close(): Promise<void>
  }
}

/** The part of compact-encoding that a message of raw bytes needs. */
interface EncodingState {
  start: number
  end: number
  readonly buffer: Buffer
}

interface Muxer {
  createChannel(options: object): { open(): void; readonly messages: readonly Message[] } | null
}

interface Message {
  send(bytes: Buffer): unknown
}

/** A relay that is running. */
export interface RelayServer {
  /** What clients call. */
  readonly publicKey: Buffer
  close(): Promise<void>
}

/** How a relay is made. */
export interface RelayOptions {
  readonly dht: HyperDHT
  readonly keyPair: HyperDHT.KeyPair
  readonly isMember: (remotePublicKey: Buffer) => boolean
  readonly log: Logger
}

/** Starts to relay for members, and for nobody else. */
export function openRelay(options: RelayOptions): RelayServer {
  const { dht, isMember, log } = options
  const { Server } = loadBlindRelay()
  const secret = options.keyPair.secretKey.subarray(0, 32)
  const keyPair = HyperDHT.keyPair(hashParts('pcfs relay', [secret]))
  const relay = new Server({
    createStream: (stream) => dht.createRawStream({ ...stream, framed: true })
  })
  const clients = new Set<HyperDHT.Connection>()
  const firewall = (key: Buffer): boolean => clients.size >= CLIENT_LIMIT || !isMember(key)
  const server = dht.createServer({ firewall, shareLocalAddress: false }, (client) => {
    clients.add(client)
    client.on('close', () => clients.delete(client))
    client.on('error', (err: unknown) => log.debug({ err }, 'a client of the relay has left'))
    const session = relay.accept(client, { id: client.remotePublicKey })
    session.on('error', (err) => log.debug({ err }, 'a relayed connection has ended'))
  })
  server.listen(keyPair).catch((err: unknown) => log.warn({ err }, 'this device can not relay'))
  return {
    publicKey: keyPair.publicKey,
    close: async () => {
      for (const client of clients) client.destroy()
      await server.close()
    }
  }
}

/**
 * Opens the channel on which a relay tells its key. Both ends open it.
 * @param own our relay's key; null: we are none
 * @param onKey the other end is a relay and this is its key
 */
export function tellRelay(
  connection: HyperDHT.Connection,
  own: Buffer | null,
  onKey: (publicKey: Buffer) => void
): void {
  if (!isMuxer(connection.userData)) return
  const channel = connection.userData.createChannel({
    protocol: PROTOCOL,
    messages: [
      {
        encoding: RAW,
        onmessage: (key: Buffer) => {
          if (key.length === 32) onKey(Buffer.from(key))
        }
      }
    ]
  })
  channel?.open()
  if (own !== null) channel?.messages[0]?.send(own)
}

const RAW = {
  preencode: (state: EncodingState, bytes: Buffer): void => {
    state.end += bytes.length
  },
  encode: (state: EncodingState, bytes: Buffer): void => {
    state.buffer.set(bytes, state.start)
    state.start += bytes.length
  },
  decode: (state: EncodingState): Buffer => {
    const bytes = state.buffer.subarray(state.start, state.end)
    state.start = state.end
    return bytes
  }
}

function isMuxer(value: unknown): value is Muxer {
  return typeof value === 'object' && value !== null && 'createChannel' in value
}

/** The one that hyperdht brings: its clients are the other end of what we serve. */
function loadBlindRelay(): BlindRelay {
  const load = createRequire(createRequire(import.meta.url).resolve('hyperdht'))
  const module: BlindRelay = load('blind-relay')
  return module
}
