# title: a file of 2 GiB is copied in, read back cold, changed in the middle, and copied inside
. "${0%/*}/lib.sh"
size=${BIG_BYTES:-2147483648}
head -c "$size" /dev/zero |
  openssl enc -aes-128-ctr -nosalt -K 000102030405060708090a0b0c0d0e0f -iv 00000000000000000000000000000000 \
    >"$T/big"
wanted=$(sha256sum <"$T/big")
cp "$T/big" "$M/big"
same "$(stat -c %s "$M/big")" "$size" "size"
cmp "$T/big" "$M/big" || fail "the copy differs"
sync -f "$M/big"
# Only this file's pages leave the cache.
dd if="$M/big" iflag=nocache count=0 status=none
same "$(sha256sum <"$M/big")" "$wanted" "hash of the copy, read again"
for file in "$T/big" "$M/big"; do
  head -c 100000 /dev/zero | dd of="$file" bs=1000 seek=1073741 conv=notrunc status=none
  truncate -s -12345 "$file"
done
cmp "$T/big" "$M/big" || fail "the changed copy differs"
head -c 300000000 "$M/big" >"$M/head"
cp "$M/head" "$M/second"
rm "$M/big"
cmp -n 300000000 "$T/big" "$M/second" || fail "the copy inside differs"
same "$(stat -c %s "$M/second")" 300000000 "size of the copy inside"
