/**
 * A process that works in a folder until that fails: seeded random operations, each logged OUTSIDE
 * of the mount when it has completed. Run as `node workload.js FOLDER LOG SEED`.
 *
 * A log line is `E index milliseconds` for a completed operation and `X index milliseconds errno`
 * for the one that failed, after which the process ends.
 */
import * as fs from 'node:fs'
import { join } from 'node:path'
import { makeData, makeRandom, Model, type Op } from './model.js'

const MAX_OPS = 200_000

/** Performs one operation; exactly one changing system call each. */
function perform(folder: string, op: Op): void {
  const path = join(folder, op.path)
  switch (op.type) {
    case 'create':
      fs.closeSync(fs.openSync(path, 'wx', op.mode))
      break
    case 'mkdir':
      fs.mkdirSync(path, op.mode)
      break
    case 'symlink':
      fs.symlinkSync(op.target, path)
      break
    case 'write': {
      const fd = fs.openSync(path, 'r+')
      try {
        const data = makeData(op.seed, op.byteLength)
        const written = fs.writeSync(fd, data, 0, data.length, op.fileOffset)
        if (written !== data.length) throw new Error(`short write: ${written} of ${data.length}`)
      } finally {
        fs.closeSync(fd)
      }
      break
    }
    case 'truncate':
      fs.truncateSync(path, op.size)
      break
    case 'unlink':
      fs.unlinkSync(path)
      break
    case 'rmdir':
      fs.rmdirSync(path)
      break
    case 'rename':
      fs.renameSync(path, join(folder, op.to))
      break
    case 'link':
      fs.linkSync(path, join(folder, op.to))
      break
    case 'chmod':
      fs.chmodSync(path, op.mode)
      break
    case 'fsync': {
      const fd = fs.openSync(path, 'r')
      try {
        fs.fsyncSync(fd)
      } finally {
        fs.closeSync(fd)
      }
      break
    }
  }
}

function work(folder: string, logFile: string, seed: number): void {
  const log = fs.openSync(logFile, 'a')
  const random = makeRandom(seed)
  const model = new Model()
  process.umask(0)
  for (let index = 0; index < MAX_OPS; index++) {
    const op = model.choose(random)
    try {
      perform(folder, op)
    } catch (error) {
      const code = error instanceof Error && 'code' in error ? String(error.code) : String(error)
      fs.writeSync(log, `X ${index} ${Date.now()} ${code} ${op.type}\n`)
      return
    }
    fs.writeSync(log, `E ${index} ${Date.now()}\n`)
    model.apply(op)
  }
}

const [folder, logFile, seed] = process.argv.slice(2)
if (folder === undefined || logFile === undefined || seed === undefined) {
  throw new Error('workload.js FOLDER LOG SEED')
}
work(folder, logFile, Number(seed))
