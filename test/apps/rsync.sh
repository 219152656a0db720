# title: rsync -a goes both ways, finds nothing to do again, and copies only changes
. "${0%/*}/lib.sh"
FOLDER_TIME=
mkdir "$T/tree"
make_source "$T/tree" 1500
ln "$T/tree/run.sh" "$T/tree/hard.sh"
chown -R 1000:1000 "$T/tree/src/1"
setfattr -n user.note -v kept "$T/tree/asset0.bin"

rsync -aHX "$T/tree/" "$M/tree/"
same "$(rsync -aHXnic --delete "$T/tree/" "$M/tree/")" "" "a second run has something to do"
same_trees "$T/tree" "$M/tree"

# Changes on the mount, by delta and in place.
printf 'changed' | dd of="$M/tree/asset0.bin" bs=1 seek=700000 conv=notrunc status=none
rm -r "$M/tree/src/2"
mv "$M/tree/src/5" "$M/tree/src/moved"
rsync -aHX --delete --no-whole-file "$M/tree/" "$T/tree/"
same_trees "$M/tree" "$T/tree"
dd if=/dev/urandom of="$T/tree/asset1.bin" bs=4096 seek=100 count=10 conv=notrunc status=none
rsync -aHX --no-whole-file --inplace "$T/tree/" "$M/tree/"
rsync -aHX --partial --sparse "$T/tree/" "$M/copy/"
same_trees "$T/tree" "$M/tree"
same_trees "$T/tree" "$M/copy"
