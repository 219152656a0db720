/**
 * The second round of a pairing: the joiner is told what became of it. It goes the way of the first
 * (directly, or through the DHT where the two can not reach each other), at a meeting that only the
 * two know. It decides nothing: who is admitted is in the group's records, and a joiner that hears
 * no verdict finds it there.
 */
import { decodeVerdict, encodeVerdict, verdictMeeting, type Verdict } from './pairing-format.js'
import BlindPairing from 'blind-pairing'

/** What both sides have after the first round. */
export interface FirstRound {
  readonly offer: Buffer
  readonly request: Buffer
}

/** Any bytes: the meeting itself says who asks. */
const QUESTION = Buffer.from('verdict')

/**
 * Answers the joiner once there is a verdict. The pairing's close ends it; the verdict has to be
 * there by then, or that close waits for it.
 * @returns when a joiner that is connected can ask
 */
export async function tellVerdict(
  pairing: BlindPairing,
  round: FirstRound,
  verdict: Promise<Verdict>
): Promise<void> {
  const { key, seed } = verdictMeeting(round.offer, round.request)
  const { discoveryKey, publicKey } = BlindPairing.createInvite(key, { data: QUESTION, seed })
  const member = pairing.addMember({
    discoveryKey,
    onadd: async (request) => {
      request.open(publicKey)
      const data = encodeVerdict(await verdict)
      const { additional } = BlindPairing.createInvite(key, { data, seed })
      request.confirm({ key, additional })
    }
  })
  await member.ready()
}

/**
 * The verdict, when it comes; never, when the inviting device is gone for ever.
 * @throws {FsError} EIO when it can not be read
 */
export async function hearVerdict(pairing: BlindPairing, round: FirstRound): Promise<Verdict> {
  const { key, seed } = verdictMeeting(round.offer, round.request)
  const { invite } = BlindPairing.createInvite(key, { data: QUESTION, seed })
  const told = new Promise<Buffer | null>((resolve) => {
    pairing.addCandidate({
      invite,
      userData: QUESTION,
      onadd: ({ data }) => {
        resolve(data)
        return Promise.resolve()
      }
    })
  })
  return decodeVerdict((await told) ?? Buffer.alloc(0))
}
