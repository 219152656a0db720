/**
 * Conflict copies that wait for a person: found by their names, which are the same on all devices
 * and stay when a copy has become a file of its own. A person that renames or removes it has
 * decided.
 */
import { spawn } from 'node:child_process'
import { setImmediate as nextTurn } from 'node:timers/promises'
import type { ConflictReport } from '../control/operations.js'
import { parseConflictName } from '../format/conflict-name.js'
import { ROOT_INO } from '../format/ids.js'
import type { Index } from '../union/index-store.js'

/** Copies that are listed at most. */
const LIST_LIMIT = 5000
/** Directories that are read in one go; a large one takes some ms. */
const SLICE_MS = 5
/** After the first new copy, before a person is told: others come with it, ms. */
const GATHER_MS = 2000
const NOTICE_MS = 10_000

const DTYPE_DIR = 4

/**
 * Lists the copies in the whole tree; other work goes on meanwhile.
 * @returns sorted by path
 */
export async function listConflicts(index: Index, signal: AbortSignal): Promise<ConflictReport[]> {
  const found: ConflictReport[] = []
  const waiting: { readonly ino: number; readonly path: string }[] = [{ ino: ROOT_INO, path: '' }]
  let until = performance.now() + SLICE_MS
  for (let at = waiting.pop(); at !== undefined; at = waiting.pop()) {
    if (performance.now() > until) {
      await nextTurn()
      signal.throwIfAborted()
      until = performance.now() + SLICE_MS
    }
    for (const { name, ino, dtype } of index.children(at.ino)) {
      const text = Buffer.from(name, 'latin1').toString()
      const path = at.path === '' ? text : `${at.path}/${text}`
      if (dtype === DTYPE_DIR) waiting.push({ ino, path })
      const parts = parseConflictName(text)
      if (parts !== null && found.length < LIST_LIMIT) found.push({ path, ...parts })
    }
  }
  return found.sort((a, b) => (a.path < b.path ? -1 : 1))
}

/** Tells the desktop, where there is one, that conflict copies have come. */
export class ConflictNotice {
  #timer: NodeJS.Timeout | null = null

  /** A copy has appeared. */
  note(): void {
    this.#timer ??= setTimeout(() => {
      this.#timer = null
      show()
    }, GATHER_MS)
    this.#timer.unref()
  }

  close(): void {
    if (this.#timer !== null) clearTimeout(this.#timer)
  }
}

function show(): void {
  const text = "A file was changed on two devices at a time; both are kept. See 'pcfs conflicts'."
  const args = ['--app-name=pcfs', '--icon=dialog-information', 'pcfs', text]
  // Where there is no such program, or no desktop, there is nobody to tell.
  const child = spawn('notify-send', args, { stdio: 'ignore', timeout: NOTICE_MS })
  child.on('error', () => undefined)
  child.unref()
}
