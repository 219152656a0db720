/**
 * Brings the index and the data plane to the state that the journal tells, and starts a fresh
 * journal that tells the same.
 *
 * First all changes are applied again; then, for each file that is still there, the writes that its
 * content map does not cover yet (`seq > dataSeq`). The result is stated anew in the first entries
 * of a new segment, the index is flushed, and only then are the old segments deleted. A crash in
 * between starts again from the same input.
 */
import { readFileSync, readdirSync, renameSync, statSync, unlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Alarms } from '../base/alarms.js'
import type { FaultPoint } from '../base/fault.js'
import type { Logger } from '../base/log.js'
import { decodeChanges, type Change } from '../union/changes.js'
import { readSafe, type Row } from '../union/row.js'
import { ByteRanges } from './byte-ranges.js'
import {
  ENTRY,
  cutJournal,
  noteTrusted,
  readJournal,
  type Crc32c,
  type JournalEntry
} from './journal.js'
import { FILE_LIMIT, syncDirectory } from './local-files.js'
import type { Binding } from './plane.js'
import type { Index } from '../union/index-store.js'
import { CURSOR_PREFIX } from './remote.js'
import { META, type StatedFile, type Volume } from './volume.js'

/** Key of a number that no journal entry of the past exceeds, should the journal be lost. */
export const SEQ_KEY = 'seq'
/** Key of the last journal entry that the index and the generation are known to have. */
export const DONE_KEY = 'done'
/** Key that says that the index was made from records and no start has settled it yet. */
export const MADE_ANEW_KEY = 'made-anew'
/** In the journal's directory. */
const BOOT_FILE = 'boot'
/** Native flag: take size, times and base of a packed inode although it has local state. */
const INODE_FORCE = 1

/** What is known of a file beyond its row. */
interface LocalState {
  readonly ino: number
  binding: Binding | null
  readonly dirty: ByteRanges
  size: number
  baseEnd: number
  /** mtime, and what changed last. */
  timeNs: bigint
  changedNs: bigint
}

/** How recovery went, for the log and for `doctor`. */
export interface RecoveryReport {
  readonly entries: number
  readonly files: number
  /** The journal's end was damaged; what lay behind is lost. */
  readonly damaged: boolean
}

/** What recovery reads from and reports to. */
export interface RecoveryParts {
  readonly volume: Volume
  readonly crc32c: Crc32c
  /** This boot's. The same as when the journal was begun: nothing written can have been lost. */
  readonly bootId: string
  readonly salt: bigint
  /** Resolves when the journal is durable up to a sequence number. */
  readonly durable: (seq: number) => Promise<void>
  readonly alarms: Alarms
  readonly log: Logger
  readonly fault: FaultPoint
}

/**
 * Recovers; see the file's head. The data plane serves nothing before it returns.
 * @throws {Error} EIO, ENOSPC
 */
export async function recover(parts: RecoveryParts): Promise<RecoveryReport> {
  const { volume, crc32c, bootId, log } = parts
  const { index, journal, tracker } = volume.parts
  const trustAll = readBootId(journal.directory) === bootId
  const read = readJournal(journal.directory, trustAll, crc32c)
  if (read.damaged) {
    log.warn({}, 'the end of the journal is damaged; what lay behind it is lost')
    // After a power loss a torn end is what is expected, and was confirmed to nobody.
    if (trustAll) {
      parts.alarms.raise(
        'JOURNAL_DAMAGED',
        'the end of the journal was damaged on the disk: what was written last may be lost; ' +
          'check the disk'
      )
    }
  }
  const done = index.meta(DONE_KEY)?.readUIntLE(0, 6) ?? 0
  const entries = read.entries.filter((entry) => entry.seq > done)
  const rows = new Map<number, Row[]>()
  for (const { seq, changes } of wholeChanges(entries)) {
    index.apply(changes)
    tracker.note(changes)
    rows.set(seq, rowsOf(changes))
  }
  const states = replayFiles(volume, entries, rows)
  const floor = index.meta(SEQ_KEY)?.readUIntLE(0, 6) ?? 0
  const found = read.entries.at(-1)?.seq ?? Math.max(floor, read.nextSeq - 1)
  const lastSeq = Math.max(found, done)
  const oldSegments = readdirSync(journal.directory).filter((name) => name.endsWith('.seg'))
  if (!trustAll) noteTrusted(journal.directory, read.entries.at(-1)?.seq ?? 0)
  // Where nothing is trusted nothing stays: a later mark would seem to cover it.
  const isEmpty = !trustAll && read.entries.length === 0
  cutJournal(journal.directory, isEmpty ? 0 : lastSeq, crc32c)
  parts.fault('recovery.cut')
  journal.open(lastSeq + 1, parts.salt)
  volume.parts.author.load()
  volume.parts.tables.load()
  const adopted = states.filter((state) => adopt(parts, state))
  void volume.parts.files.sweep()
  for (const state of adopted) restore(volume, state)
  await settle(parts, oldSegments)
  return { entries: entries.length, files: adopted.length, damaged: read.damaged }
}

/** All changes that count, in order; of those that count only together all, or none. */
function* wholeChanges(
  entries: readonly JournalEntry[]
): Generator<{ readonly seq: number; readonly changes: readonly Change[] }> {
  let parts: Change[] | null = null
  for (const { seq, type, payload } of entries) {
    const head = payload[0]
    if (type !== ENTRY.meta || head === META.files) continue
    const changes = decodeChanges(payload.subarray(1))
    if (head === META.first) parts = changes
    else if (head === META.changes) {
      parts = null
      yield { seq, changes }
    } else if (parts !== null) {
      for (const change of changes) parts.push(change)
      if (head === META.middle) continue
      yield { seq, changes: parts }
      parts = null
    }
  }
}

/** The state of each file whose journal entries its content map does not cover. */
function replayFiles(
  volume: Volume,
  entries: readonly JournalEntry[],
  rows: ReadonlyMap<number, readonly Row[]>
): LocalState[] {
  const states = new Map<number, LocalState>()
  const bindings = new Map<number, Binding>()
  for (const { seq, type, payload } of entries) {
    if (type === ENTRY.meta && payload[0] === META.files) {
      const stated: StatedFile = JSON.parse(payload.toString('utf8', 1))
      const row = volume.parts.index.node(stated.ino)
      if (row && seq > row.dataSeq) states.set(stated.ino, fromStated(stated))
      continue
    }
    for (const row of rows.get(seq) ?? []) replayTimes(states.get(row.ino), row)
    if (type === ENTRY.meta || type === ENTRY.mark) continue
    const ino = readSafe(payload, 0)
    const row = volume.parts.index.node(ino)
    if (!row) continue
    if (type === ENTRY.bind) {
      const binding = bindingOf(payload)
      bindings.set(ino, binding)
      const state = states.get(ino)
      if (state) state.binding = binding
    } else if (seq > row.dataSeq) {
      let state = states.get(ino)
      if (!state) states.set(ino, (state = fromRow(row, bindings.get(ino) ?? null)))
      replay(state, type, payload)
    }
  }
  return [...states.values()]
}

/** The files' rows among changes. */
function rowsOf(changes: readonly Change[]): Row[] {
  const rows: Row[] = []
  for (const change of changes) {
    if (change.kind === 'node' && change.row) rows.push(change.row)
  }
  return rows
}

/**
 * A row that was changed after a write says the mtime that was set then. The row of a commit may be
 * of an earlier state, that of its freeze: its ctime tells.
 */
function replayTimes(state: LocalState | undefined, row: Row): void {
  if (!state || row.ctimeNs < state.changedNs) return
  state.timeNs = row.mtimeNs
  state.changedNs = row.ctimeNs
}

function bindingOf(payload: Buffer): Binding {
  return {
    fileId: payload.readUInt32LE(8),
    base: readSafe(payload, 16),
    limit: Math.min(readSafe(payload, 24), FILE_LIMIT)
  }
}

function fromRow(row: Row, binding: Binding | null): LocalState {
  const { ino, size, baseEnd, mtimeNs } = row
  const dirty = new ByteRanges()
  return { ino, binding, dirty, size, baseEnd, timeNs: mtimeNs, changedNs: 0n }
}

function fromStated(stated: StatedFile): LocalState {
  const { ino, binding, size, baseEnd } = stated
  const dirty = new ByteRanges(stated.dirty)
  const timeNs = BigInt(stated.timeNs)
  return { ino, binding, size, baseEnd, timeNs, changedNs: BigInt(stated.changedNs), dirty }
}

function replay(state: LocalState, type: number, payload: Buffer): void {
  if (type === ENTRY.truncate) {
    state.size = readSafe(payload, 8)
    state.timeNs = state.changedNs = payload.readBigInt64LE(16)
    state.baseEnd = Math.min(state.baseEnd, state.size)
    state.dirty.cutAt(state.size)
    return
  }
  const fileId = payload.readUInt32LE(8)
  const localOffset = readSafe(payload, 16)
  const fileOffset = readSafe(payload, 24)
  state.dirty.add(fileOffset, fileOffset + readSafe(payload, 32))
  state.size = readSafe(payload, 40)
  state.timeNs = state.changedNs = payload.readBigInt64LE(48)
  // The BIND entry may be in a segment that is gone; a write tells as much.
  if (state.binding?.fileId !== fileId) {
    const base = localOffset - fileOffset
    state.binding = { fileId, base, limit: FILE_LIMIT }
  }
}

/** Gives a file's state to the data plane. @returns false: its row has all that is left of it */
function adopt({ volume, alarms, log }: RecoveryParts, state: LocalState): boolean {
  const { plane, files } = volume.parts
  const { ino, size, baseEnd, timeNs } = state
  const row = volume.row(ino)
  const limit = state.binding && files.limitOnDisk(state.binding.fileId)
  if (!limit && state.dirty.pairs().length > 0) {
    // An index that was made anew knows of no commit, so writes of long ago seem to be missing:
    // their local file went when the record that the row was made from had them.
    if (volume.parts.index.meta(MADE_ANEW_KEY) !== null) return false
    log.error({ ino, file: state.binding?.fileId }, 'a spool file is missing')
    alarms.raise(
      'SPOOL_MISSING',
      `the last writes to inode ${ino} are lost: spool file ${state.binding?.fileId} is gone; ` +
        'the file shows its content before them',
      String(ino)
    )
    return false
  }
  const ctimeNs = maxOf(row.ctimeNs, state.changedNs)
  const stat = Buffer.from(row.with({ size, baseEnd, mtimeNs: timeNs, ctimeNs }).stat)
  stat.writeUInt32LE(stat.readUInt32LE(68) | INODE_FORCE, 68)
  plane.putInodes(stat, 1)
  if (!state.binding || !limit) {
    state.binding = null
    return true
  }
  state.binding = { ...state.binding, limit }
  files.adopt(ino, state.binding)
  plane.restoreBinding(ino, state.binding.fileId, state.binding.base, limit)
  plane.setRanges(ino, 1, Float64Array.from(state.dirty.pairs()))
  return true
}

/** States a file in the new journal. One without a place gets one: it holds the size meanwhile. */
function restore(volume: Volume, state: LocalState): void {
  volume.parts.files.ensure(state.ino, 0)
  volume.stateFile(state.ino)
}

function maxOf(a: bigint, b: bigint): bigint {
  return a > b ? a : b
}

/** The boot during which the journal in this directory was begun; null when there is none. */
function readBootId(directory: string): string | null {
  const path = join(directory, BOOT_FILE)
  return statSync(path, { throwIfNoEntry: false }) ? readFileSync(path, 'utf8') : null
}

function writeBootId(directory: string, bootId: string): void {
  const path = join(directory, BOOT_FILE)
  writeFileSync(`${path}.new`, bootId, { mode: 0o600, flush: true })
  renameSync(`${path}.new`, path)
  syncDirectory(directory)
}

/** Notes the number of a journal entry. */
export function seqChange(key: string, seq: number): Change {
  const value = Buffer.alloc(6)
  value.writeUIntLE(seq, 0, 6)
  return { kind: 'meta', key, value }
}

/**
 * The index knows only what this generation's own records hold: the others' are taken in from the
 * beginning, whatever the journal says of how far they had come.
 */
function restartOfOthers(index: Index): Change[] {
  const keys = [MADE_ANEW_KEY, ...index.metaRange(CURSOR_PREFIX).map(({ key }) => key)]
  return keys.map((key) => ({ kind: 'meta', key, value: null }))
}

/** Makes the new journal and the index durable, then deletes the old segments. */
async function settle(parts: RecoveryParts, oldSegments: readonly string[]): Promise<void> {
  const { index, journal } = parts.volume.parts
  const { tracker } = parts.volume.parts
  // Whatever was read again is to be committed again, so it must not be in the old segments only.
  const changes: Change[] = [...tracker.pendingNodes()].map((ino) => {
    return { kind: 'node', ino, row: index.node(ino) }
  })
  for (const { parent, name } of tracker.pendingDirents()) {
    changes.push({ kind: 'dirent', parent, name, dirent: index.dirent(parent, name) })
  }
  changes.push(seqChange(SEQ_KEY, journal.lastSeq))
  if (index.meta(MADE_ANEW_KEY)) changes.push(...restartOfOthers(index))
  parts.volume.applyAll(changes)
  await parts.durable(journal.lastSeq)
  parts.fault('recovery.stated')
  index.cut()
  await index.flush()
  parts.fault('recovery.flushed')
  for (const name of oldSegments) {
    const path = join(journal.directory, name)
    if (statSync(path, { throwIfNoEntry: false })) unlinkSync(path)
  }
  writeBootId(journal.directory, parts.bootId)
  journal.forget(oldSegments.map((name) => Number.parseInt(name, 10)))
}
