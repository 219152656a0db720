/**
 * The first half of a delta: where directories are after the batch (cycles), which of them live,
 * and so which claims come and go.
 */
import type { Claim, NodeChange } from './merge-state.js'
import { type Movings, type Stage, breakCycles, wantedLink, whereIs } from './tree-places.js'
import type { NodeRecord, Place, PlaceVersion } from './record.js'
import { type NodeId, ROOT_ID, sameDot } from './ids.js'
import { isLive, liveLinks } from './winner.js'
import type { LinkId } from './ids.js'
import type { Moving } from './tree-places.js'
import type { Overlay } from './delta-overlay.js'

/** Names by directory. */
export type NamesByDir = Map<NodeId, Set<string>>

/** What the first half hands to the second. */
export interface Touched {
  /** Names whose claims came, went, or have another rank or content; by their real directory. */
  readonly names: NamesByDir
  /** Of those the ones where a directory was or is. */
  readonly dirNames: NamesByDir
  /** Directories that lost their place: dead, forgotten or exiles. */
  readonly unplaced: ReadonlySet<NodeId>
  /** Names that exiles have or had. */
  readonly exileKeys: ReadonlySet<string>
  /** Whether the way from the root to anything may have changed. */
  readonly hasMoved: boolean
}

/** Adds a name to a directory's. */
export function addName(names: NamesByDir, dir: NodeId, nameKey: string): void {
  const known = names.get(dir)
  if (known === undefined) names.set(dir, new Set([nameKey]))
  else known.add(nameKey)
}

/**
 * Whether only what a node contains may have changed, and neither before nor after it had a
 * conflict: nearly every edit. Its claims are what they were.
 */
export function isPlainEdit({ before, after }: NodeChange): boolean {
  if (before === null || after === null || before.kind !== after.kind) return false
  if (before.data.length > 1 || after.data.length > 1) return false
  if (after.kind === 'dir' && after.places.size > 1) return false
  if (before.places === after.places) return isQuiet(before)
  if (before.places.size !== after.places.size) return false
  for (const [link, versions] of before.places) {
    const others = after.places.get(link)
    const [version] = versions
    const [other] = others ?? []
    if (version === undefined || other === undefined) return false
    if (versions.length + (others?.length ?? 0) > 2 || version.deleted) return false
    if (!isSamePlace(version, other)) return false
  }
  return true
}

function isQuiet({ places }: NodeRecord): boolean {
  for (const versions of places.values()) {
    if (versions.length > 1 || versions[0]?.deleted !== false) return false
  }
  return true
}

function isSamePlace(a: PlaceVersion, b: PlaceVersion): boolean {
  if (a === b) return true
  return (
    sameDot(a.dot, b.dot) &&
    a.stamp === b.stamp &&
    a.deleted === b.deleted &&
    isSameName(a, b) &&
    (a.prev === null || b.prev === null ? a.prev === b.prev : isSameName(a.prev, b.prev))
  )
}

function isSameName(a: Place, b: Place): boolean {
  return a.parent === b.parent && a.name.equals(b.name)
}

/** Places directories, then moves the claims of all that changed. */
export class Placing {
  readonly names: NamesByDir = new Map()
  readonly dirNames: NamesByDir = new Map()
  readonly unplaced = new Set<NodeId>()
  readonly exileKeys = new Set<string>()
  hasMoved = false
  readonly #overlay: Overlay
  readonly #before = new Map<NodeId, NodeRecord | null>()
  /** Directories whose claim is to be looked at. */
  readonly #queue = new Set<NodeId>()
  /** The claims that directories have by now. */
  readonly #claimOf = new Map<NodeId, Claim | null>()

  /** @param changes without the plain edits */
  constructor(overlay: Overlay, changes: readonly NodeChange[]) {
    this.#overlay = overlay
    for (const { node, before } of changes) this.#before.set(node, before)
    this.#placeDirs(changes)
    for (const change of changes) this.#moveClaims(change)
    const asked = new Set(this.#queue)
    for (const parent of overlay.editedParents()) if (this.#mayFlip(parent)) asked.add(parent)
    this.#queue.clear()
    for (const dir of asked) this.#queue.add(dir)
    for (const dir of this.#queue) {
      this.#queue.delete(dir)
      this.#moveDir(dir)
    }
    this.#findMissing(changes)
  }

  #recordBefore(node: NodeId): NodeRecord | null {
    const before = this.#before.get(node)
    return before === undefined ? this.#overlay.state.record(node) : before
  }

  /** Voids moves again, from what all directories want, where something may be different. */
  #placeDirs(changes: readonly NodeChange[]): void {
    const overlay = this.#overlay
    const starts = new Set<NodeId>()
    for (const { node, before, after } of changes) {
      if (before?.kind !== 'dir' && after?.kind !== 'dir') continue
      if (node === ROOT_ID) continue
      this.#queue.add(node)
      if (!isSameWish(wishOf(node, before), wishOf(node, after))) starts.add(node)
    }
    if (starts.size === 0) return
    this.hasMoved = true
    const former = overlay.state.displaced()
    for (const dir of former.keys()) starts.add(dir)
    const moving = new LazyMovings(overlay)
    breakCycles(moving, starts)
    overlay.displaced = moving.displaced()
    for (const dir of new Set([...former.keys(), ...overlay.displaced.keys()])) {
      const stage = overlay.displaced.get(dir) ?? null
      if (stage === (former.get(dir) ?? null)) continue
      overlay.setStage(dir, stage)
      this.#queue.add(dir)
    }
  }

  /** The claims of what is not a directory. */
  #moveClaims({ node, before, after }: NodeChange): void {
    const gone = before === null || before.kind === 'dir' ? [] : claimsOf(node, before)
    const come = after === null || after.kind === 'dir' ? [] : claimsOf(node, after)
    for (const claim of gone) {
      addName(this.names, claim.parent, claim.nameKey)
      if (!come.some((each) => isSameClaim(each, claim))) this.#overlay.removeClaim(claim)
    }
    for (const claim of come) {
      addName(this.names, claim.parent, claim.nameKey)
      if (!gone.some((each) => isSameClaim(each, claim))) this.#overlay.addClaim(claim)
    }
  }

  /** Whether a directory may begin or cease to live because of claims in it. */
  #mayFlip(parent: NodeId): boolean {
    if (parent === ROOT_ID) return false
    if (this.#claimOf.has(parent)) return true
    const before = this.#overlay.state.claimCount(parent)
    return before === 0 || this.#overlay.claimCount(parent) === 0
  }

  #moveDir(dir: NodeId): void {
    const overlay = this.#overlay
    const former = this.#claimBefore(dir)
    const claim = this.#claimAfter(dir)
    this.#claimOf.set(dir, claim)
    const isSame = former === null ? claim === null : claim !== null && isSameClaim(former, claim)
    if (isSame && !this.#before.has(dir)) return
    if (former) this.#touchDir(former)
    if (claim) this.#touchDir(claim)
    if (isSame) return
    this.hasMoved = true
    if (former) overlay.removeClaim(former)
    if (claim) overlay.addClaim(claim)
    if (claim === null) this.unplaced.add(dir)
    else this.unplaced.delete(dir)
    for (const parent of [former?.parent, claim?.parent]) {
      if (parent !== undefined && this.#mayFlip(parent)) this.#queue.add(parent)
    }
  }

  #touchDir({ parent, nameKey }: Claim): void {
    addName(this.names, parent, nameKey)
    addName(this.dirNames, parent, nameKey)
  }

  #claimBefore(dir: NodeId): Claim | null {
    const moved = this.#claimOf.get(dir)
    if (moved !== undefined) return moved
    const { state } = this.#overlay
    const record = this.#recordBefore(dir)
    const stage = state.displaced().get(dir) ?? 'wanted'
    return this.#dirClaim(dir, { record, stage, count: state.claimCount(dir) })
  }

  #claimAfter(dir: NodeId): Claim | null {
    const overlay = this.#overlay
    const stage = overlay.displaced.get(dir) ?? 'wanted'
    const record = overlay.record(dir)
    return this.#dirClaim(dir, { record, stage, count: overlay.claimCount(dir) })
  }

  /** null: dead, not a directory, or an exile, which claims no name. */
  #dirClaim(
    dir: NodeId,
    { record, stage, count }: { record: NodeRecord | null; stage: Stage; count: number }
  ): Claim | null {
    const link = record === null ? null : wantedLink(dir, record)
    if (record === null || link === null) return null
    const { parent, name } = whereIs({ link, stage })
    const nameKey = name.toString('latin1')
    if (stage === 'root') this.exileKeys.add(nameKey)
    if (stage === 'root' || (count === 0 && !isLive(record))) return null
    return { parent, nameKey, node: dir, link: link.id }
  }

  #findMissing(changes: readonly NodeChange[]): void {
    const overlay = this.#overlay
    const asked = new Set<NodeId>()
    for (const parent of overlay.editedParents()) {
      const hadClaims = overlay.state.claimCount(parent) > 0
      if (hadClaims !== overlay.claimCount(parent) > 0) asked.add(parent)
    }
    for (const { node, before, after } of changes) {
      if ((before?.kind === 'dir') !== (after?.kind === 'dir')) asked.add(node)
    }
    asked.delete(ROOT_ID)
    for (const node of asked) {
      const wasDir = this.#recordBefore(node)?.kind === 'dir'
      const isDir = overlay.record(node)?.kind === 'dir'
      const wasMissing = !wasDir && overlay.state.claimCount(node) > 0
      const isMissing = !isDir && overlay.claimCount(node) > 0
      if (wasMissing !== isMissing) overlay.setMissing(node, isMissing)
      this.hasMoved ||= wasMissing !== isMissing
    }
  }
}

/** Directories as they are asked for, beginning where they want to be. */
class LazyMovings implements Movings {
  readonly #overlay: Overlay
  readonly #known = new Map<NodeId, Moving | null>()

  constructor(overlay: Overlay) {
    this.#overlay = overlay
  }

  get(node: NodeId): Moving | undefined {
    const known = this.#known.get(node)
    if (known !== undefined) return known ?? undefined
    const record = node === ROOT_ID ? null : this.#overlay.record(node)
    const link = record === null ? null : wantedLink(node, record)
    const moving: Moving | null = link === null ? null : { link, stage: 'wanted' }
    this.#known.set(node, moving)
    return moving ?? undefined
  }

  displaced(): Map<NodeId, Stage> {
    const displaced = new Map<NodeId, Stage>()
    for (const [node, moving] of this.#known) {
      if (moving !== null && moving.stage !== 'wanted') displaced.set(node, moving.stage)
    }
    return displaced
  }
}

interface Wish {
  readonly id: LinkId
  readonly place: PlaceVersion
}

function wishOf(node: NodeId, record: NodeRecord | null): Wish | null {
  return record === null ? null : wantedLink(node, record)
}

function isSameWish(a: Wish | null, b: Wish | null): boolean {
  if (a === null || b === null) return a === b
  return a.id === b.id && isSamePlace(a.place, b.place)
}

/** The claims of a node that is not a directory. */
export function claimsOf(node: NodeId, record: NodeRecord): readonly Claim[] {
  if (node === ROOT_ID) return []
  return liveLinks(record).map(({ id, place }) => ({
    parent: place.parent,
    nameKey: place.name.toString('latin1'),
    node,
    link: id
  }))
}

function isSameClaim(a: Claim, b: Claim): boolean {
  return a.parent === b.parent && a.nameKey === b.nameKey && a.link === b.link
}
