/** Options that say how a mount is to be, shared by `mount` and `service install`. */

/** The options as they arrive. */
export interface MountFlags {
  readonly allowOther?: boolean | undefined
  readonly numericIds?: boolean | undefined
  readonly suid?: boolean | undefined
  readonly dev?: boolean | undefined
}

/** The options, as yargs takes them. */
export const MOUNT_OPTIONS = {
  'allow-other': { type: 'boolean', default: false, describe: 'let other users in' },
  'numeric-ids': {
    type: 'boolean',
    describe: 'store and show owners as numbers (default: when root mounts for all users)'
  },
  suid: { type: 'boolean', default: false, describe: 'let set-uid programs work' },
  dev: { type: 'boolean', default: false, describe: 'let device files work' }
} as const
