/**
 * The fault points of the crash harness: `PCFS_FAULT=name` kills this process the first time it
 * comes to that point, `name:3` the third time.
 */
import { noFault, type FaultPoint } from '../base/fault.js'
import { Failure } from '../control/failure.js'

/** A fault point by name, and which time it strikes. */
export interface FaultPlan {
  readonly name: string
  /** From 1. */
  readonly countdown: number
}

/**
 * Reads `name` or `name:countdown`.
 * @throws {Failure} `usage` when it is neither
 */
export function parseFault(text: string | null): FaultPlan | null {
  if (text === null) return null
  const [, name, count] = /^([\w.-]+)(?::([1-9]\d*))?$/.exec(text) ?? []
  if (name === undefined) throw new Failure('usage', `PCFS_FAULT is '${text}', not NAME[:COUNT]`)
  return { name, countdown: Number(count ?? 1) }
}

/**
 * Makes the fault point that the layers call.
 * @param plan null = nothing ever happens
 * @param die ends the process without a chance to tidy up
 */
export function makeFaultPoint(
  plan: FaultPlan | null,
  die: () => void = () => process.kill(process.pid, 'SIGKILL')
): FaultPoint {
  if (plan === null) return noFault
  let left = plan.countdown
  return (name) => {
    if (name === plan.name && --left === 0) die()
  }
}
