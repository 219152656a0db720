/**
 * One process per home. The lock is flock(2) on the file `lock`: the kernel lets go of it when its
 * holder ends, however it ends, so there are no stale locks. Node has no flock; util-linux's
 * program takes it on our descriptor, and a lock of that kind belongs to the open file, which stays
 * ours when the program has ended.
 */
import { spawnSync } from 'node:child_process'
import { closeSync, constants, ftruncateSync, openSync, readFileSync, writeSync } from 'node:fs'
import { Failure } from '../control/failure.js'

/** What flock(1) is told to end with when another process has the lock. */
const BUSY_STATUS = 75

/** A held lock. Ends with `Symbol.dispose`, or with the process. */
export interface HomeLock extends Disposable {
  readonly path: string
}

/**
 * Takes the lock of a home, or fails at once.
 * @param path the file `lock` of the home; made when it is missing
 * @throws {Failure} `home-busy` when another process has it
 */
export function lockHome(path: string): HomeLock {
  const flags = constants.O_RDWR | constants.O_CREAT | constants.O_NOFOLLOW
  const fd = openSync(path, flags, 0o600)
  const done = spawnSync('flock', ['-n', '-E', String(BUSY_STATUS), '3'], {
    stdio: ['ignore', 'ignore', 'ignore', fd]
  })
  if (done.status !== 0) {
    closeSync(fd)
    throw done.status === BUSY_STATUS ? busy(path) : unusable(path, done.error)
  }
  ftruncateSync(fd)
  writeSync(fd, `${process.pid}\n`, 0)
  return { path, [Symbol.dispose]: () => closeSync(fd) }
}

function busy(path: string): Failure {
  const holder = readFileSync(path, 'utf8').trim()
  const who = holder === '' ? 'another process' : `process ${holder}`
  return new Failure('home-busy', `${who} has this home open; 'pcfs stop' ends it`, {
    code: 'EBUSY'
  })
}

function unusable(path: string, cause: Error | undefined): Failure {
  return new Failure('failed', `${path} cannot be locked; is flock (util-linux) installed?`, {
    code: 'ENOLCK',
    cause
  })
}
