# title: find, du, df, ls, grep and cp -a agree with the disk about a tree
. "${0%/*}/lib.sh"
mkdir "$T/tree"
make_source "$T/tree" 2000
cp -a "$T/tree" "$M/tree"
same_trees "$T/tree" "$M/tree"
same "$(find "$M/tree" -type f | wc -l)" 2006 "files"
same "$(find "$M/tree" -type f -printf '%s\n' | awk '{n += $1} END {print n}')" \
  "$(find "$T/tree" -type f -printf '%s\n' | awk '{n += $1} END {print n}')" "bytes"
same "$(cd "$M/tree" && grep -rl abc . | sort | sha256sum)" \
  "$(cd "$T/tree" && grep -rl abc . | sort | sha256sum)" "what grep finds"
same "$(cd "$M/tree" && ls -lR --time-style=full-iso src | grep -v ^total | sed 's/^d\(\S*\) *\S* *\(\S*\) *\(\S*\) *\S*/d\1 \2 \3/' | sha256sum)" \
  "$(cd "$T/tree" && ls -lR --time-style=full-iso src | grep -v ^total | sed 's/^d\(\S*\) *\S* *\(\S*\) *\(\S*\) *\S*/d\1 \2 \3/' | sha256sum)" "ls -lR"
files=$(find "$M/tree" -type f -printf '%s\n' | awk '{n += $1} END {print n}')
taken=$(du -s --block-size=1 "$M/tree" | cut -f1)
[ "$taken" -ge $((files / 2)) ] && [ "$taken" -le $((files * 3 + 20000000)) ] ||
  fail "du says $taken for $files bytes of files"
read -r total used available <<<"$(df --output=size,used,avail -B1 "$M" | tail -1)"
[ "$total" -gt 0 ] && [ "$available" -gt 0 ] && [ "$used" -le "$total" ] ||
  fail "df says $total $used $available"
df -i "$M" >/dev/null
touch "$T/now"
sleep 0.02
echo new >>"$M/tree/run.sh"
same "$(find "$M/tree" -newer "$T/now" -type f)" "$M/tree/run.sh" "files newer than now"
same "$(cd "$M" && find . -name 'file1?.c' | sort | wc -l)" 10 "names by pattern"
find "$M/tree" -name '*.c' -delete
same "$(find "$M/tree" -type f | wc -l)" 6 "files left"
rm -rf "$M/tree"
[ ! -e "$M/tree" ] || fail "rm -rf left something"
