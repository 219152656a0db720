import { isAbsolute, relative, resolve } from 'node:path'
import { parseDriveKey } from '../../attach/drive-key.js'
import { callDaemon } from '../../control/client.js'
import { Failure } from '../../control/failure.js'
import type { AttachedReport } from '../../control/operations.js'
import { printResult } from '../output.js'
import { homeFrom, type Command } from './common.js'

const ATTACH_MS = 90_000
const LIST_MS = 10_000

interface AttachOptions {
  readonly key?: string | undefined
  readonly path?: string | undefined
  readonly list: boolean
}

/** `pcfs attach`: shows a foreign Hyperdrive in the tree. */
export const attachCommand: Command<AttachOptions> = {
  command: 'attach [key] [path]',
  describe: "Show somebody else's Hyperdrive in the tree, read-only; without a key: list",
  builder: (argv) =>
    argv
      .positional('key', {
        type: 'string',
        describe: 'of the drive, hexadecimal or z-base-32, with or without hyper://'
      })
      .positional('path', {
        type: 'string',
        describe: 'in the mount, or from the top of the tree (default /Attached/… )'
      })
      .options({ list: { type: 'boolean', default: false, describe: 'list what is attached' } }),
  handler: async (options) => {
    const home = homeFrom(options)
    const asJson = options.json === true
    if (options.key === undefined || options.list) {
      const { attached } = await callDaemon('attached', {}, { home, deadlineMs: LIST_MS })
      const text = attached.map(describe).join('\n') || 'nothing is attached'
      printResult(asJson, { attached }, text)
      return
    }
    const key = keyOf(options.key)
    const path = options.path === undefined ? null : await treePath(home, options.path)
    const report = await callDaemon('attach', { key, path }, { home, deadlineMs: ATTACH_MS })
    printResult(asJson, report, describe(report))
  }
}

/** `pcfs detach`: takes it out of the tree. */
export const detachCommand: Command<{ readonly which: string }> = {
  command: 'detach <which>',
  describe: 'Take an attached drive out of the tree, and what was kept of it off this device',
  builder: (argv) =>
    argv.positional('which', {
      type: 'string',
      demandOption: true,
      describe: 'path or key of the drive'
    }),
  handler: async (options) => {
    const home = homeFrom(options)
    const which = isKey(options.which) ? keyOf(options.which) : await treePath(home, options.which)
    const result = await callDaemon('detach', { which }, { home, deadlineMs: ATTACH_MS })
    printResult(options.json === true, result, `${result.path} is detached`)
  }
}

function describe({ path, key, isShown, version, peers }: AttachedReport): string {
  const hidden = isShown ? '' : 'not shown: its directory is gone, or its name is taken; '
  const heard = version === 0 ? 'nobody who has it was found yet' : `${count(peers)} connected`
  return `${path}  ${hidden}${heard}  ${key}`
}

function count(peers: number): string {
  return peers === 1 ? '1 peer' : `${peers} peers`
}

/** @throws {Failure} `usage` when it is no key */
function keyOf(text: string): string {
  try {
    return parseDriveKey(text).toString('hex')
  } catch (cause) {
    const message = cause instanceof Error ? cause.message : String(cause)
    throw new Failure('usage', message, { code: 'EINVAL', cause })
  }
}

function isKey(text: string): boolean {
  try {
    return parseDriveKey(text).length > 0
  } catch {
    return false
  }
}

/**
 * A path in the mount, or one from the top of the tree, as the latter.
 * @throws {Failure} `usage` when it is a relative one of somewhere else
 */
async function treePath(home: string, path: string): Promise<string> {
  const { mounts } = await callDaemon('status', {}, { home, deadlineMs: LIST_MS })
  const absolute = resolve(path)
  for (const mount of mounts) {
    const inside = relative(mount.path, absolute)
    if (!isAbsolute(inside) && inside !== '..' && !inside.startsWith('../')) return `/${inside}`
  }
  if (path.startsWith('/')) return absolute
  throw new Failure('usage', `${absolute} is not in the mount ${mounts[0]?.path ?? ''}`, {
    code: 'EINVAL'
  })
}
