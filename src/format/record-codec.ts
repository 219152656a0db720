/** Bytes of a node record: FORMAT.md, "Node record". */
import type { NodeRecord } from './record.js'

function todo(...args: readonly unknown[]): never {
  throw new Error(`not there yet (${args.length})`)
}

/** The canonical bytes of a record: equal records have equal bytes. */
export function encodeRecord(record: NodeRecord): Buffer {
  return todo(record)
}

/**
 * A record from its bytes. What this version of the format does not know is kept for `encodeRecord`.
 * @param bytes not kept: what the record holds of them is copied
 * @throws {FsError} EIO when they are malformed or of a later major version
 */
export function decodeRecord(bytes: Buffer): NodeRecord {
  return todo(bytes)
}
