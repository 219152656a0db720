/**
 * Where the control socket of a home is. A Unix socket's path is limited to 107 bytes (unix(7)), a
 * home's is not: the socket is always named through a file descriptor of its directory.
 */
import { closeSync, constants, fstatSync, openSync } from 'node:fs'
import { Failure } from './failure.js'

/** An open home, whose socket has a short name. */
export interface SocketPath extends Disposable {
  /** Valid until this is disposed of. */
  readonly path: string
}

/**
 * Opens the home for the time of a `listen` or `connect`. A home that others could write to would
 * let them put a socket of their own there, so it is refused: together with the directory's 0700
 * this is what keeps other users out, for Node has no call for a peer's credentials.
 * @param home the home directory
 * @throws {Failure} `no-home` when it does not exist, `home-unsafe` when it is not ours alone
 */
export function openSocketPath(home: string): SocketPath {
  const fd = openHome(home)
  const { uid, mode } = fstatSync(fd)
  const ours = process.geteuid?.() ?? uid
  if ((uid !== ours && ours !== 0) || (mode & 0o077) !== 0) {
    closeSync(fd)
    throw new Failure('home-unsafe', `${home} must belong to you alone; chmod 700 it`, {
      code: 'EPERM'
    })
  }
  return { path: `/proc/self/fd/${fd}/control.sock`, [Symbol.dispose]: () => closeSync(fd) }
}

function openHome(home: string): number {
  try {
    return openSync(home, constants.O_RDONLY | constants.O_DIRECTORY)
  } catch (error) {
    throw new Failure('no-home', `there is no home at ${home}; 'pcfs init' makes one`, {
      code: 'ENOENT',
      cause: error
    })
  }
}
