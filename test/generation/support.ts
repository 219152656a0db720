/** Real small generations in temporary directories, and frozen content made of pieces. */
import { type FaultPoint, noFault } from '../../src/base/fault.js'
import { silentLogger } from '../../src/base/log.js'
import { type Generation, openGeneration } from '../../src/generation/generation.js'
import type { ByteRange, FrozenReader, IngestRequest } from '../../src/generation/types.js'
import { createBlockCipher } from '../../src/keys/block-cipher.js'
import { createIdentity } from '../../src/keys/identity.js'
import type { Keyring } from '../../src/keys/keyring.js'
import { coreKey } from '../../src/store/core.js'
import { Store } from '../../src/store/store.js'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** File block bytes, as the format has them. */
export const BLOCK = 65536

/** What a test works with. */
export interface Home {
  readonly directory: string
  readonly keyring: Keyring
  readonly store: Store
  readonly generation: Generation
}

/** A fresh directory and its keyring. */
export async function newHome(): Promise<{ directory: string; keyring: Keyring }> {
  const directory = await mkdtemp(join(tmpdir(), 'pcfs-generation-'))
  const { keyring } = await createIdentity({ deviceName: 'test', coreKeyOf: coreKey })
  return { directory, keyring }
}

/** Opens store and generation of a directory. */
export async function openHome(
  directory: string,
  keyring: Keyring,
  fault: FaultPoint = noFault
): Promise<Home> {
  const cipher = createBlockCipher(keyring)
  const store = await Store.open({ directory: join(directory, 'store'), cipher })
  const generation = await openGeneration({ store, keyring, log: silentLogger, fault })
  return { directory, keyring, store, generation }
}

/** Closes generation and store. */
export async function closeHome(home: Home): Promise<void> {
  await home.generation.close()
  await home.store.close()
}

/** Runs with a fresh generation and leaves nothing behind. */
export async function withHome(run: (home: Home) => Promise<void>): Promise<void> {
  const { directory, keyring } = await newHome()
  try {
    const home = await openHome(directory, keyring)
    try {
      await run(home)
    } finally {
      await closeHome(home)
    }
  } finally {
    await rm(directory, { recursive: true, force: true })
  }
}

/** Frozen bytes: written at an offset, or a frozen hole of `hole` bytes. */
export type Piece =
  { readonly at: number; readonly bytes: Buffer } | { readonly at: number; readonly hole: number }

/** A reader of pieces that do not overlap, ascending. `reads` counts the bytes asked for. */
export function frozenOf(pieces: readonly Piece[]): FrozenReader & { readBytes: number } {
  const endOf = (piece: Piece): number => {
    return piece.at + ('bytes' in piece ? piece.bytes.length : piece.hole)
  }
  const ranges: ByteRange[] = []
  for (const piece of pieces) {
    const last = ranges.at(-1)
    if (last?.end === piece.at) ranges[ranges.length - 1] = { ...last, end: endOf(piece) }
    else ranges.push({ start: piece.at, end: endOf(piece) })
  }
  return {
    ranges,
    readBytes: 0,
    read(fileOffset, buffer) {
      this.readBytes += buffer.length
      const copied: number[] = []
      for (const piece of pieces) {
        const start = Math.max(piece.at, fileOffset)
        const end = Math.min(endOf(piece), fileOffset + buffer.length)
        if (start >= end) continue
        const target = buffer.subarray(start - fileOffset, end - fileOffset)
        if ('bytes' in piece) target.set(piece.bytes.subarray(start - piece.at, end - piece.at))
        else target.fill(0)
        copied.push(start, end)
      }
      return copied
    },
    nextData(fileOffset) {
      for (const piece of pieces) {
        if ('bytes' in piece && endOf(piece) > fileOffset) return Math.max(piece.at, fileOffset)
      }
      return -1
    }
  }
}

/** A request for a file that is written as a whole. */
export function wholeFile(bytes: Buffer): IngestRequest {
  const pieces = bytes.length === 0 ? [] : [{ at: 0, bytes }]
  return { base: null, baseEnd: 0, size: bytes.length, frozen: frozenOf(pieces) }
}

/** The bytes of a file by its map, as a reader of the mount would see them. */
export async function contentOf(
  generation: Generation,
  map: Uint8Array,
  size: number
): Promise<Buffer> {
  const content = Buffer.alloc(size)
  const blocks = Math.ceil(size / BLOCK)
  for (let block = 0; block < blocks; block += 256) {
    const read = await generation.read(map, block, Math.min(256, blocks - block))
    read.forEach((bytes, position) => {
      if (bytes !== null)
        content.set(
          bytes.subarray(0, size - (block + position) * BLOCK),
          (block + position) * BLOCK
        )
    })
  }
  return content
}

/** Bytes that do not repeat and are the same for the same seed. */
export function noise(byteLength: number, seed: number): Buffer {
  const bytes = Buffer.alloc(byteLength)
  let state = seed * 2654435761 + 1
  for (let i = 0; i + 4 <= byteLength; i += 4) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    bytes.writeUInt32LE(state, i)
  }
  if (byteLength % 4 > 0) bytes.fill(seed | 1, byteLength - (byteLength % 4))
  return bytes
}
