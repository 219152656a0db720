/** The Corestore of a home. */

/** An open store; see `openStore`. */
export interface Store {
  /** The store's directory. */
  readonly directory: string
  /** fdatasync of the live WAL (and of its directory when it changed). */
  barrier(): Promise<void>
  close(): Promise<void>
}
