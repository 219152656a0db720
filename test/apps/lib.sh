# What every application test starts with. The runner gives:
#   M  an empty folder on the file system under test
#   T  an empty folder on the disk
# A script succeeds only if the results are right; it says what was wrong on standard error.
set -euo pipefail
export LC_ALL=C GIT_CONFIG_NOSYSTEM=1 HOME="$T"

# fail TEXT: ends the script.
fail() {
  echo "FAILED: $*" >&2
  exit 1
}

# same A B WHAT: two values must be equal.
same() {
  [ "$1" = "$2" ] || fail "$3: '${1:0:300}' is not '${2:0:300}'"
}

# list_tree DIR: one line for every object: kind, mode, owner, size, time, link target, name. Times of
# symlinks are left out, and those of folders where FOLDER_TIME is set to nothing: rsync leaves them
# when they differ by less than a second. A folder's size is the file system's matter.
list_tree() {
  (
    cd "$1"
    find . -mindepth 1 -type d -printf "d %m %U:%G ${FOLDER_TIME-%T@} %P\n" -o \
      -type l -printf 'l %U:%G %l %P\n' -o -printf '%y %m %U:%G %s %T@ %P\n' | sort
  )
}

# same_trees A B: everything that list_tree shows, and all contents, are equal.
same_trees() {
  diff <(list_tree "$1") <(list_tree "$2") >&2 || fail "the trees $1 and $2 differ"
  diff <(cd "$1" && find . -type f -print0 | sort -z | xargs -0 sha256sum) \
    <(cd "$2" && find . -type f -print0 | sort -z | xargs -0 sha256sum) >&2 ||
    fail "the contents of $1 and $2 differ"
}

# make_source DIR FILES: a source-like tree with many small files and some large ones.
make_source() {
  /usr/bin/python3 - "$1" "$2" <<'PYTHON'
import os, random, sys
base, count = sys.argv[1], int(sys.argv[2])
chance = random.Random(42)
words = [''.join(chance.choices('abcdefghijklmnop', k=chance.randint(2, 9))) for _ in range(3000)]
for i in range(count):
    folder = f'{base}/src/{i % 17}/m{i % 101}'
    os.makedirs(folder, exist_ok=True)
    size = min(int(chance.paretovariate(0.9) * 40), 40_000)
    with open(f'{folder}/file{i}.c', 'w') as file:
        file.write('\n'.join(' '.join(chance.choices(words, k=8)) for _ in range(size // 50 + 1)))
for i in range(5):
    with open(f'{base}/asset{i}.bin', 'wb') as file:
        file.write(chance.randbytes(1_500_000 + i))
os.symlink('asset0.bin', f'{base}/current')
os.chmod(f'{base}/src/0', 0o750)
with open(f'{base}/run.sh', 'w') as file:
    file.write('#!/bin/sh\necho ran\n')
os.chmod(f'{base}/run.sh', 0o755)
PYTHON
}
