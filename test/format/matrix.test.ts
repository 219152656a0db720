/**
 * What becomes of each pair of operations that two devices do apart on the same name or node. Each
 * row here is a promise of src/vfs/SEMANTICS.md.
 */
import assert from 'node:assert'
import t from 'tap'
import { World, find } from './world.js'
import { attrWinner } from '../../src/format/winner.js'
import { contentOf } from './drive-model.js'

const OPERATIONS = [
  'create',
  'edit',
  'append',
  'truncate',
  'delete',
  'rename',
  'move into',
  'rmdir',
  'mkdir',
  'chmod'
] as const
type Operation = (typeof OPERATIONS)[number]

/** What the tree has then, by path; a conflict's name is told as `name (DEVICE)`. */
type Shown = Record<string, string>

/** The two operations of a pair: a was done on d1, b on d2. */
interface Pair {
  /** What the operation wrote. */
  readonly a: string
  readonly b: string
  /** The names of the devices and what they wrote, in the order of time. */
  readonly earlier: { readonly wrote: string; readonly by: string }
  readonly later: { readonly wrote: string; readonly by: string }
}

interface Row {
  readonly a: readonly Operation[]
  readonly b: readonly Operation[]
  /** As in SEMANTICS.md. */
  readonly name: string
  readonly shows: (pair: Pair) => Shown
}

const WRITES = ['edit', 'append', 'truncate'] as const

function laterWins({ earlier, later }: Pair): Shown {
  if (earlier.wrote === later.wrote) return { '/n': later.wrote }
  return { '/n': later.wrote, [`/n (${earlier.by})`]: earlier.wrote }
}

/** `/n` is a file, "old". create and mkdir first remove it; move into takes it into a directory. */
const ROWS: readonly Row[] = [
  {
    a: ['create'],
    b: ['create'],
    name: 'create + create: both are kept, the later one has the name, the other one is its copy',
    shows: laterWins
  },
  {
    a: ['create'],
    b: WRITES,
    name: 'create + edit: the new file has the name, the edited old one is kept beside it',
    shows: ({ a, b }) => ({ '/n': a, '/n (d2)': b })
  },
  {
    a: ['create', 'mkdir'],
    b: ['delete'],
    name: 'create, mkdir + delete: what is new is there',
    shows: ({ a }) => ({ '/n': a })
  },
  {
    a: ['create', 'mkdir'],
    b: ['rename'],
    name: 'create, mkdir + rename: what is new has the name, the old file its new name',
    shows: ({ a }) => ({ '/n': a, '/n-d2': 'old' })
  },
  {
    a: ['create', 'mkdir'],
    b: ['move into'],
    name: 'create, mkdir + move into: what is new has the name, the old file is where it was moved',
    shows: ({ a }) => ({ '/n': a, '/d2/n': 'old' })
  },
  {
    a: ['create', 'mkdir'],
    b: ['chmod'],
    name: 'create, mkdir + chmod: the new one has the name, the old file is kept with its new mode',
    shows: ({ a }) => ({ '/n': a, '/n (d1)': 'old 640' })
  },
  {
    a: ['create'],
    b: ['mkdir'],
    name: 'create + mkdir: both are kept: the later one has the name',
    shows: laterWins
  },
  {
    a: WRITES,
    b: WRITES,
    name: 'edit + edit: both contents are kept, the later has the name; equal ones are one file',
    shows: laterWins
  },
  {
    a: WRITES,
    b: ['delete'],
    name: 'edit + delete: the edit beats the delete, whichever was later',
    shows: ({ a }) => ({ '/n': a })
  },
  {
    a: WRITES,
    b: ['rename'],
    name: 'edit + rename: the edited file has the new name',
    shows: ({ a }) => ({ '/n-d2': a })
  },
  {
    a: WRITES,
    b: ['move into'],
    name: 'edit + move into: the edited file is where it was moved',
    shows: ({ a }) => ({ '/d2/n': a })
  },
  {
    a: WRITES,
    b: ['chmod'],
    name: 'edit + chmod: the edited file has the new mode',
    shows: ({ a }) => ({ '/n': `${a} 640` })
  },
  {
    a: WRITES,
    b: ['mkdir'],
    name: 'edit + mkdir: the directory has the name, the edited file is kept beside it',
    shows: ({ a }) => ({ '/n': 'dir', '/n (d1)': a })
  },
  { a: ['delete'], b: ['delete'], name: 'delete + delete: it is gone', shows: () => ({}) },
  {
    a: ['delete'],
    b: ['rename'],
    name: 'delete + rename: the rename beats the delete',
    shows: () => ({ '/n-d2': 'old' })
  },
  {
    a: ['delete'],
    b: ['move into'],
    name: 'delete + move into: the move beats the delete',
    shows: () => ({ '/d2/n': 'old' })
  },
  {
    a: ['delete'],
    b: ['chmod'],
    name: 'delete + chmod: the file stays, with its new mode',
    shows: () => ({ '/n': 'old 640' })
  },
  {
    a: ['rename'],
    b: ['rename'],
    name: 'rename + rename: the file has the later of the two names, only that',
    shows: ({ later }) => ({ [`/n-${later.by}`]: 'old' })
  },
  {
    a: ['rename'],
    b: ['move into'],
    name: 'rename + move into: the file is where it went last, only there',
    shows: ({ later }) => (later.by === 'd1' ? { '/n-d1': 'old' } : { '/d2/n': 'old' })
  },
  {
    a: ['rename'],
    b: ['chmod'],
    name: 'rename + chmod: the renamed file has the new mode',
    shows: () => ({ '/n-d1': 'old 640' })
  },
  {
    a: ['move into'],
    b: ['move into'],
    name: 'move into + move into: the file is in the later of the two directories, only there',
    shows: ({ later }) => ({ [`/${later.by}/n`]: 'old' })
  },
  {
    a: ['move into'],
    b: ['chmod'],
    name: 'move into + chmod: the moved file has the new mode',
    shows: () => ({ '/d1/n': 'old 640' })
  },
  {
    a: ['chmod'],
    b: ['chmod'],
    name: 'chmod + chmod: the later mode counts',
    shows: ({ later }) => ({ '/n': `old ${later.by === 'd1' ? '600' : '640'}` })
  },
  {
    a: ['mkdir'],
    b: ['mkdir'],
    name: 'mkdir + mkdir: one directory',
    shows: () => ({ '/n': 'dir' })
  }
]

/**
 * `/n` is a directory with the file x, "old", which rmdir removes first; the others are done to x,
 * or, where they make something, in `/n`; move into takes the file `/f` there.
 */
const RMDIR_ROWS: readonly Row[] = [
  {
    a: ['rmdir'],
    b: ['create'],
    name: 'rmdir + create: the directory comes back with the new file',
    shows: ({ b }) => ({ '/n': 'dir', '/n/new': b })
  },
  {
    a: ['rmdir'],
    b: WRITES,
    name: 'rmdir + edit: the directory comes back with the edited file',
    shows: ({ b }) => ({ '/n': 'dir', '/n/x': b })
  },
  { a: ['rmdir'], b: ['delete'], name: 'rmdir + delete: both are gone', shows: () => ({}) },
  {
    a: ['rmdir'],
    b: ['rename'],
    name: 'rmdir + rename: the directory comes back with the renamed file',
    shows: () => ({ '/n': 'dir', '/n/x-d2': 'old' })
  },
  {
    a: ['rmdir'],
    b: ['move into'],
    name: 'rmdir + move into: the directory comes back with what was moved into it',
    shows: () => ({ '/n': 'dir', '/n/f': 'other' })
  },
  {
    a: ['rmdir'],
    b: ['chmod'],
    name: 'rmdir + chmod: the directory comes back with the file, which has its new mode',
    shows: () => ({ '/n': 'dir', '/n/x': 'old 640' })
  },
  {
    a: ['rmdir'],
    b: ['mkdir'],
    name: 'rmdir + mkdir: the directory comes back with the new one',
    shows: () => ({ '/n': 'dir', '/n/sub': 'dir' })
  },
  { a: ['rmdir'], b: ['rmdir'], name: 'rmdir + rmdir: it is gone', shows: () => ({}) }
]

/** Two devices with something in common. */
class Story {
  readonly world = new World()
  readonly #texts = new Map<string, string>()
  readonly #inDir: boolean

  constructor(inDir: boolean) {
    this.#inDir = inDir
    const { world } = this
    if (inDir) {
      world.mkdir(0, '/n')
      this.#create(0, '/n/x', 'old')
      this.#create(0, '/f', 'other')
    } else {
      for (const path of ['/d1', '/d2']) world.mkdir(0, path)
      this.#create(0, '/n', 'old')
    }
    world.sync()
  }

  #create(device: number, path: string, text: string): void {
    this.world.create(device, path)
    const [entry] = [find(this.world.device(device), path)]
    this.#texts.set(textKey(entry.entry.data), text)
  }

  /** Does it as a program would; says what it wrote. */
  act(device: number, operation: Operation): string {
    const { world } = this
    const path = this.#inDir ? '/n/x' : '/n'
    const by = `d${device + 1}`
    const wrote = `${operation} by ${by}`
    switch (operation) {
      case 'create':
      case 'mkdir':
        this.#make(device, operation, wrote)
        return operation === 'mkdir' ? 'dir' : wrote
      case 'edit':
      case 'append':
        world.write(device, path)
        this.#texts.set(textKey(find(world.device(device), path).entry.data), wrote)
        return wrote
      case 'truncate':
        world.do(device, (write, on) => write.overwrite(find(on, path), contentOf(0)))
        return 'empty'
      case 'delete':
        world.remove(device, path)
        return ''
      case 'rename':
        world.rename(device, path, `${path}-${by}`)
        return ''
      case 'move into':
        world.rename(device, this.#inDir ? '/f' : '/n', this.#inDir ? '/n/f' : `/${by}/n`)
        return ''
      case 'chmod':
        world.do(device, (write, on) => write.chmod(find(on, path), device === 0 ? 0o600 : 0o640))
        return ''
      case 'rmdir':
        world.remove(device, '/n/x')
        world.remove(device, '/n')
        return ''
    }
  }

  #make(device: number, operation: 'create' | 'mkdir', wrote: string): void {
    const isDir = operation === 'mkdir'
    const path = this.#inDir ? (isDir ? '/n/sub' : '/n/new') : '/n'
    if (!this.#inDir) this.world.remove(device, '/n')
    if (isDir) this.world.mkdir(device, path)
    else this.#create(device, path, wrote)
  }

  /** What both show then, without what is not told about. */
  end(): Shown {
    this.world.tree()
    const device = this.world.device(0)
    const shown: Shown = {}
    for (const { path, entry } of device.list()) {
      if (['/d1', '/d2', '/f'].includes(path)) continue
      const record = device.records.get(entry.node)
      const mode = (record && attrWinner(record)?.mode) ?? 0o644
      const text = entry.kind === 'file' ? this.#texts.get(textKey(entry.data)) : entry.kind
      const name = path.replace(/\(conflict, (d\d), \d{4}-\d\d-\d\d, [0-9a-f]{4}\)/, '($1)')
      shown[name] = (text ?? 'empty') + (mode === 0o644 ? '' : ` ${mode.toString(8)}`)
    }
    return shown
  }
}

function textKey(
  data: { readonly contentDot: { generation: number; counter: number } } | null
): string {
  assert(data)
  return `${data.contentDot.generation}.${data.contentDot.counter}`
}

function play(a: Operation, b: Operation, order: readonly number[]): { pair: Pair; shown: Shown } {
  const story = new Story(a === 'rmdir')
  const wrote = ['', '']
  for (const device of order) wrote[device] = story.act(device, device === 0 ? a : b)
  const [first = 0, second = 1] = order
  const of = (device: number): Pair['later'] => ({
    wrote: wrote[device] ?? '',
    by: `d${device + 1}`
  })
  const [byA = '', byB = ''] = wrote
  const pair = { a: byA, b: byB, earlier: of(first), later: of(second) }
  return { pair, shown: story.end() }
}

const told = new Set<string>()

for (const { a, b, name, shows } of [...ROWS, ...RMDIR_ROWS]) {
  t.test(name, async (t) => {
    for (const one of a) {
      for (const other of b) {
        told.add([one, other].sort().join(' + '))
        for (const order of [
          [0, 1],
          [1, 0]
        ]) {
          const { pair, shown } = play(one, other, order)
          t.strictSame(shown, shows(pair), `${one} and ${other}, d${(order[0] ?? 0) + 1} first`)
        }
      }
    }
  })
}

t.test('the table has every pair', async (t) => {
  const pairs = OPERATIONS.flatMap((a) => OPERATIONS.map((b) => [a, b].sort().join(' + ')))
  t.strictSame([...told].sort(), [...new Set(pairs)].sort())
})
