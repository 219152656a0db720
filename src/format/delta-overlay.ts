/**
 * The state during a batch: reads see what the batch has changed so far, and all of it is collected
 * for the delta.
 */
import type { Claim, ClaimChange, ConflictState, Delta, DirState } from './merge-state.js'
import type { DerivedName, EntryChange, MergeState, NodeChange } from './merge-state.js'
import type { NodeId } from './ids.js'
import type { NodeRecord, Place } from './record.js'
import { type LivePlace, type Stage, wantedLink, whereIs } from './tree-places.js'
import { placeWinner } from './winner.js'

/** A `DirState` that is being changed. */
export interface MutableDir {
  host: NodeId
  members: readonly NodeId[]
  knots: Set<string>
  derived: readonly DerivedName[]
  isEntangled: boolean
}

/** The claims of one directory that came and went, by name. */
interface ClaimEdits {
  readonly added: Map<string, Claim[]>
  readonly removed: Map<string, Claim[]>
  balance: number
}

const NO_CLAIMS: readonly Claim[] = []

/** What the batch has changed, over the state that it began with. */
export class Overlay {
  readonly state: MergeState
  readonly #records = new Map<NodeId, NodeRecord | null>()
  readonly #edits = new Map<NodeId, ClaimEdits>()
  readonly #dirs = new Map<NodeId, MutableDir>()
  readonly #conflicts = new Map<NodeId, ConflictState | null>()
  readonly #origins = new Map<NodeId, NodeId | null>()
  readonly #stages = new Map<NodeId, Stage | null>()
  readonly #missing = new Map<NodeId, boolean>()
  readonly #entries: EntryChange[] = []
  /** Places of displaced directories after the batch. */
  displaced: ReadonlyMap<NodeId, Stage>

  constructor(state: MergeState, changes: readonly NodeChange[]) {
    this.state = state
    this.displaced = state.displaced()
    for (const { node, after } of changes) this.#records.set(node, after)
  }

  /** The record after the batch. */
  record(node: NodeId): NodeRecord | null {
    const changed = this.#records.get(node)
    return changed === undefined ? this.state.record(node) : changed
  }

  addClaim(claim: Claim): void {
    this.#edit(claim, true)
  }

  removeClaim(claim: Claim): void {
    this.#edit(claim, false)
  }

  #edit(claim: Claim, isAdded: boolean): void {
    let edits = this.#edits.get(claim.parent)
    if (edits === undefined) {
      edits = { added: new Map(), removed: new Map(), balance: 0 }
      this.#edits.set(claim.parent, edits)
    }
    edits.balance += isAdded ? 1 : -1
    const { added, removed } = edits
    const undone = (isAdded ? removed : added).get(claim.nameKey)
    const at = undone?.findIndex((each) => isSame(each, claim)) ?? -1
    if (undone !== undefined && at >= 0) {
      undone.splice(at, 1)
      return
    }
    const side = isAdded ? added : removed
    const known = side.get(claim.nameKey)
    if (known === undefined) side.set(claim.nameKey, [claim])
    else known.push(claim)
  }

  claimsAt(parent: NodeId, nameKey: string): readonly Claim[] {
    const base = this.state.claimsAt(parent, nameKey)
    const edits = this.#edits.get(parent)
    if (edits === undefined) return base
    const removed = edits.removed.get(nameKey) ?? NO_CLAIMS
    const added = edits.added.get(nameKey) ?? NO_CLAIMS
    if (removed.length === 0) return added.length === 0 ? base : [...base, ...added]
    return [...base.filter((claim) => !removed.some((each) => isSame(each, claim))), ...added]
  }

  *claims(parent: NodeId): Iterable<Claim> {
    const edits = this.#edits.get(parent)
    for (const claim of this.state.claims(parent)) {
      const removed = edits?.removed.get(claim.nameKey) ?? NO_CLAIMS
      if (!removed.some((each) => isSame(each, claim))) yield claim
    }
    for (const added of edits?.added.values() ?? []) yield* added
  }

  claimCount(parent: NodeId): number {
    return this.state.claimCount(parent) + (this.#edits.get(parent)?.balance ?? 0)
  }

  /** The directories that claims came to or left. */
  editedParents(): Iterable<NodeId> {
    return this.#edits.keys()
  }

  /** A directory's state to change. */
  dir(node: NodeId): MutableDir {
    const known = this.#dirs.get(node)
    if (known !== undefined) return known
    const state = this.state.dir(node)
    const dir: MutableDir =
      state === null
        ? { host: node, members: [node], knots: new Set(), derived: [], isEntangled: false }
        : { ...state, knots: new Set(state.knots) }
    this.#dirs.set(node, dir)
    return dir
  }

  /** The node that a directory's entries are shown under. */
  hostOf(dir: NodeId): NodeId {
    return (this.#dirs.get(dir) ?? this.state.dir(dir))?.host ?? dir
  }

  /** Whether a shown directory has names with conflicts; read without remembering it. */
  knotsOf(dir: NodeId): Iterable<string> | null {
    const known = this.#dirs.get(dir)
    if (known !== undefined) return known.knots.size === 0 ? null : known.knots
    const knots = this.state.dir(dir)?.knots
    return knots === undefined || knots.length === 0 ? null : knots
  }

  /** Notes whether a name of a shown directory has a conflict. */
  setKnot(dir: NodeId, nameKey: string, isKnot: boolean): void {
    if (isKnot) this.dir(dir).knots.add(nameKey)
    else if (this.knotsOf(dir) !== null) this.dir(dir).knots.delete(nameKey)
  }

  /** The directories that are one listing; none for one that is shown under another. */
  membersOf(dir: NodeId): readonly NodeId[] {
    return (this.#dirs.get(dir) ?? this.state.dir(dir))?.members ?? [dir]
  }

  setMembers(dir: NodeId, members: readonly NodeId[]): void {
    const known = this.membersOf(dir)
    if (members.length === 1 && known.length === 1 && known[0] === members[0]) return
    this.dir(dir).members = members
  }

  derivedOf(dir: NodeId): readonly DerivedName[] {
    return (this.#dirs.get(dir) ?? this.state.dir(dir))?.derived ?? []
  }

  isEntangled(dir: NodeId): boolean {
    return (this.#dirs.get(dir) ?? this.state.dir(dir))?.isEntangled === true
  }

  setDerived(dir: NodeId, derived: readonly DerivedName[], isEntangled: boolean): void {
    if (derived.length === 0 && this.derivedOf(dir).length === 0) return
    const state = this.dir(dir)
    state.derived = derived
    state.isEntangled = isEntangled
  }

  conflict(node: NodeId): ConflictState | null {
    const changed = this.#conflicts.get(node)
    return changed === undefined ? this.state.conflict(node) : changed
  }

  setConflict(node: NodeId, conflict: ConflictState | null): void {
    this.#conflicts.set(node, conflict)
  }

  /** The nodes with a conflict and several places. */
  *spread(): Iterable<NodeId> {
    for (const node of this.state.spread()) if (!this.#conflicts.has(node)) yield node
    for (const [node, conflict] of this.#conflicts) if (conflict?.isSpread === true) yield node
  }

  originOf(copy: NodeId): NodeId | null {
    const changed = this.#origins.get(copy)
    return changed === undefined ? this.state.originOf(copy) : changed
  }

  setOrigin(copy: NodeId, origin: NodeId | null): void {
    this.#origins.set(copy, origin)
  }

  setStage(dir: NodeId, stage: Stage | null): void {
    this.#stages.set(dir, stage)
  }

  setMissing(dir: NodeId, isMissing: boolean): void {
    this.#missing.set(dir, isMissing)
  }

  putEntry(change: EntryChange): void {
    this.#entries.push(change)
  }

  /** A claim with its record, as names are resolved from it. */
  livePlace({ node, link, parent, nameKey }: Claim): LivePlace {
    const record = this.record(node)
    const place = record === null ? null : placeWinner(record, link)
    if (record === null || place === null) throw new Error('a claim without a record')
    const isMoved = this.displaced.size > 0 && this.displaced.has(node)
    const name = isMoved ? Buffer.from(nameKey, 'latin1') : place.name
    return { node, record, link: { id: link, place }, parent, name, isExile: false }
  }

  /** Where a directory is after the batch; null: it is the root, or not known as a directory. */
  placeOf(dir: NodeId): Place | null {
    const record = this.record(dir)
    const link = record === null ? null : wantedLink(dir, record)
    return link === null ? null : whereIs({ link, stage: this.displaced.get(dir) ?? 'wanted' })
  }

  /** All that changed. */
  delta(): Delta {
    const claims: ClaimChange[] = []
    const claimCounts = new Map<NodeId, number>()
    for (const [parent, { added, removed, balance }] of this.#edits) {
      if (balance !== 0) claimCounts.set(parent, this.claimCount(parent))
      for (const gone of removed.values()) {
        for (const claim of gone) claims.push({ claim, isAdded: false })
      }
      for (const come of added.values()) {
        for (const claim of come) claims.push({ claim, isAdded: true })
      }
    }
    return {
      claims,
      claimCounts,
      dirs: this.#changedDirs(),
      conflicts: this.#conflicts,
      origins: this.#origins,
      displaced: this.#stages,
      missing: this.#missing,
      entries: this.#entries
    }
  }

  #changedDirs(): Map<NodeId, DirState | null> {
    const changed = new Map<NodeId, DirState | null>()
    for (const [node, dir] of this.#dirs) {
      const isTrivial =
        dir.host === node &&
        dir.members.length === 1 &&
        dir.knots.size === 0 &&
        dir.derived.length === 0
      if (!isTrivial) changed.set(node, { ...dir, knots: [...dir.knots] })
      else if (this.state.dir(node) !== null) changed.set(node, null)
    }
    return changed
  }
}

function isSame(a: Claim, b: Claim): boolean {
  return a.node === b.node && a.link === b.link
}
