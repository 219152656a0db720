/**
 * The kernel's end of a session, in TypeScript over a socketpair: sends requests, collects replies
 * by their unique number, and notifications. What JavaScript must answer goes to `onRequest`.
 */
import { closeSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import {
  EVENT,
  loadNative,
  type MountOptions,
  type Native,
  type Session
} from '../../src/fuse/native.js'
import { header, newLocalFile, OP, type Header } from './tiny-fs.js'

/** A reply as the kernel gets it. */
export interface Reply {
  /** 0, or a positive errno number. */
  readonly errno: number
  readonly body: Buffer
}

/** A notification: code 2 INVAL_INODE, 3 INVAL_ENTRY. */
export interface Notice {
  readonly code: number
  readonly body: Buffer
}

/** What a kernel is closed with: a tap test. */
export interface Owner {
  teardown(act: () => void): void
}

const DEFAULTS: MountOptions = {
  mountpoint: '/',
  fsname: 'test',
  allowOther: false,
  suid: false,
  dev: false,
  syncIntervalMs: 0,
  watchdogMs: 0
}

const HEADER_BYTES = 40
const MESSAGE_BYTES = (1 << 20) + 65_536

/** One session with a fake kernel; `close` it. */
export class FakeKernel {
  readonly native: Native = loadNative()
  readonly session: Session
  readonly directory = mkdtempSync(join(tmpdir(), 'pcfs-native-'))
  readonly notices: Notice[] = []
  readonly events: [number, number, number][] = []
  /** Gets each request that JavaScript must answer; the default answers ENOSYS. */
  onRequest: (slot: number, request: Header) => void = (slot) => {
    this.session.replyError(slot, 38)
  }
  /** While true JavaScript takes nothing. */
  deaf = false
  private closed = false
  private readonly fd: number
  private nextUnique = 2n
  private readonly replies = new Map<bigint, Reply>()
  private readonly message = Buffer.alloc(MESSAGE_BYTES)
  private readonly slots = new Uint32Array(64)
  private readonly triples = new Float64Array(30)

  /** @param owner closed at the end of this test */
  constructor(owner: Owner, options: Partial<MountOptions> = {}) {
    owner.teardown(() => this.close())
    const [ours, theirs] = this.native.socketpair()
    this.fd = ours
    this.session = this.native.mount(
      { ...DEFAULTS, undoDir: this.directory, ...options, transportFd: theirs },
      { onWork: () => this.work() }
    )
  }

  /** Opens a journal of `bytes`; its path is `journalPath`. */
  openJournal(bytes = 16 << 20): void {
    const fd = newLocalFile(this.directory, 'journal')
    this.native.allocate(fd, 0, bytes)
    const salt = 0x1234_5678_9abc_def0n
    this.session.journalOpen({ fd, segmentId: 1, fileOffset: 0, limit: bytes, nextSeq: 1, salt })
  }

  /** Adds a new local file under this id. */
  addFile(fileId: number): void {
    this.session.addFile(fileId, newLocalFile(this.directory, `file-${fileId}`))
  }

  get journalPath(): string {
    return join(this.directory, 'journal')
  }

  /** Takes and handles what waits; also called by the session. */
  work(): void {
    if (this.deaf) return
    const count = this.session.takeRequests(this.slots)
    // A copy: answering may let more work in.
    for (const slot of Array.from(this.slots.subarray(0, count)))
      this.onRequest(slot, header(this.session, slot))
    for (;;) {
      const events = this.session.takeEvents(this.triples)
      for (let i = 0; i < events; i++) {
        const [type = 0, value = 0, argument = 0] = this.triples.subarray(i * 3, i * 3 + 3)
        this.events.push([type, value, argument])
      }
      if (events === 0) break
    }
  }

  /** Sends a request and does not wait. @returns its unique number */
  send(opcode: number, nodeid: number, body: Uint8Array = Buffer.alloc(0), pid = 0): bigint {
    const unique = this.nextUnique
    this.nextUnique += 2n
    const message = Buffer.alloc(HEADER_BYTES + body.length)
    message.writeUInt32LE(message.length, 0)
    message.writeUInt32LE(opcode, 4)
    message.writeBigUInt64LE(unique, 8)
    message.writeBigUInt64LE(BigInt(nodeid), 16)
    message.writeUInt32LE(1000, 24)
    message.writeUInt32LE(1000, 28)
    message.writeUInt32LE(pid, 32)
    message.set(body, HEADER_BYTES)
    this.native.rawSend(this.fd, message)
    return unique
  }

  /** Receives what has come, waiting up to `ms` for the first message. */
  receive(ms = 0): boolean {
    const n = this.native.rawRecv(this.fd, this.message, ms)
    if (n <= 0) return false
    const copy = Buffer.from(this.message.subarray(0, n))
    const error = copy.readInt32LE(4)
    const unique = copy.readBigUInt64LE(8)
    const body = copy.subarray(16)
    if (unique === 0n) this.notices.push({ code: error, body })
    else if (this.replies.has(unique)) throw new Error(`two replies to ${unique}`)
    else this.replies.set(unique, { errno: error === 0 ? 0 : -error, body })
    return true
  }

  /** Waits for the reply to `unique`, letting JavaScript work meanwhile. */
  async reply(unique: bigint, timeoutMs = 5000): Promise<Reply> {
    const until = performance.now() + timeoutMs
    for (let spins = 0; ; spins++) {
      while (this.receive());
      const reply = this.replies.get(unique)
      if (reply) {
        this.replies.delete(unique)
        return reply
      }
      if (performance.now() > until) throw new Error(`no reply to ${unique}`)
      await (spins < 200 ? new Promise((resolve) => setImmediate(resolve)) : sleep(1))
    }
  }

  /** Whether the reply has come; does not let JavaScript work. */
  hasReply(unique: bigint, waitMs = 50): boolean {
    const until = performance.now() + waitMs
    do this.receive(5)
    while (!this.replies.has(unique) && performance.now() < until)
    return this.replies.has(unique)
  }

  /** Waits for a reply without ever returning to the event loop: only native can answer. */
  replyNow(unique: bigint, timeoutMs = 5000): Reply {
    if (!this.hasReply(unique, timeoutMs)) throw new Error(`no reply to ${unique}`)
    const reply = this.replies.get(unique)
    this.replies.delete(unique)
    if (!reply) throw new Error('unreachable')
    return reply
  }

  /** A request that native must answer by itself. */
  call(opcode: number, nodeid: number, body?: Uint8Array): Reply {
    return this.replyNow(this.send(opcode, nodeid, body))
  }

  /** Waits until `condition`, letting JavaScript work. */
  async until(condition: () => boolean, timeoutMs = 5000): Promise<void> {
    const end = performance.now() + timeoutMs
    while (!condition()) {
      if (performance.now() > end) throw new Error('waited in vain')
      while (this.receive());
      this.work()
      await sleep(1)
    }
  }

  /** Whether an event of this type (and value) has come. */
  saw(type: number, value?: number): boolean {
    return this.events.some(([t, v]) => t === type && (value === undefined || v === value))
  }

  /** INIT as kernel 6.18 sends it. */
  init(): Reply {
    const body = Buffer.alloc(64)
    body.writeUInt32LE(7, 0)
    body.writeUInt32LE(45, 4)
    body.writeUInt32LE(131_072, 8)
    body.writeUInt32LE(0xffff_ffff, 12)
    body.writeUInt32LE(0xffff_fdff, 16)
    return this.call(OP.init, 0, body)
  }

  lookup(parent: number, name: string): Reply {
    return this.call(OP.lookup, parent, Buffer.from(`${name}\0`))
  }

  getattr(ino: number): Reply {
    return this.call(OP.getattr, ino, Buffer.alloc(16))
  }

  forget(ino: number, count: number): void {
    const body = Buffer.alloc(8)
    body.writeBigUInt64LE(BigInt(count))
    this.send(OP.forget, ino, body)
  }

  /** The size that GETATTR tells. */
  size(ino: number): number {
    return Number(this.getattr(ino).body.readBigUInt64LE(24))
  }

  /** Body of READ, READDIR and READDIRPLUS. */
  static readBody(fileOffset: number, length: number): Buffer {
    const body = Buffer.alloc(40)
    body.writeBigUInt64LE(BigInt(fileOffset), 8)
    body.writeUInt32LE(length, 16)
    return body
  }

  read(ino: number, fileOffset: number, length: number): Reply {
    return this.call(OP.read, ino, FakeKernel.readBody(fileOffset, length))
  }

  /** Body of WRITE. */
  static writeBody(fileOffset: number, data: Uint8Array, flags = 0): Buffer {
    const body = Buffer.alloc(40 + data.length)
    body.writeBigUInt64LE(BigInt(fileOffset), 8)
    body.writeUInt32LE(data.length, 16)
    body.writeUInt32LE(flags, 20)
    body.set(data, 40)
    return body
  }

  write(ino: number, fileOffset: number, data: Uint8Array, flags = 0): Reply {
    return this.call(OP.write, ino, FakeKernel.writeBody(fileOffset, data, flags))
  }

  /** Waits for `event`. */
  async event(type: (typeof EVENT)[keyof typeof EVENT], value?: number): Promise<void> {
    await this.until(() => this.saw(type, value))
  }

  close(): void {
    if (this.closed) return
    this.closed = true
    this.session.close()
    closeSync(this.fd)
    rmSync(this.directory, { recursive: true, force: true })
  }
}
