/** argv = fault point, directory: writes and syncs one file, and dies at the point. */
import { FakeKernel } from './fake-kernel.js'
import { newLocalFile, OP, record } from './tiny-fs.js'

const [point = '', directory = ''] = process.argv.slice(2)
const kernel = new FakeKernel({ teardown: () => undefined })
const fd = newLocalFile(directory, 'journal')
kernel.native.allocate(fd, 0, 4096)
const salt = 7n
kernel.session.journalOpen({ fd, segmentId: 1, fileOffset: 0, limit: 4096, nextSeq: 1, salt })
kernel.session.putInodes(record({ ino: 5 }), 1)
kernel.session.addFile(1, newLocalFile(directory, 'file'))
kernel.session.bind(5, 1, 0, 4096)
kernel.session.setFault(point, 2)
for (const text of ['one', 'two', 'three']) {
  kernel.write(5, 0, Buffer.from(text))
  kernel.call(OP.fsync, 5, Buffer.alloc(16))
}
process.stdout.write('survived\n')
kernel.close()
