/**
 * The bytes of every format as they were decided. A difference means that homes and peers out there
 * would not be understood: change the format by a new version, with a new file. `PCFS_GOLDEN=write`
 * writes the files that are not there yet.
 */
import { existsSync, readFileSync, readdirSync, writeFileSync } from 'node:fs'
import { GOLDEN } from './golden-values.js'
import { decodeRecord, encodeRecord } from '../../src/format/record-codec.js'
import { fileURLToPath } from 'node:url'
import { join } from 'node:path'
import { mergeRecord } from '../../src/format/merge.js'
import t from 'tap'
import { withData } from '../../src/format/edit.js'
import { toGenerationNumber } from '../../src/format/ids.js'

// From dist/test/format back to the sources.
const FOLDER = fileURLToPath(new URL('../../../test/format/golden/', import.meta.url))

function fileOf(name: string): string {
  return join(FOLDER, `${name}.hex`)
}

function readGolden(name: string): Buffer {
  return Buffer.from(readFileSync(fileOf(name), 'utf8').replaceAll(/\s/g, ''), 'hex')
}

for (const { name, bytes, decode, value } of GOLDEN) {
  t.test(`${name} has its golden bytes`, async (t) => {
    if (process.env.PCFS_GOLDEN === 'write' && !existsSync(fileOf(name))) {
      writeFileSync(fileOf(name), `${bytes.toString('hex').replaceAll(/(.{64})(?=.)/g, '$1\n')}\n`)
    }
    const golden = readGolden(name)
    t.equal(bytes.toString('hex'), golden.toString('hex'), 'encoded')
    t.strictSame(decode(golden), value, 'decoded')
  })
}

t.test('there is no golden file without a value', async (t) => {
  t.same(readdirSync(FOLDER).sort(), GOLDEN.map(({ name }) => `${name}.hex`).sort())
})

t.test('what a later version wrote survives a change of something else', async (t) => {
  const record = decodeRecord(readGolden('record-unknown-fields'))
  const write = {
    generation: toGenerationNumber(5),
    counter: 1,
    hlc: 2n ** 60n,
    atNs: 1n
  }
  const changed = decodeRecord(encodeRecord(withData(record, { mtimeNs: 1n }, write)))
  t.strictSame(changed.unknownSections, record.unknownSections)
  t.strictSame(changed.places, record.places)
  t.strictSame(changed.attr, record.attr)
  t.strictSame(mergeRecord(record, changed).unknownSections, record.unknownSections)
})

t.test('a record of a later major version is refused, not misread', async (t) => {
  const bytes = readGolden('record-file')
  bytes[0] = 2
  t.throws(() => decodeRecord(bytes), { code: 'EIO', message: /newer pcfs/ })
})
