/**
 * The incremental merge's state in Maps, as the index will keep it in LMDB, with a count of reads.
 * Writing a delta asserts that it fits to what is there.
 */
import assert from 'node:assert'
import type { Claim, ConflictState, Delta, DirState } from '../../src/format/merge-state.js'
import { type MergeState, type NodeChange, orphansOf } from '../../src/format/merge-state.js'
import type { Entry, MergeOptions, Tree } from '../../src/format/tree.js'
import { type NodeId, ROOT_ID } from '../../src/format/ids.js'
import type { NodeRecord } from '../../src/format/record.js'
import type { Stage } from '../../src/format/tree-places.js'
import { computeDelta } from '../../src/format/delta.js'
import { mergeRecord } from '../../src/format/merge.js'

type ByName<T> = Map<NodeId, Map<string, T>>

/** All tables of the state, and the records. */
export class MemoryState implements MergeState {
  readonly records = new Map<NodeId, NodeRecord>()
  readonly #claims: ByName<Claim[]> = new Map()
  readonly #counts = new Map<NodeId, number>()
  readonly #dirs = new Map<NodeId, DirState>()
  readonly #conflicts = new Map<NodeId, ConflictState>()
  readonly #origins = new Map<NodeId, NodeId>()
  readonly #displaced = new Map<NodeId, Stage>()
  readonly #missing = new Set<NodeId>()
  readonly #entries: ByName<Entry> = new Map()
  /** Rows read since it was last set to 0. */
  reads = 0

  record(node: NodeId): NodeRecord | null {
    this.reads++
    return this.records.get(node) ?? null
  }

  claimsAt(parent: NodeId, nameKey: string): readonly Claim[] {
    this.reads++
    return this.#claims.get(parent)?.get(nameKey) ?? []
  }

  *claims(parent: NodeId): Iterable<Claim> {
    for (const claims of this.#claims.get(parent)?.values() ?? []) {
      this.reads++
      yield* claims
    }
  }

  claimCount(parent: NodeId): number {
    this.reads++
    return this.#counts.get(parent) ?? 0
  }

  dir(node: NodeId): DirState | null {
    this.reads++
    return this.#dirs.get(node) ?? null
  }

  conflict(node: NodeId): ConflictState | null {
    this.reads++
    return this.#conflicts.get(node) ?? null
  }

  *spread(): Iterable<NodeId> {
    for (const [node, { isSpread }] of this.#conflicts) if (isSpread) yield node
  }

  originOf(copy: NodeId): NodeId | null {
    this.reads++
    return this.#origins.get(copy) ?? null
  }

  displaced(): ReadonlyMap<NodeId, Stage> {
    return this.#displaced
  }

  missing(): Iterable<NodeId> {
    return this.#missing
  }

  entry(dir: NodeId, nameKey: string): Entry | null {
    this.reads++
    return this.#entries.get(dir)?.get(nameKey) ?? null
  }

  /** Merges records that were heard of. What it reads for merging is not counted. */
  merge(heard: readonly (readonly [NodeId, NodeRecord])[], options: MergeOptions): Delta {
    const after = new Map<NodeId, NodeRecord>()
    for (const [node, record] of heard) {
      const known = after.get(node) ?? this.records.get(node)
      after.set(node, known === undefined ? record : mergeRecord(known, record))
    }
    return this.replace(after, options)
  }

  /** Puts records; null forgets one. */
  replace(records: ReadonlyMap<NodeId, NodeRecord | null>, options: MergeOptions): Delta {
    const changes: NodeChange[] = []
    for (const [node, after] of records) {
      changes.push({ node, before: this.records.get(node) ?? null, after })
    }
    const delta = computeDelta(this, changes, options)
    this.#write(changes, delta)
    return delta
  }

  #write(changes: readonly NodeChange[], delta: Delta): void {
    for (const { node, after } of changes) put(this.records, node, after)
    for (const { claim, isAdded } of delta.claims) this.#writeClaim(claim, isAdded)
    for (const [parent, count] of delta.claimCounts) put(this.#counts, parent, count || null)
    for (const [node, dir] of delta.dirs) put(this.#dirs, node, dir)
    for (const [node, conflict] of delta.conflicts) put(this.#conflicts, node, conflict)
    for (const [copy, origin] of delta.origins) put(this.#origins, copy, origin)
    for (const [dir, stage] of delta.displaced) put(this.#displaced, dir, stage)
    for (const [node, isMissing] of delta.missing) {
      if (isMissing) this.#missing.add(node)
      else this.#missing.delete(node)
    }
    for (const { dir, nameKey, entry } of delta.entries) {
      const names = this.#entries.get(dir) ?? new Map<string, Entry>()
      put(names, nameKey, entry)
      put(this.#entries, dir, names.size === 0 ? null : names)
    }
  }

  #writeClaim(claim: Claim, isAdded: boolean): void {
    const { parent, nameKey } = claim
    const names = this.#claims.get(parent) ?? new Map<string, Claim[]>()
    this.#claims.set(parent, names)
    const known = names.get(nameKey) ?? []
    const others = known.filter(({ node, link }) => node !== claim.node || link !== claim.link)
    assert.strictEqual(others.length, isAdded ? known.length : known.length - 1, 'a claim twice')
    put(names, nameKey, isAdded ? [...others, claim] : others.length === 0 ? null : others)
  }

  /** What the root leads to, sorted, in the form that `materialise` has. */
  tree(): Tree {
    const dirs = new Map<NodeId, readonly Entry[]>()
    const queue = [ROOT_ID]
    for (let dir = queue.pop(); dir !== undefined; dir = queue.pop()) {
      const entries = [...(this.#entries.get(dir) ?? [])].sort(([a], [b]) => (a < b ? -1 : 1))
      dirs.set(
        dir,
        entries.map(([, entry]) => entry)
      )
      for (const [, { kind, node }] of entries) if (kind === 'dir') queue.push(node)
    }
    const displaced = [...this.#displaced.keys()].sort()
    return { dirs: sortedDirs(dirs), orphans: orphansOf(this), displaced }
  }

  /** Everything but the records, in an order of its own. */
  tables(): unknown {
    const sorted = (items: Iterable<string>): string[] => [...items].sort()
    return {
      claims: sorted(
        [...this.#claims].flatMap(([parent, names]) =>
          [...names].flatMap(([key, claims]) =>
            claims.map(({ node, link }) => `${parent} ${key} ${node} ${link}`)
          )
        )
      ),
      counts: sorted([...this.#counts].map(String)),
      dirs: sorted(
        [...this.#dirs].map(([node, { host, members, knots, derived }]) =>
          JSON.stringify([
            node,
            host,
            members,
            sorted(knots),
            sorted(derived.map((d) => d.nameKey))
          ])
        )
      ),
      conflicts: sorted([...this.#conflicts].map((each) => JSON.stringify(each))),
      origins: sorted([...this.#origins].map(String)),
      displaced: sorted([...this.#displaced].map(String)),
      missing: sorted(this.#missing),
      names: sorted(
        [...this.#entries].flatMap(([dir, names]) =>
          [...names.keys()].map((key) => `${dir} ${key}`)
        )
      )
    }
  }
}

function put<K, V>(map: Map<K, V>, key: K, value: V | null): void {
  if (value === null) map.delete(key)
  else map.set(key, value)
}

/** Directories in the order of their ids. */
export function sortedDirs(dirs: Tree['dirs']): Tree['dirs'] {
  return new Map([...dirs].sort(([a], [b]) => (a < b ? -1 : 1)))
}
