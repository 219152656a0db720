/**
 * Which blocks of a file an ingest has to look at, without reading: the blocks that frozen ranges
 * touch, with whole blocks of frozen holes told apart, so that a 1 TiB sparse file costs its data.
 */
import { BLOCK_BYTES, blocksOf } from '../format/content-map.js'
import type { ByteRange, FrozenReader } from './types.js'

/** A part of the work, ascending, not overlapping. */
export type BlockStep =
  /** Every byte of these file blocks is frozen (or beyond the end) and zero. */
  | { readonly type: 'zeros'; readonly from: number; readonly to: number }
  /** To be assembled; `isWhole`: frozen to its end, so that nothing of the base is needed. */
  | { readonly type: 'block'; readonly block: number; readonly isWhole: boolean }

/**
 * The steps of one file.
 * @param frozen its frozen bytes
 * @param size bytes of the file; what is frozen behind it is left out
 */
export function* blockSteps(frozen: FrozenReader, size: number): Generator<BlockStep> {
  let next = 0
  for (const { start, end } of frozen.ranges) {
    const range = { start, end: Math.min(end, size) }
    let block = Math.max(next, Math.floor(start / BLOCK_BYTES))
    const last = blocksOf(range.end)
    while (block < last) {
      const zerosTo = zeroBlocksFrom(frozen, block, range, size)
      if (zerosTo > block) {
        yield { type: 'zeros', from: block, to: zerosTo }
        block = zerosTo
        continue
      }
      yield { type: 'block', block, isWhole: isWithin(block, range, size) }
      block++
    }
    next = Math.max(next, block)
  }
}

/** The end of the whole blocks of frozen zeros that begin at `block`; `block` for none. */
function zeroBlocksFrom(
  frozen: FrozenReader,
  block: number,
  range: ByteRange,
  size: number
): number {
  const start = block * BLOCK_BYTES
  if (start < range.start) return block
  const data = frozen.nextData(start)
  const end = data === -1 ? range.end : Math.min(data, range.end)
  // The file's last block is whole when its frozen zeros reach the file's end.
  return end >= size ? blocksOf(size) : Math.floor(end / BLOCK_BYTES)
}

function isWithin(block: number, range: ByteRange, size: number): boolean {
  const start = block * BLOCK_BYTES
  return range.start <= start && Math.min(start + BLOCK_BYTES, size) <= range.end
}

/** Whether a frozen range touches a file block. */
export function isTouched(frozen: FrozenReader, block: number): boolean {
  const start = block * BLOCK_BYTES
  const end = start + BLOCK_BYTES
  return frozen.ranges.some((range) => range.start < end && range.end > start)
}
