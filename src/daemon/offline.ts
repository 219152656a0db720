/**
 * What can be done with a home while no daemon runs. The caller holds the home's lock.
 */
import { mkdirSync, rmSync } from 'node:fs'
import type { Clock } from '../base/clock.js'
import { systemClock } from '../base/clock.js'
import { FsError } from '../base/errors.js'
import type { Finding, Progress } from '../control/operations.js'
import { openKeyring } from '../keys/keyring.js'
import { parseNodeId, toGenerationNumber, type GenerationNumber } from '../format/ids.js'
import { Author } from '../union/author.js'
import { Index } from '../union/index-store.js'
import { rebuildIndex as rebuild, type StoredRecord } from '../union/rebuild.js'
import { noteUnused, type UsedRun } from '../vfs/history.js'
import { wroteChange } from '../vfs/horizon.js'
import { readSlots } from '../vfs/slot-file.js'
import { MADE_ANEW_KEY } from '../vfs/recovery.js'
import { bad, ok } from './doctor.js'
import type { HomePaths } from './home.js'
import type { StoreInfo } from './store-calls.js'
import { StoreClient } from './store-client.js'

/** Records asked for at once. */
const PAGE = 2000

/** An open store without a mount. */
interface OpenStore {
  readonly store: StoreClient
  readonly info: StoreInfo
}

async function withStore<T>(home: HomePaths, work: (open: OpenStore) => Promise<T>): Promise<T> {
  const { client: store, info } = await StoreClient.open({
    keyringPath: home.keyring,
    storeDirectory: home.store,
    sessionId: null,
    network: null,
    fault: null
  })
  try {
    return await work({ store, info })
  } finally {
    await store.close()
  }
}

/** All records of the generation, ascending by id. */
async function* recordsOf(store: StoreClient): AsyncGenerator<StoredRecord> {
  let gt: string | null = null
  for (;;) {
    const page: StoredRecord[] = []
    for (const { id, record } of await store.call('scan', gt, PAGE)) {
      if (record) page.push({ id: parseNodeId(id), record })
    }
    yield* page
    const last = page.at(-1)
    if (!last) return
    gt = last.id
  }
}

/**
 * Opens store and index and looks whether they can be read from end to end. Changes nothing that
 * matters: a journal that was not yet applied stays so.
 */
export async function examineOffline(home: HomePaths): Promise<Finding[]> {
  const { role } = await openKeyring(home.keyring)
  // It has no index, and no generation that could be opened.
  if (role === 'blind') return [ok('store', 'this is a blind device: it can not look into it')]
  return [await examineStore(home), await examineIndex(home)]
}

async function examineStore(home: HomePaths): Promise<Finding> {
  try {
    return await withStore(home, async ({ store, info }) => {
      let records = 0
      for await (const record of recordsOf(store)) records += record.record.length > 0 ? 1 : 0
      return ok('store', `${records} records in ${info.dbLength} blocks can be read`)
    })
  } catch (error) {
    return bad('store', messageOf(error), 'restore the home from a backup or another device')
  }
}

async function examineIndex(home: HomePaths): Promise<Finding> {
  try {
    const index = Index.open(home.index)
    try {
      let nodes = 0
      for (const row of index.rows()) nodes += row.ino > 0 ? 1 : 0
      return ok('index', `${nodes} nodes can be read`)
    } finally {
      await index.close()
    }
  } catch (error) {
    return bad('index', messageOf(error), 'run: pcfs doctor --rebuild-index')
  }
}

/**
 * Makes the index anew from the generations; the journal is applied on top when it is mounted.
 * Killed half way it may be run again.
 * @param onProgress told how far it is
 */
export async function rebuildIndex(
  home: HomePaths,
  onProgress: (progress: Progress) => void
): Promise<void> {
  const { role } = await openKeyring(home.keyring)
  if (role === 'blind') throw new FsError('EINVAL', 'a blind device has no index')
  await withStore(home, async ({ store, info }) => {
    rmSync(home.index, { recursive: true, force: true })
    mkdirSync(home.index, { mode: 0o700 })
    const index = Index.open(home.index)
    try {
      await fillIndex(index, { store, info, journal: home.journal }, systemClock(), onProgress)
    } finally {
      await index.close()
    }
  })
}

/**
 * Fills an empty index from the store's records.
 * @param parts `journal`: its directory, with what its entries mean by their inos
 * @throws {FsError} EIO when the records can not be read
 */
export async function fillIndex(
  index: Index,
  { store, info, journal }: OpenStore & { readonly journal: string },
  clock: Clock,
  onProgress: (progress: Progress) => void
): Promise<void> {
  const author = new Author(index, toGenerationNumber(info.generation), clock)
  for (const generation of readSlots(journal)) index.apply(author.slotFor(generation))
  const total = info.dbLength
  await rebuild({
    index,
    author,
    records: recordsOf(store),
    deviceName: (generation) => nameIn(info, generation),
    // What the others wrote is taken in from the beginning when it is mounted.
    isShared: info.known.some(({ isOwn }) => !isOwn),
    onProgress: (done) => onProgress({ done, total: Math.max(done, total), unit: 'records' })
  })
  const used: UsedRun[] = []
  for (const { ino, record } of index.rows()) {
    for (const { content } of record.data) {
      if (content.type !== 'file') continue
      for (const map of content.maps) {
        for (const run of await store.runsOf(map)) used.push({ ...run, ino })
      }
    }
  }
  const madeAnew = { kind: 'meta', key: MADE_ANEW_KEY, value: Buffer.of(1) } as const
  index.apply([...noteUnused(used, info.blobsLength), wroteChange(info.dbLength), madeAnew])
  index.cut()
  await index.flush()
}

function nameIn({ known }: StoreInfo, generation: GenerationNumber): string {
  return known.find((one) => one.generation === generation)?.name ?? generation.toString(16)
}

function messageOf(error: unknown): string {
  if (error instanceof FsError) return error.message
  return error instanceof Error ? error.message : String(error)
}
