/**
 * Finds what is wrong with a home, and says the mend. What can be seen from outside is looked at
 * here, whether or not a daemon runs; what is inside is looked at by the daemon, or, when none
 * runs, by `examineOffline` under the home's lock.
 */
import { lstatSync, readFileSync, statfsSync } from 'node:fs'
import type { Stats } from 'node:fs'
import { openKeyring } from '../keys/keyring.js'
import { Failure } from '../control/failure.js'
import type { Finding } from '../control/operations.js'
import { checkFuse } from './fuse-access.js'
import { isHome, pathsOf, type HomePaths } from './home.js'
import { answers, mountsOn, parseMountInfo } from './mount-table.js'
import { readState } from './state.js'

/** Less than this free is a warning: the ballast and a few commits. */
const LOW_DISK_BYTES = 512 * 1024 * 1024
/** Less than this free is bad: writes fail soon. */
const FULL_DISK_BYTES = 64 * 1024 * 1024

/**
 * Looks at a home from outside. Changes nothing.
 * @param root absolute
 * @param isRunning whether a daemon answers for it
 */
export async function examineOutside(root: string, isRunning: boolean): Promise<Finding[]> {
  if (!isHome(root)) return [bad('home', `there is no home at ${root}`, "run 'pcfs init'")]
  const paths = pathsOf(root)
  return [
    examineHome(paths),
    await examineKeyring(paths),
    examineState(paths),
    ...(await examineFuse(paths)),
    ...(await examineMounts(root, isRunning)),
    examineDisk(root)
  ]
}

/** A finding that all is well. */
export function ok(check: string, message: string): Finding {
  return { check, state: 'ok', message, mend: null }
}

/** A finding that something does not work, and the mend. */
export function bad(check: string, message: string, mend: string): Finding {
  return { check, state: 'bad', message, mend }
}

function warn(check: string, message: string, mend: string): Finding {
  return { check, state: 'warn', message, mend }
}

function examineHome({ root, store, index, journal, spool }: HomePaths): Finding {
  for (const path of [root, store, index, journal, spool]) {
    const found = lstatSync(path, { throwIfNoEntry: false })
    if (found === undefined) {
      return bad('home', `${path} is missing`, "restore it from a backup, or run 'pcfs mount'")
    }
    const trouble = privateTrouble(path, found)
    if (trouble !== null) return trouble
  }
  return ok('home', `${root} is yours alone`)
}

function privateTrouble(path: string, found: Stats): Finding | null {
  if (process.geteuid !== undefined && found.uid !== process.geteuid()) {
    return bad('home', `${path} belongs to uid ${found.uid}`, `chown -R it to you`)
  }
  if (!found.isDirectory()) return bad('home', `${path} is no directory`, 'move it away')
  if ((found.mode & 0o077) !== 0) {
    return bad('home', `others can enter ${path}`, `chmod 700 ${path}`)
  }
  return null
}

async function examineKeyring({ keyring }: HomePaths): Promise<Finding> {
  try {
    const { deviceName } = await openKeyring(keyring)
    return ok('keyring', `holds the keys of ${deviceName}`)
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error)
    return bad('keyring', message, 'chmod 600 it, or restore it from a backup')
  }
}

function examineState({ state }: HomePaths): Finding {
  try {
    readState(state)
    return ok('state', 'readable')
  } catch (error) {
    if (!(error instanceof Failure)) throw error
    return bad('state', `${state} is damaged`, `if nothing was restored or copied, delete ${state}`)
  }
}

async function examineFuse({ keyring }: HomePaths): Promise<Finding[]> {
  const role = await openKeyring(keyring).then(
    (open) => open.role,
    () => null
  )
  // A blind device mounts nothing.
  return role === 'blind' ? [] : [examineMounting()]
}

function examineMounting(): Finding {
  try {
    checkFuse(false)
    return ok('fuse', 'mounts are possible')
  } catch (error) {
    if (!(error instanceof Failure)) throw error
    const [message = '', mend = ''] = error.message.split('; ')
    return bad('fuse', message, mend)
  }
}

async function examineMounts(root: string, isRunning: boolean): Promise<Finding[]> {
  const mounts = parseMountInfo(readFileSync('/proc/self/mountinfo', 'utf8'))
  const ours = mounts.filter(({ type, source }) => type === 'fuse.pcfs' && source === root)
  const found: Finding[] = []
  for (const { path } of ours) {
    const isAlive = isRunning && (await answers(path))
    const stacked = (await mountsOn(path)).length
    if (!isAlive) found.push(bad('mount', `${path} is a dead mount`, `run: pcfs unmount ${path}`))
    else if (stacked > 1) {
      found.push(warn('mount', `${stacked} mounts lie on ${path}`, `pcfs stop, then pcfs mount`))
    } else found.push(ok('mount', `${path} answers`))
  }
  return found.length > 0 ? found : [ok('mount', 'nothing is mounted from this home')]
}

function examineDisk(root: string): Finding {
  const { bavail, bsize } = statfsSync(root)
  const free = bavail * bsize
  const text = `${Math.floor(free / 1024 / 1024)} MiB are free where the home is`
  if (free < FULL_DISK_BYTES) return bad('disk', text, 'free some space, or writes will fail')
  if (free < LOW_DISK_BYTES) return warn('disk', text, 'free some space')
  return ok('disk', text)
}
