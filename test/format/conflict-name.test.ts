import { ROOT_ID, derivedHex, toGenerationNumber } from '../../src/format/ids.js'
import { conflictName, parseConflictName } from '../../src/format/conflict-name.js'
import { isUtf8 } from 'node:buffer'
import t from 'tap'

const MARK = {
  name: Buffer.from('report.odt'),
  isDir: false,
  device: 'laptop',
  atNs: 1_795_000_000_000_000_000n,
  hex: derivedHex(ROOT_ID, { generation: toGenerationNumber(1), counter: 1 })
}

t.test('a conflict name keeps the extension, and longer digits make it free', async (t) => {
  const taken = new Set<string>()
  const next = (): string => {
    const name = conflictName(MARK, (key) => taken.has(key)).toString()
    taken.add(name)
    return name
  }
  t.match(next(), /^report \(conflict, laptop, 2026-11-18, [0-9a-f]{4}\)\.odt$/)
  t.match(next(), /^report \(conflict, laptop, 2026-11-18, [0-9a-f]{8}\)\.odt$/)
  for (let i = 0; i < 4; i++) next()
  t.match(next(), /, [0-9a-f]{24} 2\)\.odt$/)
})

t.test('a conflict name fits 255 bytes and cuts no character in two', async (t) => {
  for (let shift = 0; shift < 4; shift++) {
    const long = { ...MARK, name: Buffer.from(`${'x'.repeat(shift)}${'ä€𝄞'.repeat(27)}.odt`) }
    const name = conflictName(long, () => false)
    t.ok(name.byteLength <= 255 && name.byteLength > 250, `${name.byteLength} bytes`)
    t.ok(isUtf8(name))
  }
  const binary = { ...MARK, name: Buffer.alloc(255, 0xff) }
  t.equal(conflictName(binary, () => false).byteLength, 255)
  const device = { ...MARK, device: `a/b\n${'ü'.repeat(99)}` }
  t.ok(isUtf8(conflictName(device, () => false)))
  t.notMatch(conflictName(device, () => false).toString(), /[/\n]/)
})

t.test('a conflict name says what it is of; other names say nothing', async (t) => {
  const parsed = (mark: Partial<typeof MARK>): unknown =>
    parseConflictName(conflictName({ ...MARK, ...mark }, () => false).toString())
  const date = '2026-11-18'
  t.same(parsed({}), { of: 'report.odt', device: 'laptop', date })
  t.same(parsed({ name: Buffer.from('Makefile') }), { of: 'Makefile', device: 'laptop', date })
  t.same(parsed({ name: Buffer.from('a.b'), isDir: true }), { of: 'a.b', device: 'laptop', date })
  t.same(parsed({ device: 'my (2nd), box' }), { of: 'report.odt', device: 'my (2nd), box', date })
  const nested = conflictName({ ...MARK, device: 'desk' }, () => false)
  t.match(parsed({ name: Buffer.from(nested) }), { device: 'laptop', of: nested.toString() })
  for (const name of ['report.odt', 'a (conflict, b, 2026-11-18).odt', '(conflict, a, b, c)', '']) {
    t.equal(parseConflictName(name), null, name)
  }
})
