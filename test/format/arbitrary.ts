/** Random values of the format's types, for properties. */
import fc from 'fast-check'
import {
  type Dot,
  type GenerationNumber,
  type LinkId,
  type NodeId,
  ROOT_ID,
  derivedId,
  linkIdOf,
  sequentialId,
  toGenerationNumber
} from '../../src/format/ids.js'
import type { AttrVersion, Content, DataVersion, NodeKind } from '../../src/format/record.js'
import type { NodeRecord, Place, PlaceVersion, VersionHead } from '../../src/format/record.js'
import type { Xattr } from '../../src/format/record.js'
import { type ContentMap, EMPTY_MAP, replaceBlocks } from '../../src/format/content-map.js'
import { maximal, normaliseMaps } from '../../src/format/register.js'
import { KINDS } from '../../src/format/record-codec.js'
import { type Vector, withDot } from '../../src/format/vector.js'
import { compareLinks } from '../../src/format/ids.js'
import { encodeMap } from '../../src/format/map-codec.js'
import { isName } from '../../src/format/name-rules.js'

/** Like `fc.record`, with the usual prototype, so that values compare with decoded ones. */
function struct<T>(model: { [K in keyof T]: fc.Arbitrary<T[K]> }): fc.Arbitrary<T> {
  return fc.record<T>(model).map((value) => ({ ...value }))
}

/** A few generations, so that versions meet. */
export const generation: fc.Arbitrary<GenerationNumber> = fc.oneof(
  fc.integer({ min: 1, max: 5 }).map(toGenerationNumber),
  fc.integer({ min: 1, max: 2 ** 48 - 1 }).map(toGenerationNumber)
)

export const counter = fc.oneof(
  fc.integer({ min: 1, max: 300 }),
  fc.integer({ min: 1, max: 2 ** 48 - 1 })
)

export const dot: fc.Arbitrary<Dot> = struct({ generation, counter })

export const vector: fc.Arbitrary<Vector> = fc
  .array(dot, { maxLength: 4 })
  .map((dots) => dots.reduce<Vector>(withDot, []))

export const bytes = (max: number): fc.Arbitrary<Buffer> =>
  fc.uint8Array({ maxLength: max }).map((array) => Buffer.from(array))

export const name: fc.Arbitrary<Buffer> = fc
  .uint8Array({ minLength: 1, maxLength: 255 })
  .map((array) => Buffer.from(array))
  .filter(isName)

export const nodeId: fc.Arbitrary<NodeId> = fc.oneof(
  fc.constant(ROOT_ID),
  dot.map((d) => sequentialId(d.generation, d.counter)),
  dot.map((d) => derivedId(ROOT_ID, d))
)

export const stamp = fc.bigInt({ min: 0n, max: 2n ** 63n - 1n })
export const timeNs = fc.bigInt({ min: -(2n ** 62n), max: 2n ** 62n })
export const place: fc.Arbitrary<Place> = struct({ parent: nodeId, name })
const unknown = fc.oneof(
  fc.constant(null),
  bytes(20).filter((b) => b.length > 0)
)

const head: fc.Arbitrary<VersionHead> = struct({
  dot,
  past: vector,
  stamp,
  atNs: timeNs,
  unknown
}).map(({ past, ...rest }) => {
  const others = past.filter((_, i) => past[i - (i % 2)] !== rest.dot.generation)
  return { ...rest, vector: withDot(others, rest.dot) }
})

const placeVersion: fc.Arbitrary<PlaceVersion> = struct({
  head,
  place,
  deleted: fc.boolean(),
  seen: fc.option(struct({ data: vector, attr: vector })),
  prev: fc.option(place)
}).map(({ head: h, place: p, ...rest }) => ({ ...h, ...p, ...rest }))

const coreKey = fc.integer({ min: 0, max: 3 }).map((n) => Buffer.alloc(32, n + 1))

/** A map of up to `maxRuns` edits. */
export const contentMap = (maxRuns: number): fc.Arbitrary<ContentMap> =>
  fc
    .array(
      struct({
        fileBlock: fc.integer({ min: 0, max: 5000 }),
        count: fc.integer({ min: 1, max: 40 }),
        core: coreKey,
        coreBlock: fc.integer({ min: 0, max: 1_000_000 })
      }),
      { maxLength: maxRuns }
    )
    .map((edits) => edits.reduce((map, edit) => replaceBlocks(map, [edit]), EMPTY_MAP))

function content(kind: NodeKind): fc.Arbitrary<Content> {
  if (kind === 'symlink') {
    return bytes(60).map((target) => ({
      type: 'link',
      target: Buffer.from([0x2e, ...target.filter((byte) => byte !== 0)])
    }))
  }
  if (kind !== 'file') return fc.constant({ type: 'none' })
  return struct({
    size: fc.maxSafeNat(),
    maps: fc.array(contentMap(20).map(encodeMap), { minLength: 1, maxLength: 4 }),
    hash: fc.option(fc.uint8Array({ minLength: 32, maxLength: 32 }).map((a) => Buffer.from(a)))
  }).map(({ size, maps, hash }) => ({ type: 'file', size, maps: normaliseMaps(maps), hash }))
}

function dataVersion(kind: NodeKind): fc.Arbitrary<DataVersion> {
  return struct({ head, contentDot: fc.option(dot), mtimeNs: timeNs, content: content(kind) }).map(
    ({ head: h, contentDot, ...rest }) => ({ ...h, ...rest, contentDot: contentDot ?? h.dot })
  )
}

const attrVersion: fc.Arbitrary<AttrVersion> = struct({
  head,
  mode: fc.integer({ min: 0, max: 0o7777 }),
  ids: fc.option(struct({ uid: fc.nat(), gid: fc.nat() })),
  xattrs: fc.dictionary(fc.stringMatching(/^[a-zé.]{1,9}$/), fc.option(bytes(30)), {
    maxKeys: 3
  }),
  age: fc.bigInt({ min: 0n, max: 100n })
}).map(({ head: h, mode, ids, xattrs, age }) => {
  const fieldStamp = h.stamp > age ? h.stamp - age : h.stamp
  const named = new Map<string, Xattr>()
  const latin = Object.entries(xattrs).map(
    ([key, value]) => [Buffer.from(key).toString('latin1'), value] as const
  )
  for (const [key, value] of latin.sort(([a], [b]) => (a < b ? -1 : 1))) {
    named.set(key, { value, stamp: fieldStamp })
  }
  const owner = ids === null ? ({ type: 'self' } as const) : ({ type: 'ids', ...ids } as const)
  return {
    ...h,
    mode: { value: mode, stamp: h.stamp },
    owner: { value: owner, stamp: fieldStamp },
    xattrs: named
  }
})

function register<T extends VersionHead>(version: fc.Arbitrary<T>): fc.Arbitrary<readonly T[]> {
  return fc
    .uniqueArray(version, { maxLength: 3, selector: (v) => `${v.dot.generation}.${v.dot.counter}` })
    .map((versions) => maximal(versions))
}

const link: fc.Arbitrary<LinkId> = dot.map(linkIdOf)

/** Any record that can be stored. */
export const record: fc.Arbitrary<NodeRecord> = fc.constantFrom(...KINDS).chain((kind) =>
  struct({
    kind: fc.constant(kind),
    rdev: fc.nat(),
    bornNs: timeNs,
    places: fc.array(fc.tuple(link, register(placeVersion)), { maxLength: 3 }),
    data: register(dataVersion(kind)),
    attr: register(attrVersion),
    unknownSections: fc.array(fc.tuple(fc.integer({ min: 4, max: 999 }), bytes(20)), {
      maxLength: 2
    })
  }).map(({ places, unknownSections, ...rest }) => ({
    ...rest,
    places: new Map([...new Map(places)].sort(([a], [b]) => compareLinks(a, b))),
    unknownSections: new Map([...unknownSections].sort(([a], [b]) => a - b))
  }))
)
