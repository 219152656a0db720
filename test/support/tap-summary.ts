/**
 * Reads what a test file printed in TAP (testanything.org, version 14) and counts its top-level
 * tests: each is a sentence about behaviour.
 */

/** What one test file came to. */
export interface TapSummary {
  readonly passed: number
  readonly failed: number
  readonly skipped: number
  /** The failing points with what stands below them, for a person. */
  readonly failures: readonly string[]
}

const POINT = /^(not )?ok\b(.*)$/
/** Failures of one file that are shown; its log has them all. */
const MAX_SHOWN = 4
const SKIPPED = /#\s*(skip|todo)\b/i

/**
 * @param output all of standard output of one file
 * @param exit what the process ended with; anything but a clean end counts as one failure when no
 * test was said to have failed
 */
export function summarize(output: string, exit: string): TapSummary {
  const lines = output.split('\n')
  const counts = { passed: 0, failed: 0, skipped: 0 }
  for (const line of lines) {
    const point = POINT.exec(line)
    if (point === null) continue
    if (SKIPPED.test(point[2] ?? '')) counts.skipped++
    else if (point[1] === undefined) counts.passed++
    else counts.failed++
  }
  const failures = failingPoints(lines)
  const total = counts.passed + counts.failed + counts.skipped
  if (counts.failed === 0 && (exit !== 'exit 0' || total === 0)) {
    counts.failed = 1
    failures.push(exit === 'exit 0' ? 'ran no test' : `ended with ${exit} without a failed test`)
  }
  return { ...counts, failures }
}

/** The innermost failing points, each with its diagnostic block cut to a screenful. */
function failingPoints(lines: readonly string[]): string[] {
  const found: string[] = []
  lines.forEach((line, index) => {
    const failing = /^(\s*)not ok\b/.exec(line)
    if (failing === null || SKIPPED.test(line)) return
    const indent = (failing[1] ?? '').length
    const inner = lines[index - 1] ?? ''
    // A point that only repeats a failure of its subtest follows that subtest's plan.
    if (new RegExp(`^ {${indent + 4}}(1\\.\\.\\d+|# )`).test(inner)) return
    const block = [line]
    for (const next of lines.slice(index + 1, index + 40)) {
      if (next.trim() !== '' && next.search(/\S/) <= indent) break
      if (next.trim() !== '') block.push(next)
    }
    found.push(block.join('\n'))
  })
  const more = found.length - MAX_SHOWN
  return more > 0 ? [...found.slice(0, MAX_SHOWN), `... and ${more} more failures`] : found
}
