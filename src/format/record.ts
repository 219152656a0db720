/**
 * The node record: all that is known about one node, as registers that merge separately. A register
 * is the set of its maximal versions, nearly always one. Everything here is immutable data; bytes
 * are in `record-codec.ts`, new versions are made in `edit.ts`, winners chosen in `winner.ts`.
 *
 * Invariants: the versions of a register are sorted, the greatest (stamp, generation) first; none
 * is covered by another; a generation has at most one version in a register.
 */
import type { Dot, LinkId, NodeId } from './ids.js'
import type { Stamp } from './hlc.js'
import type { Vector } from './vector.js'

/** What a node is; never changes. */
export type NodeKind = 'file' | 'dir' | 'symlink' | 'fifo' | 'socket' | 'char' | 'block'

/** Bytes of later versions of the format that this one does not know and keeps; null: none. */
export type Unknown = Buffer | null

/** What each version of any register has. */
export interface VersionHead {
  /** The write that made it. */
  readonly dot: Dot
  /** What it covers, its own dot included. */
  readonly vector: Vector
  /** max(HLC, stamps of the versions it covers + 1). */
  readonly stamp: Stamp
  /** Wall clock when it was done, ns since 1970: for ctime and for the date of a conflict copy. */
  readonly atNs: bigint
  readonly unknown: Unknown
}

/** A name in a directory. */
export interface Place {
  readonly parent: NodeId
  /** 1 to 255 bytes without NUL and slash; need not be UTF-8. */
  readonly name: Buffer
}

/** What the deleter of a node's last link had seen. */
export interface Seen {
  readonly data: Vector
  readonly attr: Vector
}

/** A version of where one link is. */
export interface PlaceVersion extends VersionHead, Place {
  /** A tombstone; parent and name then say where it was. */
  readonly deleted: boolean
  /**
   * What of the node's content is deleted, by this tombstone or by one that this version covers:
   * it does not come back, whatever else does. null: nothing; a tombstone without it took away one
   * of several links and did not mean the content.
   */
  readonly seen: Seen | null
  /**
   * Where a directory was before it came to `parent` (its name in `parent` since then may have
   * changed: prev has the newer one). null: it was made there, or it is not a directory.
   */
  readonly prev: Place | null
}

/** What is in a node. Directories, fifos, sockets and devices have times but no content. */
export type Content =
  | {
      readonly type: 'file'
      /** Bytes; may exceed what the map covers (holes). */
      readonly size: number
      /**
       * Encoded content maps (`map-codec.ts`), any of which serves: 1 to `MAX_MAPS`, sorted by
       * their bytes. Location is not version: a re-homed or compacted file is the same version
       * elsewhere.
       */
      readonly maps: readonly Buffer[]
      /** SHA-256 of the whole content, when it passed through the writing device; else null. */
      readonly hash: Buffer | null
    }
  | { readonly type: 'link'; readonly target: Buffer }
  | { readonly type: 'none' }

/** Content maps that one version of a file keeps at most; of more, the first by their bytes. */
export const MAX_MAPS = 4

/** A version of the content. */
export interface DataVersion extends VersionHead {
  /** The write that made the content: an older dot when this version changed only the times. */
  readonly contentDot: Dot
  /**
   * Signed 64 bits. A directory's mtime as it was set last, at `atNs`; what its entries did later
   * is not in its record.
   */
  readonly mtimeNs: bigint
  readonly content: Content
}

/** Who owns a node: whoever mounts, or numeric ids. */
export type Owner =
  { readonly type: 'self' } | { readonly type: 'ids'; readonly uid: number; readonly gid: number }

/** One field of the attributes with the stamp of the write that set it. */
export interface Field<T> {
  readonly value: T
  readonly stamp: Stamp
}

/** The value of an extended attribute; null: removed. */
export type Xattr = Field<Buffer | null>

/** A version of the attributes. Each field is older than or as old as the version. */
export interface AttrVersion extends VersionHead {
  /** Permission bits with setuid, setgid and sticky: 0 to 0o7777. */
  readonly mode: Field<number>
  readonly owner: Field<Owner>
  /** By name, whose bytes are a latin1 string here; sorted. */
  readonly xattrs: ReadonlyMap<string, Xattr>
}

/** A record, without its id, which is its key. */
export interface NodeRecord {
  readonly kind: NodeKind
  /** Device number of `char` and `block` as Linux encodes it; 0 for others. */
  readonly rdev: number
  /** Wall clock when the node was made, ns since 1970. */
  readonly bornNs: bigint
  /** One register for each link ever made, in the order of their ids; the root has none. */
  readonly places: ReadonlyMap<LinkId, readonly PlaceVersion[]>
  /** Content and its times; empty only where nothing but the node's existence is known. */
  readonly data: readonly DataVersion[]
  /** Empty only where nothing but the node's existence is known. */
  readonly attr: readonly AttrVersion[]
  /** Sections with unknown tags, by tag. */
  readonly unknownSections: ReadonlyMap<number, Buffer>
}
