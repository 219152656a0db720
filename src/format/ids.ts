/**
 * What names things: nodes, generations, dots. All of them are fixed for ever: they are in records,
 * in keys of the bees and in links that other devices hold. FORMAT.md, "Ids", has the bytes.
 */
import { createHash } from 'node:crypto'
import { malformed } from './malformed.js'

declare const nodeIdBrand: unique symbol
declare const generationBrand: unique symbol
declare const linkIdBrand: unique symbol

/** A node id: 26 lower-case hex digits (13 bytes), so that it can be the key of a Map. */
export type NodeId = string & { readonly [nodeIdBrand]: true }

/** What a vector counts by: 48 bits of a hash of the generation's db core key. Never 0. */
export type GenerationNumber = number & { readonly [generationBrand]: true }

/** Names one link of one node: the dot that made the link, as text (`dotKey`). */
export type LinkId = string & { readonly [linkIdBrand]: true }

/**
 * One write of one generation. `counter` grows with every write of the generation (it need not be
 * dense) and is never issued twice, not even by a home that was restored from a backup.
 */
export interface Dot {
  readonly generation: GenerationNumber
  /** 1 to 2^48 - 1. */
  readonly counter: number
}

/** Bytes of a node id. */
export const NODE_ID_BYTES = 13
/** Greatest counter of a dot or a sequential id. */
export const MAX_COUNTER = 2 ** 48 - 1

const HEX_DIGITS = NODE_ID_BYTES * 2
const VALID_ID = /^(?:0{26}|0[12][0-9a-f]{24})$/
const LINK_ID = /^[1-9][0-9]{0,14}\.[1-9][0-9]{0,14}$/

function isNodeId(hex: string): hex is NodeId {
  return hex.length === HEX_DIGITS
}

function isGeneration(value: number): value is GenerationNumber {
  return Number.isInteger(value) && value > 0 && value <= MAX_COUNTER
}

function isLinkId(text: string): text is LinkId {
  return LINK_ID.test(text)
}

function toNodeId(hex: string): NodeId {
  if (!isNodeId(hex)) throw malformed('node id', `${hex.length} digits`)
  return hex
}

/** The root directory of the drive: 13 zero bytes. */
export const ROOT_ID: NodeId = toNodeId('0'.repeat(HEX_DIGITS))

/**
 * A node id from its text.
 * @param hex 26 lower-case hex digits
 * @throws {FsError} EIO when it is anything else
 */
export function parseNodeId(hex: string): NodeId {
  if (!VALID_ID.test(hex)) throw malformed('node id', 'not 26 hex digits with a known tag')
  return toNodeId(hex)
}

/**
 * A node id from its bytes, which are copied.
 * @param bytes holds the id from `byteOffset` on
 * @throws {FsError} EIO when they are too few or the tag is unknown
 */
export function nodeIdFromBytes(bytes: Buffer, byteOffset = 0): NodeId {
  const hex = bytes.toString('hex', byteOffset, byteOffset + NODE_ID_BYTES)
  if (bytes[byteOffset] === 0) {
    if (hex !== ROOT_ID) throw malformed('node id', 'unknown id with tag 0')
    return ROOT_ID
  }
  if (hex.length !== HEX_DIGITS || !hex.startsWith('0') || hex > '03') {
    throw malformed('node id', 'too short or an unknown tag')
  }
  return toNodeId(hex)
}

/** The 13 bytes of a node id, a fresh Buffer. */
export function nodeIdToBytes(id: NodeId): Buffer {
  return Buffer.from(id, 'hex')
}

/**
 * The id of a node that this generation makes.
 * @param counter 1 to 2^48 - 1, never used before in this generation
 */
export function sequentialId(generation: GenerationNumber, counter: number): NodeId {
  checkCounter(counter)
  return toNodeId(`01${hex48(generation)}${hex48(counter)}`)
}

/** What a sequential id was made of; null for the root and for derived ids. */
export function sequentialParts(id: NodeId): Dot | null {
  if (!id.startsWith('01')) return null
  return {
    generation: toGenerationNumber(Number.parseInt(id.slice(2, 14), 16)),
    counter: Number.parseInt(id.slice(14), 16)
  }
}

/**
 * The id of the node that a conflict's losing version is shown as: every device derives the same
 * one without writing anything.
 * @param node the node with the conflict
 * @param dot of the losing version of its data
 */
export function derivedId(node: NodeId, dot: Dot): NodeId {
  return toNodeId(`02${derivedHex(node, dot)}`)
}

/** Whether an id is a derived one. */
export function isDerivedId(id: NodeId): boolean {
  return id.startsWith('02')
}

/** The 24 hex digits that a derived id and a conflict name take their digits from. */
export function derivedHex(node: NodeId, dot: Dot): string {
  const bytes = Buffer.alloc(NODE_ID_BYTES + 12)
  bytes.write(node, 'hex')
  bytes.writeUIntBE(dot.generation, NODE_ID_BYTES, 6)
  bytes.writeUIntBE(dot.counter, NODE_ID_BYTES + 6, 6)
  return createHash('sha256').update('pcfs-derived\0').update(bytes).digest('hex').slice(0, 24)
}

/**
 * The number by which vectors and ids know a generation.
 * @param key public key (32 bytes) of the generation's db core
 */
export function generationNumber(key: Uint8Array): GenerationNumber {
  const hash = createHash('sha256').update('pcfs-generation\0').update(key).digest()
  return toGenerationNumber(Math.max(1, hash.readUIntBE(0, 6)))
}

/**
 * Checks and brands a stored generation number.
 * @throws {FsError} EIO unless it is an integer from 1 to 2^48 - 1
 */
export function toGenerationNumber(value: number): GenerationNumber {
  if (!isGeneration(value)) throw malformed('generation number', String(value))
  return value
}

/** A dot as text, for keys of Maps: `generation.counter` in decimal. */
export function dotKey(dot: Dot): string {
  return `${dot.generation}.${dot.counter}`
}

/** The id of the link that this dot made. */
export function linkIdOf(dot: Dot): LinkId {
  const text = dotKey(dot)
  if (!isLinkId(text)) throw malformed('link id', text)
  return text
}

/** Brands a stored link id. @throws {FsError} EIO when it is empty */
export function toLinkId(text: string): LinkId {
  if (!isLinkId(text)) throw malformed('link id', text)
  return text
}

/** The dot that made a link. */
export function linkDot(link: LinkId): Dot {
  const point = link.indexOf('.')
  return {
    generation: toGenerationNumber(Number(link.slice(0, point))),
    counter: Number(link.slice(point + 1))
  }
}

/** The order of links in a record: by generation, then by counter. */
export function compareLinks(a: LinkId, b: LinkId): number {
  return compareDots(linkDot(a), linkDot(b))
}

/** An order of writes: by generation, then by counter. */
export function compareDots(a: Dot, b: Dot): number {
  return a.generation - b.generation || a.counter - b.counter
}

/** Whether two dots are the same write. */
export function sameDot(a: Dot, b: Dot): boolean {
  return a.generation === b.generation && a.counter === b.counter
}

/**
 * @throws {FsError} EIO unless `counter` is an integer from 1 to 2^48 - 1
 */
export function checkCounter(counter: number): void {
  if (!Number.isInteger(counter) || counter < 1 || counter > MAX_COUNTER) {
    throw malformed('counter', String(counter))
  }
}

function hex48(value: number): string {
  return value.toString(16).padStart(12, '0')
}

/** `st_ino` of the root. */
export const ROOT_INO = 1
/** The slot of derived ids; generations have slots from 1 to one less. */
export const DERIVED_SLOT = 4095
const SLOT_SPAN = 2 ** 41

/**
 * The local inode number of a node: a safe integer, the same as long as this home's slot table is.
 * @param slotOf the local slot (1 to 4094) of a generation
 * @throws {FsError} EIO when a sequential counter needs more than 41 bits
 */
export function inoOf(id: NodeId, slotOf: (generation: GenerationNumber) => number): number {
  if (id === ROOT_ID) return ROOT_INO
  const parts = sequentialParts(id)
  if (parts === null) {
    // The top 41 of the id's 96 hash bits.
    return DERIVED_SLOT * SLOT_SPAN + Math.floor(Number.parseInt(id.slice(2, 14), 16) / 2 ** 7)
  }
  if (parts.counter >= SLOT_SPAN) throw malformed('node id', 'its counter needs more than 41 bits')
  return slotOf(parts.generation) * SLOT_SPAN + parts.counter
}

/** The slot and the counter (or hash bits) of an inode number that is not the root's. */
export function splitIno(ino: number): { readonly slot: number; readonly counter: number } {
  return { slot: Math.floor(ino / SLOT_SPAN), counter: ino % SLOT_SPAN }
}
