/** How a device writes its next record: behind its last one, citing what it has heard since. */
import type { ChainHead, RecordBody } from './group-body.js'
import type { PublicKey } from './group-keys.js'
import { type GroupRecord, type Head, MAX_HEADS, type Statement } from './group-record.js'
import { Hearing, type RecordSet } from './membership-set.js'

/** The last record of an author; null: there is none. Of a fork's branches the same for all. */
export function headOf(set: RecordSet, author: PublicKey): ChainHead | null {
  const last = lastOf(set, author)
  return last === null ? null : { sequence: last.sequence, hash: last.hash }
}

/**
 * What an author signs next.
 * @param set everything that it has
 * @param author its signing key; nobody else may write under it meanwhile
 */
export function nextStatement(set: RecordSet, author: PublicKey, body: RecordBody): Statement {
  const last = lastOf(set, author)
  return {
    drive: set.drive,
    author,
    sequence: last === null ? 0 : last.sequence + 1,
    previous: last?.hash ?? null,
    heads: newsFor(set, author, last),
    body
  }
}

function lastOf(set: RecordSet, author: PublicKey): GroupRecord | null {
  const records = set.byAuthor.get(author) ?? []
  const greatest = records.at(-1)?.sequence
  return records.find(({ sequence }) => sequence === greatest) ?? null
}

/** The heads of others that the author's records did not tell yet; revocations go first. */
function newsFor(set: RecordSet, author: PublicKey, last: GroupRecord | null): readonly Head[] {
  const told = last === null ? new Map<PublicKey, ChainHead>() : new Hearing(set).headsOf(last)
  const news: { readonly head: Head; readonly isUrgent: boolean }[] = []
  for (const [other, records] of set.byAuthor) {
    const head = headOf(set, other)
    const before = told.get(other)?.sequence ?? -1
    if (other === author || head === null || head.sequence <= before) continue
    const isUrgent = records.some(
      ({ sequence, body }) =>
        sequence > before && (body.type === 'revoke' || body.type === 'recover')
    )
    news.push({ head: { author: other, ...head }, isUrgent })
  }
  return news
    .sort((a, b) => Number(b.isUrgent) - Number(a.isUrgent))
    .slice(0, MAX_HEADS)
    .map(({ head }) => head)
    .sort((a, b) => (a.author < b.author ? -1 : 1))
}
