/**
 * Devices that write group records, with signatures that are cheap and that only they can make as
 * far as the tests go: a hash of key and bytes. The real ones are tested in test/keys.
 */
import { createHash } from 'node:crypto'
import { headOf, nextStatement } from '../../src/format/group-author.js'
import {
  type Cores,
  type CorePin,
  type Grant,
  type Pin,
  type RecordBody,
  type Role,
  grantSignable
} from '../../src/format/group-body.js'
import {
  type CoreKey,
  type PublicKey,
  keyBytes,
  toCoreKey,
  toPublicKey
} from '../../src/format/group-keys.js'
import {
  type GroupRecord,
  type RecordVerifier,
  type Statement,
  sealRecord,
  signable
} from '../../src/format/group-record.js'
import { type Membership, membershipOf } from '../../src/format/membership.js'
import { recordSetOf } from '../../src/format/membership-set.js'

export function hashOf(...parts: (string | Buffer)[]): Buffer {
  const hash = createHash('sha256')
  for (const part of parts) hash.update(part)
  return hash.digest()
}

export function fakeSignature(key: PublicKey, signed: Buffer): Buffer {
  const half = hashOf(keyBytes(key), signed)
  return Buffer.concat([half, half])
}

export const fakeVerifier: RecordVerifier = {
  signature: (key, signed, signature) => fakeSignature(key, signed).equals(signature),
  identity: (key, signed, proof) => fakeSignature(key, signed).equals(proof)
}

export const IDENTITY = toPublicKey(hashOf('the phrase'))
export const RECOVERY_BOX = toPublicKey(hashOf('the recovery box'))
export const DRIVE = toCoreKey(hashOf('group first'))
export const WHERE = { drive: DRIVE, identity: IDENTITY }

/** The keys of a device that a name stands for. */
export function keyOf(name: string): PublicKey {
  return toPublicKey(hashOf(`signing ${name}`))
}

export function grantFor(name: string, role: Role): Grant {
  const key = (use: string): Buffer => hashOf(`${use} ${name}`)
  const cores: Cores = {
    groupWriter: toCoreKey(key('group')),
    db: toCoreKey(key('db')),
    blobs: toCoreKey(key('blobs'))
  }
  return {
    role,
    signing: keyOf(name),
    noise: toPublicKey(key('noise')),
    box: toPublicKey(key('box')),
    cores: role === 'blind' ? null : cores,
    name: null
  }
}

export function pinsOfCores({ cores }: Grant, length: number): readonly CorePin[] {
  if (cores === null) return []
  return [cores.groupWriter, cores.db, cores.blobs].map((key: CoreKey) => ({
    key,
    fork: 0,
    length,
    treeHash: hashOf(key, String(length))
  }))
}

/** Signs a statement as its author, with the witness that its type needs. */
export function signedRecord(statement: Statement): GroupRecord {
  const bytes = signable(statement)
  return sealRecord(bytes, fakeSignature(statement.author, bytes), witnessOf(statement.body, bytes))
}

function witnessOf(body: RecordBody, bytes: Buffer): Buffer {
  switch (body.type) {
    case 'genesis':
    case 'recover':
      return fakeSignature(IDENTITY, bytes)
    case 'generation':
      return fakeSignature(body.from, bytes)
    case 'device-add':
      return fakeSignature(body.device.signing, grantSignable(body.device))
    default:
      return Buffer.alloc(0)
  }
}

/** One home: what it has heard, and its key. */
export class Party {
  readonly key: PublicKey
  readonly heard = new Map<string, GroupRecord>()

  constructor(
    readonly name: string,
    readonly role: Role = 'personal'
  ) {
    this.key = keyOf(name)
  }

  get grant(): Grant {
    return grantFor(this.name, this.role)
  }

  hear(...from: (Party | GroupRecord)[]): this {
    for (const source of from) {
      const records = source instanceof Party ? [...source.heard.values()] : [source]
      for (const record of records) this.heard.set(record.hash, record)
    }
    return this
  }

  membership(): Membership {
    return membershipOf(this.heard.values(), WHERE, fakeVerifier)
  }

  write(body: RecordBody): GroupRecord {
    const set = recordSetOf(this.heard.values(), WHERE, fakeVerifier)
    const record = signedRecord(nextStatement(set, this.key, body))
    this.hear(record)
    return record
  }

  add(other: Party): GroupRecord {
    return this.write({ type: 'device-add', device: other.grant })
  }

  pin(other: Party, coreLength = 10): Pin {
    const set = recordSetOf(this.heard.values(), WHERE, fakeVerifier)
    const cores = pinsOfCores(other.grant, coreLength)
    return { generation: other.key, head: headOf(set, other.key), cores }
  }

  revoke(other: Party, coreLength = 10): GroupRecord {
    const pins = [this.pin(other, coreLength)]
    return this.write({ type: 'revoke', target: other.key, pins })
  }

  acknowledge(...records: GroupRecord[]): GroupRecord {
    return this.write({ type: 'acknowledge', records: records.map(({ hash }) => hash) })
  }

  epoch(secret: string, ...recipients: Party[]): GroupRecord {
    return this.write({
      type: 'epoch',
      commitment: hashOf('epoch', secret),
      recoverySeal: Buffer.alloc(80, 1),
      seals: recipients.map(({ key }) => ({ recipient: key, sealed: Buffer.alloc(80, 2) }))
    })
  }

  /** A hand-over to the keys that another name stands for. */
  handOver(next: Party): GroupRecord {
    const body: RecordBody = {
      type: 'generation',
      from: this.key,
      device: next.grant,
      seal: this.pin(this)
    }
    next.hear(this)
    return next.write(body)
  }

  recover(fields: Partial<Extract<RecordBody, { type: 'recover' }>> = {}): GroupRecord {
    return this.write({
      type: 'recover',
      nonce: hashOf('nonce', this.name),
      device: null,
      revocations: [],
      voids: [],
      ...fields
    })
  }

  state(other: Party): string | undefined {
    return this.membership().generations.get(other.key)?.state
  }
}

/** A drive with its first device. */
export function found(): Party {
  const first = new Party('first')
  const body: RecordBody = {
    type: 'genesis',
    identity: IDENTITY,
    recoveryBox: RECOVERY_BOX,
    device: first.grant
  }
  first.write(body)
  return first
}

/** The first device and others that it admitted; all have heard everything. */
export function foundWith(...others: Party[]): Party {
  const first = found()
  for (const other of others) first.add(other)
  for (const other of others) other.hear(first)
  return first
}

/** All records that any of them has. */
export function allOf(...parties: Party[]): GroupRecord[] {
  const all = new Map<string, GroupRecord>()
  for (const party of parties) for (const [hash, record] of party.heard) all.set(hash, record)
  return [...all.values()]
}
