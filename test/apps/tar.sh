# title: tar unpacks a tree with links, owners, modes, times and holes, and finds no difference
. "${0%/*}/lib.sh"
mkdir "$T/tree"
make_source "$T/tree" 3000
cd "$T/tree"
ln run.sh hard.sh
ln -s /nowhere/at/all dangling
mkfifo pipe
mkdir -m 2775 setgid
mkdir -m 1777 sticky
chown 1234:4321 asset1.bin setgid
chmod 4755 hard.sh
truncate -s 50M sparse
printf end >>sparse
touch -d '1999-12-31 23:59:59.123456789' asset2.bin src
setfattr -n user.note -v 'kept' asset3.bin
printf 'x' >"$(printf 'odd \377 name\n')"
tar --format=posix --xattrs -S -cf "$T/tree.tar" -C "$T" tree

cd "$M"
tar --xattrs -pxf "$T/tree.tar"
tar --xattrs --compare -f "$T/tree.tar" || fail "tar --compare finds differences"
same_trees "$T/tree" "$M/tree"
same "$(getfattr --only-values -n user.note tree/asset3.bin)" kept "xattr"
same "$(stat -c %h tree/run.sh)" 2 "hard link"
[ "$(stat -c %b tree/sparse)" -lt 4096 ] || fail "the sparse file takes its whole size"
same "$(tree/run.sh)" ran "a script from the archive"

# The archive made from here has the same content as the one that was unpacked.
tar --format=posix -cf "$T/again.tar" -C "$M" tree
mkdir "$T/again"
tar -pxf "$T/again.tar" -C "$T/again"
same_trees "$T/tree" "$T/again/tree"
rm -rf tree
same "$(ls -A "$M")" "" "what rm -rf left"
