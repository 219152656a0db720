/**
 * Which directories are one listing after the batch. Directories that claim one name are shown as
 * one, under the node of the claim that wins it; so are then those of one name below them.
 *
 * Nearest to the root first: where a directory's entries are decides which names meet there.
 */
import { type NamesByDir, type Touched, addName } from './delta-places.js'
import { type NodeId, ROOT_ID } from './ids.js'
import type { Claim } from './merge-state.js'
import type { Overlay } from './delta-overlay.js'
import { byClaim } from './tree.js'

/** Regroups directories; collects which names of which shown directories are to be resolved. */
export class Listings {
  /** Names by shown directory, of those before the batch and of those after. */
  readonly dirty: NamesByDir = new Map()
  readonly #overlay: Overlay
  /** What to regroup, by how far from the root it is: names by real directory. */
  readonly #waiting: NamesByDir[] = []
  readonly #depths = new Map<NodeId, number>([[ROOT_ID, 0]])

  constructor(overlay: Overlay, touched: Touched) {
    this.#overlay = overlay
    const { dirNames, unplaced } = touched
    for (const [dir, keys] of dirNames) {
      // Who was one listing with a directory that is gone may now be in another one than it was.
      const former = overlay.state.dir(dir)?.host
      for (const key of keys) {
        this.#wait(dir, key)
        if (former !== undefined && former !== dir) this.#wait(former, key)
      }
    }
    for (const dir of unplaced) this.#group([dir])
    for (let names = this.#next(); names !== undefined; names = this.#next()) {
      for (const [dir, keys] of names) for (const key of keys) this.#regroup(dir, key)
    }
    for (const [dir, keys] of touched.names) {
      const former = overlay.state.dir(dir)?.host ?? dir
      const host = overlay.hostOf(dir)
      for (const key of keys) {
        addName(this.dirty, host, key)
        if (former !== host) addName(this.dirty, former, key)
      }
    }
  }

  #wait(dir: NodeId, nameKey: string): void {
    const depth = this.#depthOf(dir)
    const names = this.#waiting[depth] ?? new Map()
    this.#waiting[depth] = names
    addName(names, dir, nameKey)
  }

  /** The waiting names nearest to the root. */
  #next(): NamesByDir | undefined {
    for (const [depth, names] of this.#waiting.entries()) {
      if (names === undefined || names.size === 0) continue
      this.#waiting[depth] = new Map()
      return names
    }
    return undefined
  }

  /** The directories that claim one name become one listing. */
  #regroup(dir: NodeId, nameKey: string): void {
    const overlay = this.#overlay
    const claims: Claim[] = []
    for (const member of overlay.membersOf(overlay.hostOf(dir))) {
      for (const claim of overlay.claimsAt(member, nameKey)) {
        if (overlay.record(claim.node)?.kind === 'dir') claims.push(claim)
      }
    }
    if (claims.length === 0) return
    const sorted =
      claims.length === 1
        ? claims
        : claims
            .map((claim) => ({ claim, place: overlay.livePlace(claim) }))
            .sort((a, b) => byClaim(a.place, b.place))
            .map(({ claim }) => claim)
    this.#group(sorted.map((claim) => claim.node))
  }

  /** @param members all that are one listing, the one that it is shown as first */
  #group(members: readonly NodeId[]): void {
    const overlay = this.#overlay
    const [host] = members
    if (host === undefined) return
    for (const dir of members) {
      const former = overlay.hostOf(dir)
      if (former === host) continue
      overlay.dir(dir).host = host
      this.#moveNames(dir, former)
    }
    // Whoever left is, or will be, in another listing, or dead; each sees to its own.
    for (const dir of members) overlay.setMembers(dir, dir === host ? members : [])
  }

  /** All names in a directory are shown under another node. */
  #moveNames(dir: NodeId, former: NodeId): void {
    const overlay = this.#overlay
    const host = overlay.hostOf(dir)
    for (const { node, nameKey } of overlay.claims(dir)) {
      addName(this.dirty, former, nameKey)
      addName(this.dirty, host, nameKey)
      if (overlay.record(node)?.kind !== 'dir') continue
      this.#wait(dir, nameKey)
      this.#wait(former, nameKey)
    }
  }

  /** Steps to the root, or to where nothing more is known. */
  #depthOf(dir: NodeId): number {
    const path: NodeId[] = []
    let node: NodeId | null = dir
    let depth = this.#depths.get(node)
    while (depth === undefined && node !== null) {
      path.push(node)
      node = this.#overlay.placeOf(node)?.parent ?? null
      depth = node === null ? -1 : this.#depths.get(node)
    }
    for (const each of path.reverse()) {
      depth = (depth ?? -1) + 1
      this.#depths.set(each, depth)
    }
    return this.#depths.get(dir) ?? 0
  }
}
