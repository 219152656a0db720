/**
 * The operations of the model-based test: plain data, so that the same sequence can be run on a
 * filesystem in this process, on a mounted one (by `executor.py`) and on the model, and so that a
 * shrunk failure can be pasted as a regression.
 */
import fc from 'fast-check'

interface Moded<Name extends string> {
  readonly op: Name
  readonly path: string
  readonly mode: number
}

/** One system call (or what stands for a few of them). Paths are relative, without a leading /. */
export type Op =
  | Moded<'create'>
  | Moded<'mkdir'>
  | Moded<'chmod'>
  | { readonly op: 'unlink' | 'rmdir' | 'fsync' | 'list'; readonly path: string }
  | { readonly op: 'symlink'; readonly path: string; readonly target: string }
  | { readonly op: 'link'; readonly path: string; readonly to: string }
  | {
      readonly op: 'rename'
      readonly path: string
      readonly to: string
      readonly flags: number
    }
  | {
      readonly op: 'write'
      readonly path: string
      readonly at: number
      readonly length: number
      readonly byte: number
    }
  | { readonly op: 'read'; readonly path: string; readonly at: number; readonly length: number }
  | { readonly op: 'truncate'; readonly path: string; readonly size: number }
  | {
      readonly op: 'allocate'
      readonly path: string
      readonly mode: number
      readonly at: number
      readonly length: number
    }
  | { readonly op: 'utimes'; readonly path: string; readonly mtimeS: number }
  | {
      readonly op: 'setxattr'
      readonly path: string
      readonly name: string
      readonly value: string
      readonly flags: number
    }
  | { readonly op: 'removexattr'; readonly path: string; readonly name: string }
  | { readonly op: 'open'; readonly path: string; readonly handle: number }
  | { readonly op: 'tmpfile'; readonly path: string; readonly handle: number }
  | {
      readonly op: 'hwrite'
      readonly handle: number
      readonly at: number
      readonly length: number
      readonly byte: number
    }
  | {
      readonly op: 'hread'
      readonly handle: number
      readonly at: number
      readonly length: number
    }
  | { readonly op: 'hlink'; readonly handle: number; readonly to: string }
  | { readonly op: 'close'; readonly handle: number }

/** What happens to the whole volume. */
export type Event =
  | { readonly op: 'crash' | 'remount' | 'flush' | 'rebuild' | 'evict' | 'powerLoss' | 'forget' }
  /** Starts a commit and does not wait for it. */
  | { readonly op: 'commit' }

/** A constant that keeps its literal type. */
function is<const T extends string>(value: T): fc.Arbitrary<T> {
  return fc.constant(value)
}

const name = fc.constantFrom('a', 'b', 'c', 'ä')
const path = fc.oneof(
  { weight: 5, arbitrary: name },
  { weight: 5, arbitrary: fc.tuple(name, name).map((parts) => parts.join('/')) },
  { weight: 1, arbitrary: fc.tuple(name, name, name).map((parts) => parts.join('/')) }
)
const handle = fc.nat(2)
const at = fc.oneof(
  fc.constantFrom(0, 1, 4095, 4096, 65_535, 65_536, 65_537, 131_072),
  fc.nat(200_000)
)
const length = fc.oneof(fc.constantFrom(1, 4096, 65_536), fc.nat(9000), fc.nat(140_000))
const byte = fc.integer({ min: 1, max: 255 })
const mode = fc.constantFrom(0o644, 0o600, 0o755, 0o4755, 0o2755, 0o1777)
/** Dangling, so that whatever follows a symbolic link answers ENOENT. */
const target = fc.constantFrom('/nonexistent/x', '/nonexistent/longer')
const xattr = fc.constantFrom('user.a', 'user.b', 'trusted.c', 'security.d')

function weighted<T>(weight: number, arbitrary: fc.Arbitrary<T>): fc.WeightedArbitrary<T> {
  return { weight, arbitrary }
}

/** A random operation; about half of them find what they name. */
export const operation: fc.Arbitrary<Op> = fc.oneof(
  weighted(6, fc.record({ op: is('create'), path, mode })),
  weighted(5, fc.record({ op: is('mkdir'), path, mode })),
  weighted(1, fc.record({ op: is('chmod'), path, mode })),
  weighted(3, fc.record({ op: is('unlink'), path })),
  weighted(2, fc.record({ op: is('rmdir'), path })),
  weighted(1, fc.record({ op: is('fsync'), path })),
  weighted(1, fc.record({ op: is('list'), path })),
  weighted(1, fc.record({ op: is('symlink'), path, target })),
  weighted(3, fc.record({ op: is('link'), path, to: path })),
  weighted(
    6,
    fc.record({ op: is('rename'), path, to: path, flags: fc.constantFrom(0, 0, 0, 1, 2) })
  ),
  weighted(9, fc.record({ op: is('write'), path, at, length, byte })),
  weighted(3, fc.record({ op: is('read'), path, at, length })),
  weighted(4, fc.record({ op: is('truncate'), path, size: at })),
  weighted(
    3,
    fc.record({
      op: is('allocate'),
      path,
      mode: fc.constantFrom(0, 1, 3, 3, 16, 17),
      at,
      length: length.map((bytes) => bytes + 1)
    })
  ),
  weighted(2, fc.record({ op: is('utimes'), path, mtimeS: fc.nat(2_000_000_000) })),
  weighted(
    2,
    fc.record({
      op: is('setxattr'),
      path,
      name: xattr,
      value: fc.constantFrom('', 'x', 'a longer value'),
      flags: fc.constantFrom(0, 0, 1, 2)
    })
  ),
  weighted(1, fc.record({ op: is('removexattr'), path, name: xattr })),
  weighted(3, fc.record({ op: is('open'), path, handle })),
  weighted(1, fc.record({ op: is('tmpfile'), path: fc.constantFrom('', 'a'), handle })),
  weighted(4, fc.record({ op: is('hwrite'), handle, at, length, byte })),
  weighted(2, fc.record({ op: is('hread'), handle, at, length })),
  weighted(1, fc.record({ op: is('hlink'), handle, to: path })),
  weighted(2, fc.record({ op: is('close'), handle }))
)

/** Cheap events often, those that open a home anew seldom. */
export const event: fc.Arbitrary<Event> = fc.oneof(
  weighted(20, fc.record({ op: is('commit') })),
  weighted(6, fc.record({ op: is('flush') })),
  weighted(6, fc.record({ op: is('evict') })),
  weighted(6, fc.record({ op: is('forget') })),
  weighted(2, fc.record({ op: is('crash') })),
  weighted(1, fc.record({ op: is('remount') })),
  weighted(1, fc.record({ op: is('rebuild') })),
  weighted(1, fc.record({ op: is('powerLoss') }))
)

/** What every sequence begins with, so that names are found more often than not. */
export const START: readonly Op[] = [
  { op: 'mkdir', path: 'a', mode: 0o755 },
  { op: 'mkdir', path: 'b', mode: 0o755 },
  { op: 'write', path: 'a', at: 0, length: 1, byte: 1 },
  { op: 'create', path: 'a/a', mode: 0o644 },
  { op: 'write', path: 'a/a', at: 0, length: 100_000, byte: 7 },
  { op: 'create', path: 'c', mode: 0o644 },
  { op: 'write', path: 'c', at: 0, length: 5000, byte: 9 }
]

/** The bytes of a write: they tell which write they are of. */
export function dataOf(byteLength: number, seed: number): Buffer {
  const bytes = Buffer.alloc(byteLength, seed)
  for (let i = 0; i < byteLength; i += 512) bytes[i] = (seed + i / 512) & 255
  return bytes
}
