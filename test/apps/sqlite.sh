# title: SQLite in WAL and rollback modes keeps every row of four concurrent writers
. "${0%/*}/lib.sh"
for mode in wal delete truncate persist; do
  /usr/bin/python3 - "$M/$mode.db" "$mode" <<'PYTHON'
import os, random, sqlite3, sys
path, mode = sys.argv[1:]
WRITERS, ROUNDS = 4, 60

def connect():
    base = sqlite3.connect(path, timeout=60, isolation_level=None)
    base.execute(f'pragma journal_mode={mode}')
    base.execute('pragma synchronous=full')
    return base

base = connect()
assert base.execute('pragma journal_mode').fetchone()[0] == mode, 'mode refused'
base.execute('create table entry(writer int, round int, text text, primary key(writer, round))')
base.execute('create table total(n int)')
base.execute('insert into total values(0)')
base.close()
pids = []
for writer in range(WRITERS):
    pid = os.fork()
    if pid == 0:
        base = connect()
        chance = random.Random(writer)
        for i in range(ROUNDS):
            base.execute('begin immediate')
            text = str(writer * 1000 + i) * chance.randint(1, 800)
            base.execute('insert into entry values(?,?,?)', (writer, i, text))
            base.execute('update total set n = n + ?', (len(text),))
            base.execute('rollback' if i % 10 == 9 else 'commit')
        base.close()
        os._exit(0)
    pids.append(pid)
for pid in pids:
    assert os.waitpid(pid, 0)[1] == 0, 'a writer failed'
base = connect()
rows, size = base.execute('select count(*), sum(length(text)) from entry').fetchone()
assert rows == WRITERS * ROUNDS * 9 // 10, f'{rows} rows'
assert base.execute('select n from total').fetchone()[0] == size, 'the total is wrong'
PYTHON
  same "$(sqlite3 "$M/$mode.db" 'pragma integrity_check')" ok "integrity in mode $mode"
done
sqlite3 "$M/wal.db" "vacuum into '$T/copy.db'"
same "$(sqlite3 "$T/copy.db" 'select sum(length(text)) from entry')" \
  "$(sqlite3 "$M/wal.db" 'select n from total')" "a copy by vacuum"
sqlite3 "$M/delete.db" 'delete from entry where round > 5; vacuum; pragma integrity_check' |
  grep -qx ok || fail "integrity after vacuum"
