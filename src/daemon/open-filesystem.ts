/** Wires the filesystem up. */
import { Failure } from '../control/failure.js'
import type { OpenFilesystem } from './filesystem.js'

/** Opens the filesystem of a home and mounts it. */
export const openFilesystem: OpenFilesystem = async (options) => {
  options.log.warn({}, 'nothing is mounted: the filesystem is not wired up yet')
  let ended = false
  return {
    status: () => ({
      drive: '',
      device: { name: '', role: 'personal' },
      generations: [],
      backlog: { spoolBytes: 0, records: 0, uploadBytes: 0 },
      alarms: []
    }),
    flush: async () => undefined,
    unmount: async () => {
      ended = true
    },
    close: async () => {
      if (!ended) throw new Failure('failed', 'closed before it was unmounted')
    },
    examine: async () => []
  }
}
