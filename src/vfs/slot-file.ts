/**
 * Which generation an ino's upper bits mean, beside the journal: its entries name inos, and must be
 * understood when the index, which has the table too, is made anew.
 */
import { readFileSync, renameSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { FsError } from '../base/errors.js'
import { toGenerationNumber, type GenerationNumber } from '../format/ids.js'
import { syncDirectory } from './local-files.js'

const NAME = 'slots'

/** Replaces the table; durable when it returns. @param slots generations of the slots from 1 on */
export function writeSlots(directory: string, slots: readonly GenerationNumber[]): void {
  const path = join(directory, NAME)
  writeFileSync(`${path}.new`, JSON.stringify(slots), { mode: 0o600, flush: true })
  renameSync(`${path}.new`, path)
  syncDirectory(directory)
}

/** The table; empty where none was written. @throws {FsError} EIO when it is damaged */
export function readSlots(directory: string): readonly GenerationNumber[] {
  const path = join(directory, NAME)
  if (!statSync(path, { throwIfNoEntry: false })) return []
  try {
    const slots: unknown = JSON.parse(readFileSync(path, 'utf8'))
    if (Array.isArray(slots)) return slots.map((slot) => toGenerationNumber(Number(slot)))
  } catch (cause) {
    throw new FsError('EIO', `${path} is damaged`, { cause })
  }
  throw new FsError('EIO', `${path} is damaged`)
}
