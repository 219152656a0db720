/**
 * Broken invariants. They are never caught: the process stops, the supervisor starts it again, and
 * the journal has everything.
 */

/** What a broken invariant throws; no code catches it. */
export class AssertionFailure extends Error {
  override readonly name = 'AssertionFailure'
}

/**
 * Claims what must be true.
 * @param claim anything but a true condition stops the process
 * @param message what was expected, for the person who reads the log
 * @throws {AssertionFailure} when the claim is false
 */
export function assert(claim: boolean, message: string): asserts claim {
  if (!claim) throw new AssertionFailure(message)
}
