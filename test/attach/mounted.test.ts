import { run, sleep, waitFor } from '../support/process.js'
import { bootstrapOf, digest, ForeignDriveServer, noise, privateDht } from './foreign.js'
import { mounted, output, sh } from './mounted.js'
import { join } from 'node:path'
import { test } from 'tap'

await test('an attached drive is listed, read, streamed, and read-only; detach takes it out', async (t) => {
  const testnet = await privateDht(t)
  const server = await ForeignDriveServer.create(t, testnet)
  const { drive, key } = server
  const large = noise(20 * 2 ** 20 + 7, 2)
  await drive.put('/hello.txt', Buffer.from('hello\n'))
  await drive.put('/bin/run.sh', Buffer.from('#!/bin/sh\necho ran\n'), { executable: true })
  await drive.put('/deep/er/large.bin', large)
  await drive.symlink('/deep/link', '/hello.txt')
  const pcfs = await mounted(t, bootstrapOf(testnet))
  await output(pcfs, 'mkdir Shelf && echo mine > Shelf/mine.txt && ls Shelf')

  const path = '/Shelf/Theirs'
  const attached = await pcfs.json(['attach', `hyper://${key}`, path])
  t.match(attached, { key, path, isShown: true, peers: 1 })
  t.equal(await output(pcfs, 'ls Shelf'), 'Theirs\nmine.txt\n')
  t.equal(
    await output(pcfs, 'find . | LC_ALL=C sort', 'Shelf/Theirs'),
    [
      '.',
      './bin',
      './bin/run.sh',
      './deep',
      './deep/er',
      './deep/er/large.bin',
      './deep/link',
      './hello.txt',
      ''
    ].join('\n')
  )
  t.equal(await output(pcfs, 'cat Shelf/Theirs/deep/link'), 'hello\n')
  t.equal(await output(pcfs, 'Shelf/Theirs/bin/run.sh'), 'ran\n')
  t.match(await output(pcfs, 'sha256sum Shelf/Theirs/deep/er/large.bin'), digest(large))
  t.match(await output(pcfs, 'cp -r Shelf/Theirs/bin copy && cat copy/run.sh'), /echo ran/)
  t.equal(await output(pcfs, 'stat -c %s,%F Shelf/Theirs/hello.txt'), '6,regular file\n')

  for (const command of [
    'echo x > hello.txt',
    'echo x | dd of=hello.txt oflag=append conv=notrunc status=none',
    'touch hello.txt',
    'echo x > new',
    'mkdir new',
    'rm hello.txt',
    'rmdir deep',
    'mv hello.txt other',
    'chmod 600 hello.txt',
    'ln hello.txt hard',
    'truncate -s 1 hello.txt'
  ]) {
    const result = await sh(pcfs, command, 'Shelf/Theirs')
    t.not(result.code, 0, command)
    t.match(result.stderr, /Read-only file system/, command)
  }
  t.match((await sh(pcfs, 'ln Shelf/Theirs/hello.txt hard')).stderr, /cross-device/i)
  t.match((await sh(pcfs, 'mv Shelf/mine.txt Shelf/Theirs/')).stderr, /Read-only file system/)
  for (const command of ['rmdir Shelf/Theirs', 'mv Shelf/Theirs x', 'mv Shelf x', 'rm -r Shelf']) {
    t.match((await sh(pcfs, command)).stderr, /busy|Read-only/, command)
  }
  t.equal(await output(pcfs, 'ls Shelf/Theirs'), 'bin\ndeep\nhello.txt\n')

  t.match(await pcfs.json(['attach', '--list']), { attached: [{ key, path }] })
  for (const [args, message] of [
    [[key], /attached already/],
    [['nonsense'], /no key of a Hyperdrive/],
    [['ff'.repeat(32), `${path}/in`], /another drive is attached/]
  ] as const) {
    const result = await pcfs.cli(['attach', ...args])
    t.not(result.code, 0)
    t.match(result.stderr, message)
  }

  const reader = run('sh', ['-c', 'exec 3< hello.txt; sleep 2; cat <&3; exec 3<&-'], {
    cwd: join(pcfs.dir, 'Shelf/Theirs'),
    timeoutMs: 30_000
  })
  await sleep(500)
  t.match(await pcfs.json(['detach', join(pcfs.dir, 'Shelf/Theirs')]), { key, path })
  t.equal(await output(pcfs, 'ls Shelf'), '')
  t.equal((await reader).timedOut, false)
  t.match((await sh(pcfs, 'ls Shelf/Theirs')).stderr, /No such file/)
  t.match((await pcfs.cli(['detach', path])).stderr, /nothing is attached/)
  t.match(await pcfs.json(['attach']), { attached: [] })
  t.equal(await output(pcfs, 'ls Shelf; rm -r Shelf; ls'), 'copy\n')
  await pcfs.stop()
})

await test('what the drive gets is seen at once, what it loses too, also after a restart', async (t) => {
  const testnet = await privateDht(t)
  const { drive, key } = await ForeignDriveServer.create(t, testnet)
  await drive.put('/a/one', Buffer.from('1'))
  await drive.put('/b', Buffer.from('before'))
  const pcfs = await mounted(t, bootstrapOf(testnet))
  const { path } = await pcfs.json(['attach', key])
  const at = `.${String(path)}`
  t.equal(path, `/Attached/${key.slice(0, 8)}`)
  t.equal(
    await output(pcfs, 'ls . a; cat b; stat a/two new 2>/dev/null || :', at),
    '.:\na\nb\n\na:\none\nbefore'
  )

  await drive.put('/a/two', Buffer.from('2'))
  await drive.put('/b', Buffer.from('after!'))
  await drive.put('/new/dir/file', Buffer.from('3'))
  const sees = (command: string, expected: string) => (): Promise<boolean> =>
    sh(pcfs, command, at).then(({ stdout }) => stdout === expected)
  t.ok(await waitFor(sees('cat a/two b new/dir/file', '2after!3'), 10_000))
  t.equal(await output(pcfs, 'ls . a', at), '.:\na\nb\nnew\n\na:\none\ntwo\n')
  await drive.del('/new/dir/file')
  await drive.del('/a/one')
  t.ok(await waitFor(sees('ls . a', '.:\na\nb\n\na:\ntwo\n'), 10_000))

  await pcfs.cli(['stop'])
  await pcfs.mount()
  t.equal(await output(pcfs, 'cat a/two b', at), '2after!')
  await pcfs.kill9()
  await pcfs.mount()
  t.equal(await output(pcfs, 'cat a/two b', at), '2after!')
  await pcfs.stop()
})

await test('what the tree has is never hidden by an attached drive', async (t) => {
  const testnet = await privateDht(t)
  const { drive, key } = await ForeignDriveServer.create(t, testnet)
  await drive.put('/f', Buffer.from('theirs'))
  const pcfs = await mounted(t, bootstrapOf(testnet))
  await output(pcfs, 'mkdir d && echo mine > d/f && touch file')
  t.match((await pcfs.cli(['attach', key, '/d'])).stderr, /there is a \/d in the tree/)
  t.match((await pcfs.cli(['attach', key, '/file/x'])).stderr, /no directory/)
  await pcfs.json(['attach', key, '/d/sub/x'])
  t.equal(await output(pcfs, 'cat d/sub/x/f d/f'), 'theirsmine\n')
  t.match((await sh(pcfs, 'mkdir d/sub/x')).stderr, /File exists/)
  await pcfs.stop()
})
