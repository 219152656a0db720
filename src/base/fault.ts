/**
 * Named fault points: between each pair of durable steps the code calls `fault('name')`. In
 * production that does nothing; the crash harness makes it kill the process there.
 */

/** Called at a named point; may not return. */
export type FaultPoint = (name: string) => void

/** The production fault point: nothing happens. */
export const noFault: FaultPoint = () => undefined
