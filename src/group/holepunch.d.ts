/** The part of the untyped blind-pairing that `group/` uses. */
declare module 'blind-pairing' {
  import type { EventEmitter } from 'node:events'
  namespace BlindPairing {
    interface Invite {
      readonly invite: Buffer
      readonly publicKey: Buffer
      readonly discoveryKey: Buffer
      /** The data with the invite's signature. */
      readonly additional: { readonly data: Buffer; readonly signature: Buffer }
    }
    /** A candidate's request, as the member gets it. */
    interface MemberRequest {
      /** What the candidate sent; throws when it does not know the invite. */
      open(publicKey: Buffer): Buffer
      confirm(answer: { readonly key: Buffer; readonly additional: Invite['additional'] }): void
      /** status: 1 rejected, 2 used, 3 expired */
      deny(options: { readonly status: 1 | 2 | 3 }): void
    }
    /** What a member answered. */
    interface Paired {
      readonly key: Buffer
      readonly data: Buffer | null
    }
    interface Member {
      /** Resolves when joiners that are connected already can ask. */
      ready(): Promise<void>
      flushed(): Promise<unknown>
      close(): Promise<void>
    }
    interface Candidate {
      readonly request: EventEmitter
      close(): Promise<void>
    }
  }
  class BlindPairing {
    /** @param swarm a Hyperswarm; not closed with this */
    constructor(swarm: object, options: { readonly poll: number })
    /** @param options `seed`: of the invite's key pair; default: random */
    static createInvite(
      key: Buffer,
      options: { readonly data: Buffer; readonly seed?: Buffer }
    ): BlindPairing.Invite
    /** Used by tests only: what everybody has who has a code. */
    static decodeInvite(invite: Buffer): { readonly seed: Buffer; readonly discoveryKey: Buffer }
    addMember(options: {
      readonly discoveryKey: Buffer
      readonly onadd: (request: BlindPairing.MemberRequest) => Promise<void>
    }): BlindPairing.Member
    addCandidate(options: {
      readonly invite: Buffer
      readonly userData: Buffer
      readonly onadd: (paired: BlindPairing.Paired) => Promise<void>
    }): BlindPairing.Candidate
    close(): Promise<void>
  }
  export = BlindPairing
}
