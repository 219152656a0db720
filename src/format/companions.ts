/**
 * Files that are only right together: a database and its journals. In a conflict they follow one
 * winner, and the copies of both get the same name, or the database would be torn.
 */

/** What is appended to a file's name to name its companions: SQLite's. */
export const COMPANION_SUFFIXES: readonly string[] = ['-wal', '-journal', '-shm']

/** A companion's name taken apart. */
export interface Companion {
  /** Name of the file that it belongs to (latin1 string of its bytes). */
  readonly base: string
  readonly suffix: string
}

/**
 * What a name is a companion of, if there is such a file; null when it does not look like one.
 * @param nameKey latin1 string of a name's bytes
 */
export function companionOf(nameKey: string, suffixes: readonly string[]): Companion | null {
  const suffix = suffixes.find((each) => nameKey.length > each.length && nameKey.endsWith(each))
  return suffix === undefined ? null : { base: nameKey.slice(0, -suffix.length), suffix }
}

/** The name that a companion, or a companion of one, goes back to: itself when it is none. */
export function rootOf(nameKey: string, suffixes: readonly string[]): string {
  let root = nameKey
  let companion = companionOf(root, suffixes)
  while (companion !== null) {
    root = companion.base
    companion = companionOf(root, suffixes)
  }
  return root
}
