// runner: timeout=240
/**
 * As a new user would: two machines are paired with one code, both work on the same project without
 * seeing each other, and come back to one tree that a person would call right.
 */
import t from 'tap'
import { noNamespaces } from '../swarm/members.js'
import { waitFor } from '../support/process.js'
import { allConnected, Network, sameTree, type Machine } from './machines.js'

t.setTimeout(220_000)

const GIT = 'git -c user.name=tester -c user.email=tester@example.org -c gc.auto=0'

/** The project as it was when both had it. */
const BEGIN = `
mkdir project && cd project
${GIT} init -q -b main
mkdir -p src/parser docs assets
echo 'read me' > README.md
for i in 1 2 3; do echo "parser $i" > src/parser/part$i.c; done
echo 'main' > src/main.c
echo 'chapter one' > docs/one.txt
echo 'chapter two' > docs/two.txt
echo 'to be removed' > docs/old.txt
head -c 300000 /dev/urandom > assets/picture.png
sqlite3 notes.db 'create table note(id integer primary key, text); insert into note(text) values("both");'
echo '*.db' > .gitignore
${GIT} add -A && ${GIT} commit -q -m 'begin'
`

/** What is done on the laptop: a folder renamed, an edit, a removal, a commit, a note. */
const ON_LAPTOP = `
cd project
${GIT} mv src/parser src/reader
echo 'laptop line' >> src/main.c
${GIT} commit -q -a -m 'the parser is a reader now'
rm docs/old.txt
rm -r docs/two.txt
echo 'laptop plan' > plan.txt
sqlite3 notes.db 'insert into note(text) values("laptop");'
`

/** What is done on the desktop: edits below the folder that is renamed there, and of what goes. */
const ON_DESKTOP = `
cd project
echo 'desktop line' >> src/parser/part2.c
echo 'parser 4' > src/parser/part4.c
echo 'still needed' >> docs/old.txt
mkdir docs/drafts && echo 'draft' > docs/drafts/three.txt
mv assets media
echo 'desktop plan' > plan.txt
sqlite3 notes.db 'insert into note(text) values("desktop");'
`

/** Names that stand for a file: itself, then its conflict copies. */
async function namesOf(machine: Machine, path: string): Promise<string[]> {
  const [, stem = '', extension = ''] = /^(.*?)(\.[a-z]+)?$/.exec(path) ?? []
  const pattern = `${stem} (conflict, *)${extension}`
  const folder = path.includes('/') ? path.slice(0, path.lastIndexOf('/')) : '.'
  const base = pattern.split('/').at(-1)
  const found = await machine.sh(
    `cd project && find '${folder}' -maxdepth 1 -name '${base}' | sort`
  )
  const copies = found.split('\n').filter((line) => line !== '')
  return [path, ...copies.map((line) => line.replace(/^\.\//, ''))]
}

async function contents(machine: Machine, paths: readonly string[]): Promise<string[]> {
  const all = paths.map((path) => machine.sh(`cat 'project/${path}'`))
  return (await Promise.all(all)).sort()
}

/** Texts in each of several databases, sorted. */
async function notes(machine: Machine, paths: readonly string[]): Promise<string[]> {
  const all = paths.map(async (path) => {
    const select = 'pragma integrity_check; select text from note order by id'
    const text = await machine.sh(`sqlite3 'project/${path}' '${select}'`)
    return text.trim().split('\n').join(' ')
  })
  return (await Promise.all(all)).sort()
}

const skip = noNamespaces()
const title = 'two machines paired with one code edit a project apart and come to one right tree'
await t.test(title, { skip }, async (t) => {
  const network = await Network.open(t)
  const laptop = await network.first('laptop')
  await laptop.sh(BEGIN)
  const desktop = await network.joined(laptop, 'desktop')
  const both = [laptop, desktop]
  t.comment(`connected after ${await allConnected(both)} ms`)
  const before = await sameTree(both)
  t.comment(`the new machine shows all after ${before.tookMs} ms`)
  await desktop.sh(`cd project && ${GIT} status --porcelain && ${GIT} fsck --strict`)
  // 'git status' wrote the index anew.
  await sameTree(both)

  for (const machine of both) machine.cut()
  await laptop.sh(ON_LAPTOP)
  await desktop.sh(ON_DESKTOP)
  const apart = async (machine: Machine): Promise<boolean> =>
    (await machine.status())?.peers.length === 0
  for (const machine of both) t.ok(await waitFor(() => apart(machine), 40_000, 200), 'apart')
  for (const machine of both) machine.mend()
  t.comment(`connected again after ${await allConnected(both)} ms`)
  t.comment(`the same after ${(await sameTree(both)).tookMs} ms`)

  const list = await desktop.sh('cd project && find . -path ./.git -prune -o -type f -print | sort')
  t.comment(list.split('\n').join(' '))
  const { entries } = (await sameTree(both)).tree
  t.notOk(entries['project/src/parser'], 'the folder has its new name only')
  t.same(
    await contents(desktop, ['src/reader/part1.c', 'src/reader/part2.c', 'src/reader/part4.c']),
    ['parser 1\n', 'parser 2\ndesktop line\n', 'parser 4\n'],
    'edits below the renamed folder are in it'
  )
  t.same(await contents(laptop, ['src/main.c']), ['main\nlaptop line\n'])
  t.ok(entries['project/media/picture.png'], 'the other renamed folder too')
  t.notOk(entries['project/assets'])
  t.same(await contents(laptop, ['docs/old.txt']), ['to be removed\nstill needed\n'], 'edit wins')
  t.notOk(entries['project/docs/two.txt'], 'what only one removed is gone')
  t.same(await contents(laptop, ['docs/drafts/three.txt']), ['draft\n'])

  const plans = await namesOf(laptop, 'plan.txt')
  t.same(await contents(desktop, plans), ['desktop plan\n', 'laptop plan\n'], 'both plans')
  const databases = await namesOf(desktop, 'notes.db')
  t.same(await notes(laptop, databases), ['ok both desktop', 'ok both laptop'], 'both databases')
  const copies = Object.keys(entries).filter((path) => path.includes('(conflict'))
  t.equal(copies.length, 2, `no other copies: ${copies.join(', ')}`)

  await desktop.sh(`cd project && ${GIT} fsck --strict`)
  t.match(await desktop.sh(`cd project && ${GIT} log --format=%s`), /^the parser is a reader now\n/)
  const changes = await desktop.sh(`cd project && ${GIT} status --porcelain=v1`)
  t.match(changes, / M src\/reader\/part2\.c/, 'git on the other machine sees what was edited')
  for (const machine of both) await machine.pcfs.stop()
})
