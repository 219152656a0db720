/**
 * Asks peers for the blocks behind those that are being read one after the other, so that a stream
 * does not pay a round trip per block. What is read itself goes first: Hypercore serves single
 * blocks before ranges.
 *
 * Nothing is fetched ahead of a read that stands alone: a database that reads a page here and one
 * there would fetch many times what it needs.
 */
import type Hypercore from 'hypercore'

/** Streams that are told apart, per core; the one not read from for longest goes. */
const STREAM_LIMIT = 8

/** Most blocks ahead of a reader: 8 MiB of content, 80 ms at 100 MB/s. */
const AHEAD_LIMIT = 128

/** A read this far behind the newest one of its stream still belongs to it. */
const SLACK = 32

interface Stream {
  /** Highest block that was read, plus 1. */
  next: number
  /** Blocks read in a row so far. */
  readInRow: number
  /** Blocks before this one have been asked for. */
  askedTo: number
  readonly downloads: Hypercore.Download[]
}

/** Downloads that a stream may have on their way: the running one and the one behind it. */
const DOWNLOADS_PER_STREAM = 3

/** See the file's head. One for each core. */
export class ReadAhead {
  readonly #session: Hypercore
  readonly #streams: Stream[] = []

  /** @param session that the downloads run in; closed by its owner, which ends them */
  constructor(session: Hypercore) {
    this.#session = session
  }

  /**
   * Notes that a block is being read, here or from a peer.
   * @param limit block at which what the reader may want ends, not included
   */
  note(block: number, limit: number): void {
    const stream = this.#streamOf(block)
    if (block >= stream.next) {
      stream.readInRow += block - stream.next + 1
      stream.next = block + 1
    }
    if (stream.readInRow < 2) return
    const ahead = Math.min(AHEAD_LIMIT, 2 * stream.readInRow)
    const end = Math.min(limit, stream.next + ahead)
    const start = Math.max(stream.askedTo, stream.next)
    // In pieces of half the distance: a request per block would be dearer than the blocks.
    if (end - start < ahead / 2 && end < limit) return
    if (start < end) this.#ask(stream, start, end)
  }

  #ask(stream: Stream, start: number, end: number): void {
    stream.askedTo = end
    stream.downloads.push(this.#session.download({ start, end, linear: true }))
    if (stream.downloads.length > DOWNLOADS_PER_STREAM) stream.downloads.shift()?.destroy()
  }

  #streamOf(block: number): Stream {
    const at = this.#streams.findIndex(
      ({ next }) => block <= next + SLACK / 4 && block >= next - SLACK
    )
    const [known] = at < 0 ? [] : this.#streams.splice(at, 1)
    const stream = known ?? { next: block, readInRow: 0, askedTo: block, downloads: [] }
    this.#streams.push(stream)
    if (this.#streams.length > STREAM_LIMIT) {
      for (const download of this.#streams.shift()?.downloads ?? []) download.destroy()
    }
    return stream
  }
}
