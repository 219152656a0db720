/**
 * Which version of a node with a conflict is shown after the batch, and where its copies are. A
 * node with several links is decided at its first; then all of its names have to be resolved.
 */
import type { Claim, ConflictState, NodeChange } from './merge-state.js'
import {
  type LinkId,
  type NodeId,
  ROOT_ID,
  compareLinks,
  derivedId,
  isDerivedId,
  sameDot
} from './ids.js'
import { type NamesByDir, addName, claimsOf } from './delta-places.js'
import { type Shown, byClaim, isFile, shownBeside } from './tree.js'
import type { LivePlace } from './tree-places.js'
import type { NodeRecord } from './record.js'
import type { Overlay } from './delta-overlay.js'
import { companionOf, rootOf } from './companions.js'
import { dataLosers } from './winner.js'

/** The claims to a name of a shown directory, the winner first. */
export function groupAt(overlay: Overlay, dir: NodeId, nameKey: string): readonly LivePlace[] {
  const members = overlay.membersOf(dir)
  const [first] = members
  if (first === undefined) return []
  const claims = overlay.claimsAt(first, nameKey)
  if (members.length === 1 && claims.length <= 1) {
    return claims.map((claim) => overlay.livePlace(claim))
  }
  const group: LivePlace[] = []
  for (const member of members) {
    const found = member === first ? claims : overlay.claimsAt(member, nameKey)
    for (const claim of found) group.push(overlay.livePlace(claim))
  }
  return group.sort(byClaim)
}

/** Decides conflicts again where something that they depend on may have changed. */
export class Conflicts {
  readonly #overlay: Overlay
  readonly #suffixes: readonly string[]
  /** Names to be resolved, by shown directory; more come when a node is decided otherwise. */
  readonly #dirty: NamesByDir

  constructor(overlay: Overlay, dirty: NamesByDir, suffixes: readonly string[]) {
    this.#overlay = overlay
    this.#dirty = dirty
    this.#suffixes = suffixes
  }

  /**
   * @param changes without the plain edits
   * @param hasMoved whether nodes may have come into the tree, or left it, by a directory's move
   */
  decide(changes: readonly NodeChange[], hasMoved: boolean): void {
    const asked = new Set<NodeId>()
    for (const { node, before, after } of changes) {
      if ((before?.data.length ?? 0) > 1 || (after?.data.length ?? 0) > 1) asked.add(node)
    }
    if (hasMoved) for (const node of this.#overlay.spread()) asked.add(node)
    // A base decides about its companions.
    for (const [dir, keys] of this.#dirty) {
      const knots = this.#overlay.knotsOf(dir)
      if (knots === null) continue
      const roots = new Set([...keys].map((key) => rootOf(key, this.#suffixes)))
      for (const key of knots) {
        if (!roots.has(rootOf(key, this.#suffixes))) continue
        for (const { node, record } of groupAt(this.#overlay, dir, key)) {
          if (record.data.length > 1) asked.add(node)
        }
      }
    }
    for (const node of asked) this.#decide(node)
    for (const { node, before, after } of changes) {
      if ((before === null) === (after === null) || !isDerivedId(node)) continue
      // A copy that has a record of its own is not derived any more.
      const origin = this.#overlay.originOf(node)
      if (origin !== null) this.#touch(this.#claimsOf(origin))
    }
  }

  #decide(node: NodeId): void {
    const overlay = this.#overlay
    const record = overlay.record(node)
    const former = overlay.conflict(node)
    // A directory's versions differ in their times only.
    const hasConflict = record !== null && record.data.length > 1 && record.kind !== 'dir'
    const conflict = hasConflict ? this.#stateOf(node, record) : null
    if (former === null && conflict === null) return
    for (const copy of former?.copies ?? []) {
      if (conflict?.copies.includes(copy) !== true) overlay.setOrigin(copy, null)
    }
    for (const copy of conflict?.copies ?? []) {
      if (former?.copies.includes(copy) !== true) overlay.setOrigin(copy, node)
    }
    overlay.setConflict(node, conflict)
    if (!isSameChoice(former, conflict)) this.#touch(this.#claimsOf(node))
  }

  #touch(claims: readonly Claim[]): void {
    for (const { parent, nameKey } of claims) {
      addName(this.#dirty, this.#overlay.hostOf(parent), nameKey)
    }
  }

  #claimsOf(node: NodeId): readonly Claim[] {
    const record = this.#overlay.record(node)
    return record === null ? [] : claimsOf(node, record)
  }

  #stateOf(node: NodeId, record: NodeRecord): ConflictState | null {
    const claims = this.#claimsOf(node)
    if (claims.length === 0) return null
    const first = this.#firstOf(claims)
    const { winner } = this.#shownAt(record, first)
    return {
      first: first?.link ?? null,
      shown: winner?.dot ?? null,
      copies: record.data.map((version) => derivedId(node, version.dot)),
      isSpread: claims.length > 1
    }
  }

  /** The first link that the root leads to; of a single one it does not matter whether it does. */
  #firstOf(claims: readonly Claim[]): Claim | null {
    if (claims.length <= 1) return claims[0] ?? null
    const sorted = [...claims].sort((a, b) => compareLinks(a.link, b.link))
    return sorted.find(({ parent }) => this.#isReached(parent)) ?? null
  }

  #isReached(dir: NodeId): boolean {
    let node: NodeId | null = dir
    while (node !== null && node !== ROOT_ID) node = this.#overlay.placeOf(node)?.parent ?? null
    return node === ROOT_ID
  }

  #shownAt(record: NodeRecord, first: Claim | null): Shown {
    if (first === null || record.kind !== 'file') return shownBeside(record, null)
    const companion = companionOf(first.nameKey, this.#suffixes)
    if (companion === null) return shownBeside(record, null)
    const dir = this.#overlay.hostOf(first.parent)
    const base = groupAt(this.#overlay, dir, companion.base).find(isFile)
    return shownBeside(record, base ?? null)
  }
}

/** What is shown of a node's content, as `Conflicts` decided. */
export function shownOf(overlay: Overlay, { node, record }: LivePlace): Shown {
  const dot = record.data.length <= 1 ? null : (overlay.conflict(node)?.shown ?? null)
  if (dot === null) return shownBeside(record, null)
  const winner = record.data.find((version) => sameDot(version.dot, dot)) ?? null
  return { winner, losers: dataLosers(record, winner) }
}

/** The link at which the copies of a node with a conflict are shown; null: nowhere. */
export function firstLinkOf(overlay: Overlay, node: NodeId): LinkId | null {
  return overlay.conflict(node)?.first ?? null
}

function isSameChoice(a: ConflictState | null, b: ConflictState | null): boolean {
  if (a === null || b === null) return a === b
  if (a.shown === null || b.shown === null ? a.shown !== b.shown : !sameDot(a.shown, b.shown)) {
    return false
  }
  return a.first === b.first
}
