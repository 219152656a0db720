/**
 * From records to tree: what every device shows, computed from the same records and nothing else.
 * Order of evaluation: registers (`register.ts`), own liveness (`winner.ts`), cycles and directory
 * liveness (`tree-places.ts`), then, here, directories that are one listing, the contents to show,
 * and names (`tree-names.ts`).
 */
import { COMPANION_SUFFIXES, companionOf } from './companions.js'
import type { DataVersion, NodeKind, NodeRecord } from './record.js'
import { type GenerationNumber, type NodeId, ROOT_ID, compareLinks } from './ids.js'
import { type LivePlace, type Records, livePlaces, placeDirs } from './tree-places.js'
import { dataCandidates, dataLosers, dataWinner } from './winner.js'
import { byWinner } from './register.js'
import type { LinkId } from './ids.js'
import { resolveNames } from './tree-names.js'

/** What the merge is told from outside. */
export interface MergeOptions {
  /** The name of the device that a generation belongs to, for the names of conflict copies. */
  readonly deviceName: (generation: GenerationNumber) => string
  /** Default: `COMPANION_SUFFIXES`. */
  readonly companions?: readonly string[]
}

/** A link that stands for a name. */
export interface Standing {
  readonly node: NodeId
  readonly link: LinkId
}

/** One name in a directory. */
export interface Entry {
  readonly name: Buffer
  readonly kind: NodeKind
  /** The node that is shown; for a conflict copy without a record its derived id. */
  readonly node: NodeId
  /** The version of the content that is shown; null where nothing is known of it. */
  readonly data: DataVersion | null
  /**
   * What an operation on the name has to write: the shown link first, then directories that are
   * one listing with it, or nodes with the same content. Empty for a copy without a record.
   */
  readonly standing: readonly Standing[]
  /** The node whose conflict's loser this is, while the copy has no record; else null. */
  readonly copyOf: NodeId | null
  /**
   * The stored name that it would have, when its name is derived because of a conflict; else null.
   */
  readonly stem: Buffer | null
}

/** The merged tree. */
export interface Tree {
  /** Entries by the directory's shown node, sorted by the bytes of their names. */
  readonly dirs: ReadonlyMap<NodeId, readonly Entry[]>
  /** Living nodes in directories that no record is known of (yet); nothing shows them. */
  readonly orphans: readonly NodeId[]
  /** Directories that are shown elsewhere than their records say, because of a cycle. */
  readonly displaced: readonly NodeId[]
}

/** A directory with all that wants to be in it. */
export interface Folder {
  /** The shown node of the directory. */
  readonly node: NodeId
  /** What claims a name, by the name's bytes as a latin1 string; each list's winner first. */
  readonly groups: ReadonlyMap<string, readonly LivePlace[]>
  /** Directories that a cycle drove to the root. */
  readonly exiles: readonly LivePlace[]
}

/** What is shown of a node's content. */
export interface Shown {
  readonly winner: DataVersion | null
  readonly losers: readonly DataVersion[]
}

/** What the resolution of names works with. */
export interface Merging {
  readonly options: MergeOptions
  readonly companions: readonly string[]
  readonly hasRecord: (node: NodeId) => boolean
  /** What is shown of a node's content, decided once for all of its links. */
  readonly shownOf: (place: LivePlace) => Shown
  /** The first reachable link of a node with a conflict: where its copies are shown. */
  readonly firstLinkOf: (node: NodeId) => LinkId | null
  /** Whether something that is not in the folder's groups has a name (latin1 string). */
  readonly isTaken: (nameKey: string) => boolean
}

/** The tree that a set of records is. Pure; the order of the records does not matter. */
export function materialise(records: Records, options: MergeOptions): Tree {
  const companions = options.companions ?? COMPANION_SUFFIXES
  const places = placeDirs(records)
  const live = livePlaces(records, places)
  const { folders, orphans } = foldersOf(live)
  const firstLinks = firstLinksOf(folders)
  const decided = decideContents(folders, companions, firstLinks)
  const merging: Merging = {
    options,
    companions,
    hasRecord: (node) => records.has(node),
    shownOf: ({ node, record }) => decided.get(node) ?? shownBeside(record, null),
    firstLinkOf: (node) => firstLinks.get(node) ?? null,
    isTaken: () => false
  }
  const dirs = new Map<NodeId, readonly Entry[]>()
  for (const folder of folders) dirs.set(folder.node, resolveNames(folder, merging).entries)
  const displaced = [...places].filter(([, place]) => place.isDisplaced).map(([node]) => node)
  return { dirs, orphans, displaced: displaced.sort() }
}

/** The order of claims to a name: the one that keeps it first. The same on every device. */
export function byClaim(a: LivePlace, b: LivePlace): number {
  return (
    byWinner(a.link.place, b.link.place) ||
    (a.node === b.node ? compareLinks(a.link.id, b.link.id) : a.node < b.node ? -1 : 1)
  )
}

/**
 * What is shown of a node's content. A companion shows what the author of its base's winner wrote,
 * if that is among its own versions.
 * @param base the file that has the name which the node is a companion of; null: none
 */
export function shownBeside(record: NodeRecord, base: LivePlace | null): Shown {
  const author = base === null ? undefined : dataWinner(base.record)?.dot.generation
  const follows =
    author === undefined
      ? undefined
      : dataCandidates(record).find((version) => version.dot.generation === author)
  const winner = follows ?? dataWinner(record)
  return { winner, losers: dataLosers(record, winner) }
}

/** The reachable directories from the root down, with directories of one name as one folder. */
function foldersOf(live: readonly LivePlace[]): { folders: Folder[]; orphans: NodeId[] } {
  const byParent = new Map<NodeId, LivePlace[]>()
  for (const place of live) {
    const siblings = byParent.get(place.parent)
    if (siblings === undefined) byParent.set(place.parent, [place])
    else siblings.push(place)
  }
  const folders: Folder[] = []
  const queue: NodeId[][] = [[ROOT_ID]]
  for (let dirs = queue.pop(); dirs !== undefined; dirs = queue.pop()) {
    const places: LivePlace[] = []
    for (const dir of dirs) {
      places.push(...(byParent.get(dir) ?? []))
      byParent.delete(dir)
    }
    const folder = folderOf(dirs[0] ?? ROOT_ID, places)
    folders.push(folder)
    for (const group of folder.groups.values()) {
      const merged = group.filter((place) => place.record.kind === 'dir')
      if (merged.length > 0) queue.push(merged.map((place) => place.node))
    }
    for (const exile of folder.exiles) queue.push([exile.node])
  }
  const orphans = [...byParent.values()].flatMap((places) => places.map((place) => place.node))
  return { folders, orphans: [...new Set(orphans)].sort() }
}

function folderOf(node: NodeId, places: readonly LivePlace[]): Folder {
  const groups = new Map<string, LivePlace[]>()
  const exiles: LivePlace[] = []
  for (const place of places) {
    if (place.isExile) {
      exiles.push(place)
      continue
    }
    const key = place.name.toString('latin1')
    const group = groups.get(key)
    if (group === undefined) groups.set(key, [place])
    else group.push(place)
  }
  for (const group of groups.values()) if (group.length > 1) group.sort(byClaim)
  return { node, groups, exiles: exiles.sort(byClaim) }
}

/** The contents of nodes with a conflict. One with several links is decided at its first. */
function decideContents(
  folders: readonly Folder[],
  suffixes: readonly string[],
  firstLinks: ReadonlyMap<NodeId, LinkId>
): ReadonlyMap<NodeId, Shown> {
  const decided = new Map<NodeId, Shown>()
  for (const { groups } of folders) {
    for (const [key, group] of groups) {
      for (const { node, record, link } of group) {
        if (record.data.length <= 1 || firstLinks.get(node) !== link.id) continue
        const companion = record.kind === 'file' ? companionOf(key, suffixes) : null
        const base = companion === null ? undefined : groups.get(companion.base)?.find(isFile)
        decided.set(node, shownBeside(record, base ?? null))
      }
    }
  }
  return decided
}

function firstLinksOf(folders: readonly Folder[]): ReadonlyMap<NodeId, LinkId> {
  const first = new Map<NodeId, LinkId>()
  for (const { groups } of folders) {
    for (const group of groups.values()) {
      for (const { node, link, record } of group) {
        if (record.data.length <= 1) continue
        const known = first.get(node)
        if (known === undefined || compareLinks(link.id, known) < 0) first.set(node, link.id)
      }
    }
  }
  return first
}

/** Whether a claim is a file's. */
export function isFile(place: LivePlace): boolean {
  return place.record.kind === 'file'
}
