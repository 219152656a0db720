# title: git clones, commits, packs, checks and compares a repository of 4,000 files
. "${0%/*}/lib.sh"
git config --global user.name tester
git config --global user.email tester@example.org
git config --global init.defaultBranch main
git config --global protocol.file.allow always

mkdir "$T/origin"
make_source "$T/origin" 4000
cd "$T/origin"
git init -q
git add -A
git commit -qm first

git clone -q "file://$T/origin" "$M/clone"
cd "$M/clone"
same "$(git status --porcelain)" "" "status after clone"
same "$(git ls-files | wc -l)" 4007 "number of files"
same "$(git rev-parse 'HEAD^{tree}')" "$(git -C "$T/origin" rev-parse 'HEAD^{tree}')" "tree"

git checkout -qb work
for i in $(seq 0 10 3990); do
  echo "changed $i" >>"src/$((i % 17))/m$((i % 101))/file$i.c"
done
same "$(git status --porcelain | wc -l)" 400 "changed files"
git commit -qam second
git mv src/3 renamed
git rm -rq src/4
git commit -qm third
same "$(git status --porcelain)" "" "status after commits"
git checkout -q main
same "$(git status --porcelain)" "" "status after checkout of main"
git merge -q work
git stash list
echo dirty >run.sh
git stash -q
same "$(cat run.sh | head -1)" "#!/bin/sh" "stashed content"
git stash pop -q
same "$(cat run.sh)" dirty "popped content"
git checkout -q run.sh
git tag v1
git gc -q --prune=now
git fsck --strict --full 2>"$T/fsck" || fail "fsck: $(cat "$T/fsck")"
same "$(git status --porcelain)" "" "status after gc"
same "$(git rev-list --count HEAD)" 3 "commits"
git worktree add -q "$M/second" work
same "$(git -C "$M/second" status --porcelain)" "" "status of a second worktree"

# Back to the disk: the same content by git's own hashes and by a comparison of the files.
git clone -q "$M/clone" "$T/back"
same "$(git -C "$T/back" rev-parse 'HEAD^{tree}')" "$(git rev-parse 'HEAD^{tree}')" "tree back"
diff -r --exclude=.git "$M/clone" "$T/back" >&2 || fail "working trees differ"
