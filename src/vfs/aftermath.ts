/**
 * What merged records leave to be done for this device's own generation.
 *
 * - **Its head follows removals.** Where another device has removed a node that is in the own head,
 *   the tombstone is to be committed there too, and the name that is no longer its taken out. So
 *   once all devices have seen a removal, no current head makes the node come back, whichever of
 *   them forgets it first (`graves.ts`).
 * - **Its blocks become garbage**: those of versions that are replaced, and of files that are
 *   removed. Notes of them are `dead:` keys (`history.ts`).
 * - **Its blocks are used by nodes that they were not written for**: conflict copies, and nodes
 *   that stand for one name and got the same content. `uses:` keys note these nodes, and with them
 *   every other one to which a merge gives a version with own blocks.
 */
import { type NodeId, sameDot } from '../format/ids.js'
import type { NodeChange } from '../format/merge-state.js'
import type { DataVersion, NodeRecord, PlaceVersion } from '../format/record.js'
import { contentMapOf, isLive } from '../format/winner.js'
import type { Change } from '../union/changes.js'
import type { Author } from '../union/author.js'
import type { Index } from '../union/index-store.js'

const DEAD = 'dead:'
const USES = 'uses:'

/** Keys of content maps whose blocks are free, by the node that they were of. */
export const DEAD_KEYS = DEAD

/** Keys of nodes that use own blocks which were not written for them. */
export const USES_KEYS = USES

/** Book-keeping key of a removed file's content map. */
export function deadKey(ino: number): string {
  return DEAD + ino
}

/** The node of a key under `DEAD_KEYS` or `USES_KEYS`. */
export function inoOfKey(key: string): number {
  return Number.parseInt(key.slice(key.indexOf(':') + 1), 10)
}

/** Whether a generation may have a record of a node in its bee: whether it ever wrote one. */
export function isWrittenBy(record: NodeRecord, isOne: (generation: number) => boolean): boolean {
  const versions = [...record.data, ...record.attr, ...[...record.places.values()].flat()]
  return versions.some((version) => {
    if (hasGeneration(version.vector, isOne)) return true
    if (!('seen' in version) || version.seen === null) return false
    const { data, attr } = version.seen
    return hasGeneration(data, isOne) || hasGeneration(attr, isOne)
  })
}

function hasGeneration(vector: readonly number[], isOne: (generation: number) => boolean): boolean {
  for (let i = 0; i < vector.length; i += 2) if (isOne(vector[i] ?? 0)) return true
  return false
}

/** The parts it reads from. */
export interface AftermathParts {
  readonly index: Index
  readonly author: Author
  /** Key of the own blobs core. */
  readonly core: Buffer
}

/** What is merged. */
export interface MergedNodes {
  readonly nodes: readonly NodeChange[]
  /** What the merge writes to the index. */
  readonly changes: readonly Change[]
  /** This device wrote the records. */
  readonly isOwn: boolean
  /** Whose blocks a commit accounts for itself. */
  readonly isCommitted: (ino: number) => boolean
}

/** The merge's changes with what follows from them. */
export function withAftermath(parts: AftermathParts, merged: MergedNodes): readonly Change[] {
  const { author } = parts
  const notes: Change[] = []
  const stale = new Stale(parts)
  for (const change of merged.nodes) {
    const ino = author.inoOf(change.node)
    if (!merged.isOwn) stale.look(ino, change)
    if (!merged.isCommitted(ino)) notes.push(...blocksOf(parts, { ...change, ino }))
  }
  return [...stale.dirtied(merged.changes), ...notes]
}

/** What of the own head is out of date. */
class Stale {
  readonly #nodes = new Set<number>()
  readonly #names = new Map<string, { readonly parent: number; readonly name: string }>()

  constructor(private readonly parts: AftermathParts) {}

  look(ino: number, { before, after }: NodeChange): void {
    const { generation } = this.parts.author
    if (before === null || after === null) return
    if (!isWrittenBy(before, (one) => one === generation)) return
    for (const [link, versions] of after.places) {
      const former = before.places.get(link) ?? []
      const isNew = (version: PlaceVersion): boolean => !hasVersion(former, version)
      if (versions.some((version) => version.deleted && isNew(version))) this.#nodes.add(ino)
      for (const left of former) {
        if (left.dot.generation !== generation || hasVersion(versions, left)) continue
        const parent = this.parts.author.inoOf(left.parent)
        const name = left.name.toString('latin1')
        this.#names.set(`${parent}/${name}`, { parent, name })
      }
    }
  }

  /** The changes, with those that are to be committed here as not local. */
  dirtied(changes: readonly Change[]): readonly Change[] {
    if (this.#nodes.size + this.#names.size === 0) return changes
    const nodes = new Set(this.#nodes)
    const names = new Map(this.#names)
    const dirtied = changes.map((change): Change => {
      if (change.kind === 'node' && nodes.delete(change.ino)) {
        return { kind: 'node', ino: change.ino, row: change.row }
      }
      if (change.kind === 'dirent' && names.delete(`${change.parent}/${change.name}`)) {
        const { parent, name, dirent } = change
        return { kind: 'dirent', parent, name, dirent }
      }
      return change
    })
    const { index } = this.parts
    for (const ino of nodes) dirtied.push({ kind: 'node', ino, row: index.node(ino) })
    for (const { parent, name } of names.values()) {
      dirtied.push({ kind: 'dirent', parent, name, dirent: index.dirent(parent, name) })
    }
    return dirtied
  }
}

function hasVersion<T extends { readonly dot: PlaceVersion['dot'] }>(
  versions: readonly T[],
  { dot }: T
): boolean {
  return versions.some((version) => sameDot(version.dot, dot))
}

interface Placed extends NodeChange {
  readonly node: NodeId
  readonly ino: number
}

/** Notes of own blocks that become free, and of own blocks that are used by others. */
function blocksOf({ index, core }: AftermathParts, { ino, before, after }: Placed): Change[] {
  const changes: Change[] = []
  const free = (version: DataVersion): void => {
    const map = contentMapOf(version)
    if (!map?.includes(core)) return
    const { generation, counter } = version.dot
    changes.push({ kind: 'meta', key: `${DEAD}${ino}.${generation}.${counter}`, value: map })
  }
  for (const version of before?.data ?? []) {
    if (after !== null && !hasVersion(after.data, version)) free(version)
  }
  const isRemoved = before !== null && after !== null && isLive(before) && !isLive(after)
  if (isRemoved) after.data.forEach(free)
  const isUser = after?.data.some((version) => {
    if (before !== null && hasVersion(before.data, version)) return false
    return contentMapOf(version)?.includes(core) === true
  })
  const key = USES + ino
  if (isUser === true && !index.meta(key)) changes.push({ kind: 'meta', key, value: Buffer.of(1) })
  return changes
}
