/** What is known of a foreign drive's tree. Names and paths: one character per byte (latin1). */

/** Where the content of a file lies in its drive's blobs core. */
export interface ForeignBlob {
  readonly byteOffset: number
  readonly blockOffset: number
  readonly blockLength: number
  readonly byteLength: number
  /** The blocks hold a list of the content's blocks. */
  readonly blockMap?: true
}

/** One name of a directory. */
export interface ForeignEntry {
  readonly name: string
  readonly kind: 'dir' | 'file' | 'link'
  /** Block of the `db` core that says so; another one when the entry was written again. */
  readonly seq: number
  /** Bytes. */
  readonly size: number
  readonly isExecutable: boolean
  /** null: it has no bytes. */
  readonly blob: ForeignBlob | null
  /** Of a link: relative, and leads to nowhere outside of the drive. */
  readonly target: string | null
}

/** A directory at one version of the drive. */
export interface ForeignListing {
  /** Length of the `db` core. */
  readonly version: number
  readonly entries: readonly ForeignEntry[]
}

/** What a path stands for at one version of the drive; null: nothing. */
export interface ForeignLookup {
  readonly version: number
  readonly entry: ForeignEntry | null
}

/** News of a drive. */
export interface ForeignChange {
  readonly version: number
  /** What was put or removed; null: too much, or not known. */
  readonly paths: readonly string[] | null
}

/** How a drive is reached. */
export interface ForeignState {
  readonly version: number
  /** Peers that are connected now. */
  readonly peers: number
}

/**
 * The drives that are attached, by number. Every call ends within a minute.
 * A call rejects with EHOSTUNREACH when what it needs is not here and no peer is connected,
 * ETIMEDOUT when no peer has sent it, EIO for what is no drive.
 */
export interface ForeignDrives {
  /** @param path '' or `/a/b`; a path that is none lists nothing */
  list(drive: number, path: string): Promise<ForeignListing>
  lookup(drive: number, path: string): Promise<ForeignLookup>
  /** @returns the bytes of the range; shorter where the content is shorter than its entry says */
  read(
    drive: number,
    blob: ForeignBlob,
    range: { readonly fileOffset: number; readonly length: number }
  ): Promise<Uint8Array>
}
