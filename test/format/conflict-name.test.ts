import { ROOT_ID, derivedHex, toGenerationNumber } from '../../src/format/ids.js'
import { conflictName } from '../../src/format/conflict-name.js'
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
