/** Makes a new home: identity, drive, keyring. The phrase leaves here once and is not kept. */
import { closeSync, fsyncSync, openSync, rmSync, writeSync } from 'node:fs'
import { resolve } from 'node:path'
import { createIdentity } from '../keys/identity.js'
import { writeKeyring } from '../keys/keyring.js'
import { coreKey } from '../store/core.js'
import { Failure } from '../control/failure.js'
import { createHome } from './home.js'
import { currentBootId, identityOf, writeState } from './state.js'

/** What a new home is made from. */
export interface InitOptions {
  /** Absolute; must be missing or empty. */
  readonly home: string
  /** This device's name, as the others will show it. */
  readonly deviceName: string
  /** Where the phrase is written (0600, a new file); null = it is only returned. */
  readonly phraseFile: string | null
}

/** A new home. */
export interface NewHome {
  /** Id of the drive, hexadecimal. */
  readonly drive: string
  readonly device: string
  /** Absolute; null when none was asked for. */
  readonly phraseFile: string | null
  /** 24 words, to be shown once and then forgotten. */
  readonly phrase: string
}

/**
 * Makes a home and its identity. Killed half way it leaves no home, and may be run again.
 * @throws {Failure} when there is a home already, or the phrase file exists
 */
export async function initHome(options: InitOptions): Promise<NewHome> {
  const { home, deviceName } = options
  checkName(deviceName)
  const paths = createHome(home, 'init')
  const { keyring, phrase } = await createIdentity({ deviceName, coreKeyOf: coreKey })
  const phraseFile = options.phraseFile === null ? null : resolve(options.phraseFile)
  if (phraseFile !== null) writePhrase(phraseFile, phrase)
  try {
    writeState(paths.state, {
      version: 1,
      bootId: currentBootId(),
      homeId: identityOf(home),
      hasSent: false,
      hasSentSinceBarrier: false
    })
    // Last: a keyring is what makes it a home.
    await writeKeyring(paths.keyring, keyring)
  } catch (error) {
    if (phraseFile !== null) rmSync(phraseFile, { force: true })
    throw error
  }
  return { drive: keyring.drive.toString('hex'), device: deviceName, phraseFile, phrase }
}

/**
 * Names stand in conflict copies' file names, so they must be fit for that.
 * @throws {Failure} `usage`
 */
export function checkName(name: string): void {
  const isFit = name === name.trim() && /^[^/\p{Cc}]{1,64}$/u.test(name)
  if (isFit && Buffer.byteLength(name) <= 64) return
  throw new Failure('usage', 'a device name has 1 to 64 bytes, no / and no control characters', {
    code: 'EINVAL'
  })
}

function writePhrase(path: string, phrase: string): void {
  let fd: number
  try {
    fd = openSync(path, 'wx', 0o600)
  } catch (cause) {
    const code = cause instanceof Error && 'code' in cause ? String(cause.code) : 'EIO'
    const what =
      code === 'EEXIST' ? 'is there already; name a new file' : `cannot be made (${code})`
    throw new Failure('failed', `${path} ${what}`, { code: 'EEXIST', cause })
  }
  try {
    writeSync(fd, `${phrase}\n`)
    fsyncSync(fd)
  } finally {
    closeSync(fd)
  }
}
