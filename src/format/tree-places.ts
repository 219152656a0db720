/**
 * Where each directory is, after the moves that would form a cycle are void, and which nodes live.
 * Two devices can each move one directory into the other's; taken together that would cut both off
 * the root.
 */
import assert from 'node:assert'
import { type NodeId, ROOT_ID } from './ids.js'
import { type Link, allLinks, isLive, lastLink, liveLinks } from './winner.js'
import type { NodeRecord, Place } from './record.js'
import { byWinner } from './register.js'

/** Records by node. */
export type Records = ReadonlyMap<NodeId, NodeRecord>

/** How far a directory was driven back: as it wants, where it was before, to the root. */
export type Stage = 'wanted' | 'previous' | 'root'

/** Where a directory is. */
export interface DirPlace extends Place {
  /** The version that says so, or whose move is void. */
  readonly link: Link
  /** At the root, under a conflict name. */
  readonly isExile: boolean
  /** Not where its record says. */
  readonly isDisplaced: boolean
}

/** Where all directories are, dead ones too; the root is not in it. */
export type DirPlaces = ReadonlyMap<NodeId, DirPlace>

/** A directory while cycles are looked for. */
export interface Moving {
  readonly link: Link
  stage: Stage
}

/** Finds directories; undefined: not a directory, not known, or the root. */
export interface Movings {
  get(node: NodeId): Moving | undefined
}

/**
 * The place of every directory: no cycles. In every cycle the highest-stamped move is void: it
 * goes where it came from, and if that is in a cycle too, to the root.
 */
export function placeDirs(records: Records): DirPlaces {
  const moving = new Map<NodeId, Moving>()
  for (const [node, record] of records) {
    const link = wantedLink(node, record)
    if (link !== null) moving.set(node, { link, stage: 'wanted' })
  }
  breakCycles(moving, moving.keys())
  const places = new Map<NodeId, DirPlace>()
  for (const [node, each] of moving) {
    const { link, stage } = each
    const isDisplaced = stage !== 'wanted'
    places.set(node, { ...whereIs(each), link, isExile: stage === 'root', isDisplaced })
  }
  return places
}

/** The link that says where a directory wants to be; null: it is none, or the root. */
export function wantedLink(node: NodeId, record: NodeRecord): Link | null {
  if (record.kind !== 'dir' || node === ROOT_ID) return null
  // A tombstone's place counts: what lives below may bring the directory back.
  return lastLink(liveLinks(record)) ?? lastLink(allLinks(record))
}

/**
 * Drives directories back until there are no cycles. Cycles do not overlap, so that the order in
 * which they are found does not matter.
 * @param starts every cycle passes through one of them
 */
export function breakCycles(moving: Movings, starts: Iterable<NodeId>): void {
  let cycles = findCycles(moving, starts)
  while (cycles.length > 0) {
    const victims = cycles.map((cycle) => voidOne(cycle, moving))
    // What is a cycle now was made by a victim.
    cycles = findCycles(moving, victims)
  }
}

/** Where a directory is at its stage. */
export function whereIs({ link, stage }: Moving): Place {
  const { place } = link
  if (stage === 'root') return { parent: ROOT_ID, name: place.name }
  const { parent, name } = stage === 'previous' && place.prev !== null ? place.prev : place
  return { parent, name }
}

/** All cycles of the "is in" relation through or above the starts. */
function findCycles(moving: Movings, starts: Iterable<NodeId>): NodeId[][] {
  const cycles: NodeId[][] = []
  const walkOf = new Map<NodeId, number>()
  let walk = 0
  for (const start of starts) {
    walk++
    const path: NodeId[] = []
    let node = start
    let each = moving.get(node)
    while (each !== undefined && !walkOf.has(node)) {
      walkOf.set(node, walk)
      path.push(node)
      node = whereIs(each).parent
      each = moving.get(node)
    }
    if (each !== undefined && walkOf.get(node) === walk) cycles.push(path.slice(path.indexOf(node)))
  }
  return cycles
}

/** Drives back the one that has to, and names it. */
function voidOne(cycle: readonly NodeId[], moving: Movings): NodeId {
  let victim: Moving | undefined
  let victimId: NodeId = ROOT_ID
  for (const node of cycle) {
    const each = moving.get(node)
    if (each && (victim === undefined || isRather(each, node, { each: victim, node: victimId }))) {
      victim = each
      victimId = node
    }
  }
  assert(victim, 'a cycle of directories')
  const canGoBack = victim.stage === 'wanted' && victim.link.place.prev !== null
  victim.stage = canGoBack ? 'previous' : 'root'
  return victimId
}

/** Moves before directories that were made where they are; then the higher stamp. */
function isRather(a: Moving, nodeA: NodeId, b: { each: Moving; node: NodeId }): boolean {
  const first = a.link.place
  const second = b.each.link.place
  const isMove = first.prev !== null
  if (isMove !== (second.prev !== null)) return isMove
  const order = byWinner(first, second)
  return order === 0 ? nodeA > b.node : order < 0
}

/** One link of a living node, with the directory that it is in. */
export interface LivePlace {
  readonly node: NodeId
  readonly record: NodeRecord
  readonly link: Link
  readonly parent: NodeId
  readonly name: Buffer
  readonly isExile: boolean
}

/**
 * The links of all nodes that live: by their own record, or, for a directory, because something
 * below it does.
 */
export function livePlaces(records: Records, dirs: DirPlaces): LivePlace[] {
  const live: LivePlace[] = []
  const kept = new Set<NodeId>()
  const keep = (dir: NodeId): void => {
    let node = dir
    let place = dirs.get(node)
    while (place !== undefined && !kept.has(node)) {
      kept.add(node)
      node = place.parent
      place = dirs.get(node)
    }
  }
  for (const [node, record] of records) {
    if (node === ROOT_ID || !isLive(record)) continue
    if (record.kind === 'dir') {
      keep(node)
      continue
    }
    for (const link of liveLinks(record)) {
      const { parent, name } = link.place
      live.push({ node, record, link, parent, name, isExile: false })
      keep(parent)
    }
  }
  for (const node of kept) {
    const place = dirs.get(node)
    const record = records.get(node)
    if (!place || !record) continue
    const { link, parent, name, isExile } = place
    live.push({ node, record, link, parent, name, isExile })
  }
  return live
}
