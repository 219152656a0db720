# title: PostgreSQL runs pgbench, survives an immediate stop, and its checksums hold
. "${0%/*}/lib.sh"
bin=$(dirname "$(find /usr/lib/postgresql -name initdb | sort | tail -1)")
chmod 755 "$T" "$M"
install -d -o postgres -g postgres "$M/pg" "$T/run"
as() { (cd "$T/run" && runuser -u postgres -- env HOME="$T/run" "$@"); }
start() {
  as "$bin/pg_ctl" -D "$M/pg/data" -l "$T/run/log" -w -s -t 60 start \
    -o "-k $T/run -c listen_addresses= -c shared_buffers=32MB -c max_wal_size=256MB" ||
    fail "start: $(tail -5 "$T/run/log")"
}
query() { as psql -h "$T/run" -d postgres -Atc "$1"; }
trap 'as "$bin/pg_ctl" -D "$M/pg/data" -m immediate -s stop >/dev/null 2>&1 || true' EXIT

as "$bin/initdb" -D "$M/pg/data" -k -A trust -E UTF8 --no-instructions >"$T/initdb" 2>&1 ||
  fail "initdb: $(tail -5 "$T/initdb")"
start
as pgbench -h "$T/run" -i -q -s 2 postgres 2>"$T/init" || fail "pgbench -i: $(cat "$T/init")"
as pgbench -h "$T/run" -c 4 -j 2 -T 6 -n postgres >"$T/bench" 2>&1 || fail "$(cat "$T/bench")"
grep -q 'number of failed transactions: 0' "$T/bench" || fail "$(cat "$T/bench")"

# Every transaction adds the same amount to an account, a teller, a branch and the history.
sums="select (select sum(abalance) from pgbench_accounts), (select sum(tbalance) from
  pgbench_tellers), (select sum(bbalance) from pgbench_branches), (select sum(delta) from
  pgbench_history), (select count(*) from pgbench_history)"
before=$(query "$sums")
IFS='|' read -r accounts tellers branches history count <<<"$before"
same "$accounts" "$history" "sum of the accounts"
same "$tellers" "$history" "sum of the tellers"
same "$branches" "$history" "sum of the branches"
[ "$count" -gt 10 ] || fail "only $count transactions"

as "$bin/pg_ctl" -D "$M/pg/data" -m immediate -s stop
start
same "$(query "$sums")" "$before" "the balances after recovery"
query 'vacuum full' >/dev/null
query 'reindex database postgres' >/dev/null
as "$bin/pg_ctl" -D "$M/pg/data" -m fast -s stop
as "$bin/pg_checksums" --check -D "$M/pg/data" >"$T/sums" 2>&1 || fail "$(cat "$T/sums")"
