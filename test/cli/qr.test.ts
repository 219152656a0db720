import t from 'tap'
import { qrText } from '../../src/cli/qr.js'

/** The modules of a code drawn as text, true = dark; the border and the colours taken away. */
function modulesOf(text: string): boolean[][] {
  const rows: boolean[][] = []
  for (const line of text.split('\n')) {
    const cells = Array.from(line.slice(line.indexOf('m') + 1, line.lastIndexOf('\u001B')))
    rows.push(cells.map((cell) => cell === ' ' || cell === '▄'))
    rows.push(cells.map((cell) => cell === ' ' || cell === '▀'))
  }
  return rows
}

t.test('a code is drawn as a square with a light border and its three corners', async (t) => {
  const rows = modulesOf(qrText(`PCFS1${'ABCDEFGH234567'.repeat(9)}`))
  const width = rows[0]?.length ?? 0
  t.ok(rows.every((row) => row.length === width))
  t.ok(rows.length === width || rows.length === width + 1, 'an odd last row is light')
  const last = width - 1
  const isLight = (row: number, column: number): boolean => rows[row]?.[column] === false
  for (let at = 0; at < width; at++) {
    t.ok(isLight(0, at) && isLight(1, at) && isLight(at, 0) && isLight(at, last), 'the border')
  }
  const pattern = '#######,#     #,# ### #,# ### #,# ### #,#     #,#######'
  for (const [top, left] of [
    [2, 2],
    [2, last - 8],
    [last - 8, 2]
  ] as const) {
    const corner = rows.slice(top, top + 7).map((row) => {
      const cells = row.slice(left, left + 7).map((isDark) => (isDark ? '#' : ' '))
      return cells.join('')
    })
    t.equal(corner.join(','), pattern)
  }
})
