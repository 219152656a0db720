/** A QR code as text: two modules a character, dark on light whatever the terminal's colours. */
import makeQrCode from 'qrcode-generator'

/** Modules of light border that a reader needs. */
const QUIET = 2

/** @param text letters, digits and a few signs; capitals make it smaller */
export function qrText(text: string): string {
  const code = makeQrCode(0, 'L')
  code.addData(text, 'Alphanumeric')
  code.make()
  const count = code.getModuleCount()
  const isLight = (row: number, column: number): boolean => {
    const isInside = row >= 0 && row < count && column >= 0 && column < count
    return !isInside || !code.isDark(row, column)
  }
  const lines: string[] = []
  for (let row = -QUIET; row < count + QUIET; row += 2) {
    let line = ''
    for (let column = -QUIET; column < count + QUIET; column++) {
      const [above, below] = [isLight(row, column), isLight(row + 1, column)]
      line += above ? (below ? '█' : '▀') : below ? '▄' : ' '
    }
    lines.push(`\u001B[97;40m${line}\u001B[0m`)
  }
  return lines.join('\n')
}
