/** Names of devices: sealed in the group's records, shown in conflict copies, told apart here. */
import type { Grant } from '../format/group-body.js'
import type { Membership } from '../format/membership.js'
import type { EpochKey } from '../keys/epoch.js'
import { openText } from '../keys/sealing.js'
import { MAX_NAME_BYTES } from './pairing-format.js'

/** Digits of a key that stand for a name that can not be read here. */
const SHORT_KEY = 8

/**
 * A device's name; the beginning of its key where it can not be read (a blind device reads none).
 * @param epochs those that this device has the keys of
 */
export function nameOfGrant({ name, signing }: Grant, epochs: readonly EpochKey[]): string {
  const text = name === null ? null : openText(name, epochs)
  return text ?? signing.slice(0, SHORT_KEY)
}

/** A name that no device has which still belongs: the wanted one, or with a number behind it. */
export function freeName(
  wanted: string,
  membership: Membership,
  epochs: readonly EpochKey[]
): string {
  const taken = new Set<string>()
  for (const { state, current } of membership.devices) {
    if (state !== 'revoked' && state !== 'void') taken.add(nameOfGrant(current.grant, epochs))
  }
  let name = wanted
  for (let number = 2; taken.has(name); number++) name = numbered(wanted, number)
  return name
}

function numbered(name: string, number: number): string {
  const suffix = `-${number}`
  const room = MAX_NAME_BYTES - suffix.length
  let stem = name
  while (Buffer.byteLength(stem) > room) stem = Array.from(stem).slice(0, -1).join('')
  return stem + suffix
}
