/** What is wrong with the group, in words for a person. */
import type { PublicKey } from '../format/group-keys.js'
import type { GroupAlarm, Membership } from '../format/membership.js'
import type { CoreAlarms } from '../group/group.js'
import type { GroupWarning } from './store-events.js'

/**
 * The warnings of a membership and its cores.
 * @param nameOf shows a device, given a key of any of its generations
 */
export function groupWarnings(
  membership: Pick<Membership, 'alarms'>,
  cores: CoreAlarms,
  nameOf: (key: PublicKey) => string
): GroupWarning[] {
  const warnings = membership.alarms.map((alarm) => warningOf(alarm, nameOf))
  for (const core of cores.conflicts) {
    const message = `the group core ${core} has two signed heads; what follows does not count`
    warnings.push({ code: 'GROUP_CORE_FORKED', subject: core, message })
  }
  if (cores.newer > 0) {
    const message =
      'a device of yours uses a newer pcfs: update this one, it can not write until then'
    warnings.push({ code: 'UPGRADE_NEEDED', subject: 'cores', message })
  }
  if (cores.unreadable > 0) {
    const message = `${cores.unreadable} blocks of the group's cores are no records and are ignored`
    warnings.push({ code: 'GROUP_UNREADABLE', subject: '', message })
  }
  return warnings
}

function warningOf(alarm: GroupAlarm, nameOf: (key: PublicKey) => string): GroupWarning {
  const { code } = alarm
  switch (alarm.code) {
    case 'FORKED': {
      const what = 'has signed two histories (a copied home?) and is suspended'
      const mend = 'give it new keys, or revoke it'
      const message = `${nameOf(alarm.generation)} ${what}: ${mend}`
      return { code, subject: alarm.generation, message }
    }
    case 'HANDED_OVER_TWICE': {
      const what = 'has handed over to two sets of keys and is suspended'
      const message = `${nameOf(alarm.generation)} ${what} until another device decides`
      return { code, subject: alarm.generation, message }
    }
    case 'CONTESTED': {
      const pair = `${nameOf(alarm.author)} and ${nameOf(alarm.target)}`
      const message = `${pair} revoke each other; both are suspended until the phrase decides`
      return { code, subject: `${alarm.author} ${alarm.target}`, message }
    }
    case 'RECOVERED': {
      const what = 'was admitted with the recovery phrase'
      const message = `${nameOf(alarm.author)} ${what}; if that was not you, revoke it`
      return { code, subject: alarm.record, message }
    }
    case 'UPGRADE_NEEDED': {
      const what = 'uses a newer pcfs: update this one, it can not write until then'
      return { code, subject: alarm.record, message: `${nameOf(alarm.author)} ${what}` }
    }
  }
}
