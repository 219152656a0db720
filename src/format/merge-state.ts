/**
 * What the incremental merge remembers between batches, as the index keeps it: everything that
 * `materialise` would compute again. Nearly all nodes have a record, one claim and one entry;
 * whatever else is here exists only where there is a conflict.
 *
 * Invariants, of every state that all deltas were written to:
 * - a claim is there for each link of each living node, at the parent that it really has after
 *   cycles; a directory has one iff it lives and is not an exile;
 * - `dir`, `conflict`, `originOf`, `displaced`, `missing` and `entry` are functions of records and
 *   claims. Directories that the root does not lead to (yet) are kept up like others.
 */
import type { Dot, LinkId, NodeId } from './ids.js'
import type { Entry, Standing } from './tree.js'
import type { NodeRecord } from './record.js'
import type { Stage } from './tree-places.js'

/** A link that has its place in a directory, and the name that it wants there. */
export interface Claim extends Standing {
  /** The directory's own node, not the one it is shown as. */
  readonly parent: NodeId
  /** latin1 string of the name's bytes. */
  readonly nameKey: string
}

/** A name that is shown but not stored. */
export interface DerivedName {
  readonly nameKey: string
  /** The stored name that it stands for. */
  readonly stemKey: string
}

/** What is remembered of a directory that has or had to do with a conflict. */
export interface DirState {
  /** The node that its entries are shown under: itself, or who won the name that both have. */
  readonly host: NodeId
  /** The directories shown here as one listing, itself first; empty when shown under another. */
  readonly members: readonly NodeId[]
  /** Names with several claims, or with a claim of a node with several versions of its content. */
  readonly knots: readonly string[]
  readonly derived: readonly DerivedName[]
  /** Whether one of the derived names had to make way for another name. */
  readonly isEntangled: boolean
}

/** What is remembered of a node with several versions of its content. */
export interface ConflictState {
  /** Where its copies are shown; null: nowhere that the root leads to. */
  readonly first: LinkId | null
  /** The version that is shown under its own name; null: none. */
  readonly shown: Dot | null
  /** Ids that copies of its versions have, or would have. */
  readonly copies: readonly NodeId[]
  /** Whether it has several places. */
  readonly isSpread: boolean
}

/** Directories that a cycle has displaced, dead ones too. */
export type Displaced = ReadonlyMap<NodeId, Stage>

/** Synchronous reads of the state before a batch. */
export interface MergeState {
  /** null: nothing is known of the node. */
  record(node: NodeId): NodeRecord | null
  /** The claims to one name. @param nameKey latin1 string of its bytes */
  claimsAt(parent: NodeId, nameKey: string): readonly Claim[]
  /** All claims in a directory. Read only when it joins or leaves a listing. */
  claims(parent: NodeId): Iterable<Claim>
  claimCount(parent: NodeId): number
  /** null: nothing is remembered; it is shown as itself and has no conflicts. */
  dir(node: NodeId): DirState | null
  /** null: it has one version. */
  conflict(node: NodeId): ConflictState | null
  /** The nodes whose conflict `isSpread`. */
  spread(): Iterable<NodeId>
  /** The node with a conflict that `copy` is, or would be, a copy of; null: none. */
  originOf(copy: NodeId): NodeId | null
  displaced(): Displaced
  /** What is claimed to be a directory by what is in it, and is not known as one. */
  missing(): Iterable<NodeId>
  /** What a name shows; null: nothing. @param dir the directory's shown node */
  entry(dir: NodeId, nameKey: string): Entry | null
}

/** A record that was merged. */
export interface NodeChange {
  readonly node: NodeId
  /** null: it was not known. */
  readonly before: NodeRecord | null
  /** null: it is forgotten (garbage collection). */
  readonly after: NodeRecord | null
}

/** A claim that came or went. */
export interface ClaimChange {
  readonly claim: Claim
  readonly isAdded: boolean
}

/** What a name shows now. */
export interface EntryChange {
  /** The directory's shown node. */
  readonly dir: NodeId
  readonly nameKey: string
  /** null: nothing; what it had is to be removed. It may have had nothing. */
  readonly entry: Entry | null
}

/**
 * What a batch changes, to be written together with its records. Each key is there once, except in
 * `entries`, where the last one counts. null: nothing is remembered of the key any more.
 */
export interface Delta {
  readonly claims: readonly ClaimChange[]
  readonly claimCounts: ReadonlyMap<NodeId, number>
  readonly dirs: ReadonlyMap<NodeId, DirState | null>
  readonly conflicts: ReadonlyMap<NodeId, ConflictState | null>
  readonly origins: ReadonlyMap<NodeId, NodeId | null>
  readonly displaced: ReadonlyMap<NodeId, Stage | null>
  readonly missing: ReadonlyMap<NodeId, boolean>
  readonly entries: readonly EntryChange[]
}

/**
 * Nodes in directories that nothing is known of, or that such directories lead to, sorted.
 * @param state written up to date; costs a walk over all that it finds
 */
export function orphansOf(state: MergeState): readonly NodeId[] {
  const found = new Set<NodeId>()
  const queue = [...state.missing()]
  for (let parent = queue.pop(); parent !== undefined; parent = queue.pop()) {
    for (const { node } of state.claims(parent)) {
      found.add(node)
      if (state.record(node)?.kind === 'dir') queue.push(node)
    }
  }
  return [...found].sort()
}
