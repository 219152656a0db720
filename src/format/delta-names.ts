/**
 * The last part of a delta: the entries of the names that have to be resolved. A name without a
 * conflict costs no more than itself. Names that have to do with each other (a base and its
 * companions: a cluster, known by its root) are resolved together; those of other clusters stand
 * as they are, unless a derived name meets another name: then all of the directory's conflicts are
 * resolved at once, in the order that `materialise` has.
 */
import type { DerivedName, EntryChange } from './merge-state.js'
import type { Entry, Folder, MergeOptions, Merging } from './tree.js'
import { type LivePlace, wantedLink } from './tree-places.js'
import { type NodeId, ROOT_ID } from './ids.js'
import { type Resolved, isSameEntry, plainEntry, resolveNames } from './tree-names.js'
import { firstLinkOf, groupAt, shownOf } from './delta-conflicts.js'
import type { Overlay } from './delta-overlay.js'
import { byClaim } from './tree.js'
import { companionOf, rootOf } from './companions.js'
import { isLive } from './winner.js'

/** What names are resolved with. */
export interface Naming {
  readonly overlay: Overlay
  readonly options: MergeOptions
  readonly suffixes: readonly string[]
  /** Names that exiles had before the batch or have after it. */
  readonly exileKeys: ReadonlySet<string>
}

/** One shown directory of which names are to be resolved. */
export class FolderNames {
  readonly #naming: Naming
  readonly #overlay: Overlay
  readonly #dir: NodeId
  readonly #dirty: ReadonlySet<string>
  readonly #formerKnots: ReadonlySet<string>
  readonly #exiles: readonly LivePlace[]

  /**
   * @param dir shown, before the batch or after it
   * @param dirty names to resolve
   */
  constructor(naming: Naming, dir: NodeId, dirty: ReadonlySet<string>) {
    this.#naming = naming
    this.#overlay = naming.overlay
    this.#dir = dir
    this.#dirty = dirty
    this.#formerKnots = new Set(naming.overlay.formerDir(dir)?.knots)
    this.#exiles = dir === ROOT_ID ? exilesOf(naming.overlay) : []
  }

  /** Puts the entries that may have changed. */
  resolve(): void {
    const knotted = this.#knottedRoots()
    const formerDerived = this.#overlay.derivedOf(this.#dir)
    const derivedKeys = new Set(formerDerived.map(({ nameKey }) => nameKey))
    let active = new Set<string>()
    let isAll = this.#overlay.isEntangled(this.#dir)
    const simple: string[] = []
    for (const key of this.#dirty) {
      const root = knotted.size === 0 ? key : this.#rootOf(key)
      if (knotted.has(root)) active.add(root)
      else simple.push(key)
      isAll ||= derivedKeys.has(key)
    }
    if (isAll) active = knotted
    const changes: EntryChange[] = []
    if (active.size > 0 || formerDerived.length > 0) changes.push(...this.#tangled(active, knotted))
    const taken = new Set(changes.flatMap(({ nameKey, entry }) => (entry ? [nameKey] : [])))
    for (const key of simple) if (!taken.has(key)) changes.push(this.#simple(key))
    for (const change of changes) if (this.#isNew(change)) this.#overlay.putEntry(change)
  }

  /** Whether a name shows something else than before. */
  #isNew({ dir, nameKey, entry }: EntryChange): boolean {
    const former = this.#overlay.state.entry(dir, nameKey)
    return entry === null || former === null ? entry !== former : !isSameEntry(former, entry)
  }

  #rootOf(nameKey: string): string {
    return rootOf(nameKey, this.#naming.suffixes)
  }

  /** The clusters with a conflict, before or after the batch. */
  #knottedRoots(): Set<string> {
    const roots = new Set<string>()
    for (const key of this.#overlay.knotsOf(this.#dir) ?? []) roots.add(this.#rootOf(key))
    for (const key of this.#formerKnots) roots.add(this.#rootOf(key))
    if (this.#dir !== ROOT_ID) return roots
    for (const { name } of this.#exiles) roots.add(this.#rootOf(name.toString('latin1')))
    for (const key of this.#naming.exileKeys) roots.add(this.#rootOf(key))
    return roots
  }

  /** A name that at most one claims, with nothing else to do with it. */
  #simple(nameKey: string): EntryChange {
    const [place] = groupAt(this.#overlay, this.#dir, nameKey)
    return { dir: this.#dir, nameKey, entry: place === undefined ? null : plainEntry(place) }
  }

  /** The clusters with conflicts that are active; all of them if names meet. */
  #tangled(active: ReadonlySet<string>, knotted: ReadonlySet<string>): readonly EntryChange[] {
    const former = this.#overlay.derivedOf(this.#dir)
    const isAll = active.size === knotted.size
    const isActive = (each: DerivedName): boolean => active.has(this.#rootOf(each.stemKey))
    const standing = isAll ? [] : former.filter((each) => !isActive(each))
    if (active.size === 0 && standing.length === former.length) return []
    const groups = this.#groupsOf(active)
    const resolved = this.#resolveWith(groups, active, standing)
    if (resolved.hasCollided && !isAll) return this.#tangled(knotted, knotted)
    const derived: DerivedName[] = [...standing]
    const entries = new Map<string, Entry>()
    for (const entry of resolved.entries) {
      const nameKey = entry.name.toString('latin1')
      entries.set(nameKey, entry)
      const { stem } = entry
      if (stem !== null) derived.push({ nameKey, stemKey: stem.toString('latin1') })
    }
    const gone = (isAll ? former : former.filter(isActive)).map(({ nameKey }) => nameKey)
    this.#overlay.setDerived(this.#dir, derived, isAll && resolved.hasCollided)
    const changes: EntryChange[] = []
    for (const nameKey of new Set([...groups.keys(), ...this.#dirtyOf(active), ...gone])) {
      if (!entries.has(nameKey)) changes.push({ dir: this.#dir, nameKey, entry: null })
    }
    for (const [nameKey, entry] of entries) changes.push({ dir: this.#dir, nameKey, entry })
    return changes
  }

  #dirtyOf(active: ReadonlySet<string>): readonly string[] {
    return [...this.#dirty, ...this.#formerKnots].filter((key) => active.has(this.#rootOf(key)))
  }

  #resolveWith(
    groups: ReadonlyMap<string, readonly LivePlace[]>,
    active: ReadonlySet<string>,
    standing: readonly DerivedName[]
  ): Resolved {
    const overlay = this.#overlay
    const { options, suffixes } = this.#naming
    const kept = new Set(standing.map(({ nameKey }) => nameKey))
    const exiles = this.#exiles.filter((exile) =>
      active.has(this.#rootOf(exile.name.toString('latin1')))
    )
    const folder: Folder = { node: this.#dir, groups, exiles }
    const merging: Merging = {
      options,
      companions: suffixes,
      hasRecord: (node) => overlay.record(node) !== null,
      shownOf: (place) => shownOf(overlay, place),
      firstLinkOf: (node) => firstLinkOf(overlay, node),
      isTaken: (key) => kept.has(key) || (!groups.has(key) && this.#isStored(key))
    }
    return resolveNames(folder, merging)
  }

  #isStored(nameKey: string): boolean {
    const members = this.#overlay.membersOf(this.#dir)
    return members.some((member) => this.#overlay.claimsAt(member, nameKey).length > 0)
  }

  /** The claims of the active clusters: their conflicts and changes, bases and companions. */
  #groupsOf(active: ReadonlySet<string>): Map<string, readonly LivePlace[]> {
    const { suffixes } = this.#naming
    const groups = new Map<string, readonly LivePlace[]>()
    const asked = new Set<string>()
    const load = (key: string): boolean => {
      if (!asked.has(key)) {
        asked.add(key)
        const group = groupAt(this.#overlay, this.#dir, key)
        if (group.length > 0) groups.set(key, group)
      }
      return groups.has(key)
    }
    const down = new Set<string>(active)
    for (const key of [...(this.#overlay.knotsOf(this.#dir) ?? []), ...this.#dirtyOf(active)]) {
      if (active.has(this.#rootOf(key))) down.add(key)
    }
    for (const key of down) {
      for (let up = companionOf(key, suffixes); up !== null;) {
        load(up.base)
        up = companionOf(up.base, suffixes)
      }
      load(key)
      for (const suffix of suffixes) if (load(key + suffix)) down.add(key + suffix)
    }
    return groups
  }
}

/** The directories that cycles drove to the root and that live. */
function exilesOf(overlay: Overlay): readonly LivePlace[] {
  const exiles: LivePlace[] = []
  for (const [node, stage] of overlay.displaced) {
    const record = stage === 'root' ? overlay.record(node) : null
    const link = record === null ? null : wantedLink(node, record)
    if (record === null || link === null) continue
    if (!isLive(record) && overlay.claimCount(node) === 0) continue
    exiles.push({ node, record, link, parent: ROOT_ID, name: link.place.name, isExile: true })
  }
  return exiles.sort(byClaim)
}
