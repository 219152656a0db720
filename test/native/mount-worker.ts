/** Opens a session in a worker and leaves it open. */
import { parentPort, workerData } from 'node:worker_threads'
import { loadNative } from '../../src/fuse/native.js'

const { transportFd }: { transportFd: number } = workerData
const session = loadNative().mount(
  { mountpoint: '/', fsname: 'x', allowOther: false, suid: false, dev: false, transportFd },
  { onWork: () => undefined }
)
parentPort?.postMessage(session.id)
