/**
 * The home: this device's private directory.
 *
 *     keyring        secrets, 0600
 *     store/         the Corestore                    index/    LMDB
 *     journal/       what was promised, in segments   spool/    content as plain local files
 *     attached/      what was read of attached drives
 *     attached.json  which drives are attached, and where
 *     state.json     what must be known before the store is opened
 *     lock           held by the one process that has the home open
 *     control.sock   the operator's door              log, log.1, log.stderr
 *     joining/       what a device keeps until the drive has admitted it
 *     devices.json   when other devices were last connected
 *
 * Invariants: 0700 and ours, or it is refused; it is a home when it has a keyring.
 */
import { lstatSync, mkdirSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { Failure } from '../control/failure.js'

/** Where everything in a home is. */
export interface HomePaths {
  readonly root: string
  readonly keyring: string
  readonly store: string
  readonly index: string
  readonly journal: string
  readonly spool: string
  readonly attached: string
  readonly attachments: string
  readonly state: string
  readonly lock: string
  readonly log: string
  /** Of a home that is being made by `device join`. */
  readonly joining: string
  /** There when this device was admitted by a code alone and nobody was told in `status` yet. */
  readonly byCodeAlone: string
  /** When other devices were last connected. */
  readonly lastSeen: string
}

/** What backup programs look for, as bford.info/cachedir has it. */
const CACHE_TAG =
  'Signature: 8a477f597d28d172789f06886806bc55\n' +
  '# Made by pcfs; it can be had again from elsewhere.\n'

/** Names everything in a home, which need not exist. */
export function pathsOf(root: string): HomePaths {
  const at = (name: string): string => join(root, name)
  return {
    root,
    keyring: at('keyring'),
    store: at('store'),
    index: at('index'),
    journal: at('journal'),
    spool: at('spool'),
    attached: at('attached'),
    attachments: at('attached.json'),
    state: at('state.json'),
    lock: at('lock'),
    log: at('log'),
    joining: at('joining'),
    byCodeAlone: at('admitted-by-code-alone'),
    lastSeen: at('devices.json')
  }
}

/** Whether there is a home: a keyring says so. */
export function isHome(root: string): boolean {
  return lstatSync(pathsOf(root).keyring, { throwIfNoEntry: false }) !== undefined
}

/**
 * Makes the directories of a new home.
 * @param by a join may go on with what an earlier one has begun
 * @throws {Failure} `failed` when the directory holds something already, `home-unsafe` when it
 * cannot be made ours alone
 */
export function createHome(root: string, by: 'init' | 'join'): HomePaths {
  if (isHome(root)) {
    throw new Failure('failed', `there is a home at ${root} already`, { code: 'EEXIST' })
  }
  mkdirSync(root, { recursive: true, mode: 0o700 })
  checkOwner(root)
  const { joining, byCodeAlone } = pathsOf(root)
  if (by === 'init' && lstatSync(joining, { throwIfNoEntry: false }) !== undefined) {
    const what = `'pcfs device join' was begun in ${root}`
    throw new Failure('failed', `${what}: run it again with its code, or delete ${joining}`, {
      code: 'ENOTEMPTY'
    })
  }
  // What an init or a join that was killed has left behind is made again.
  const directories = ['store', 'index', 'journal', 'spool', 'attached']
  const known = new Set([...directories, 'state.json', 'lock', 'joining'])
  const stranger = readdirSync(root).find(
    (name) => !known.has(name) && !name.startsWith('keyring.') && name !== basename(byCodeAlone)
  )
  if (stranger !== undefined) {
    throw new Failure('failed', `${root} is not empty (${stranger}); name another home`, {
      code: 'ENOTEMPTY'
    })
  }
  return makeDirectories(root)
}

/** @throws {Failure} `no-home` */
export function checkHome(root: string): void {
  if (isHome(root)) return
  const message = `there is no home at ${root}; 'pcfs init' makes one`
  throw new Failure('no-home', message, { code: 'ENOENT' })
}

/**
 * Checks a home before it is used.
 * @throws {Failure} `no-home`, or `home-unsafe` when others could read or change it
 */
export function openHome(root: string): HomePaths {
  checkHome(root)
  checkOwner(root)
  const paths = makeDirectories(root)
  // Of a join that was killed in its last moment.
  rmSync(paths.joining, { recursive: true, force: true })
  return paths
}

function checkOwner(root: string): void {
  const { uid, mode } = statSync(root)
  if (process.geteuid !== undefined && uid !== process.geteuid()) {
    throw new Failure('home-unsafe', `${root} belongs to another user (uid ${uid})`, {
      code: 'EPERM'
    })
  }
  if ((mode & 0o077) !== 0) {
    throw new Failure('home-unsafe', `others can enter ${root}; run: chmod 700 ${root}`, {
      code: 'EPERM'
    })
  }
}

/** Makes what is missing of a home's directories. */
export function makeDirectories(root: string): HomePaths {
  const paths = pathsOf(root)
  const { store, index, journal, spool, attached } = paths
  for (const directory of [store, index, journal, spool, attached]) {
    mkdirSync(directory, { recursive: true, mode: 0o700 })
  }
  for (const directory of [store, index, attached]) {
    const tag = join(directory, 'CACHEDIR.TAG')
    if (statSync(tag, { throwIfNoEntry: false }) === undefined) writeFileSync(tag, CACHE_TAG)
  }
  return paths
}
