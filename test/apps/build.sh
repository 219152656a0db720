# title: make -j builds a program of many sources, and rebuilds only what changed
. "${0%/*}/lib.sh"
cd "$M"
for i in $(seq 1 40); do
  printf '#include "all.h"\nint f%d(void) { return %d; }\n' "$i" "$i" >"f$i.c"
  echo "int f$i(void);" >>all.h
done
{
  echo '#include <stdio.h>'
  echo '#include "all.h"'
  echo 'int main(void) { int n = 0;'
  for i in $(seq 1 40); do echo "n += f$i();"; done
  echo 'printf("%d\n", n); return 0; }'
} >main.c
cat >Makefile <<'MAKE'
objects := $(patsubst %.c,%.o,$(wildcard *.c))
program: library.a main.o
	cc -o $@ main.o library.a
library.a: $(filter-out main.o,$(objects))
	ar rcs $@ $^
%.o: %.c
	cc -c -o $@ $<
	echo $@ >>built
MAKE
make -s -j4
same "$(./program)" 820 "the program's answer"
same "$(sort built | uniq | wc -l)" 41 "objects built"
rm built
make -s -j4
[ ! -e built ] || fail "something was built again: $(cat built)"
sleep 0.02
sed -i 's/return 7;/return 1007;/' f7.c
make -s -j4
same "$(cat built)" f7.o "what was built again"
same "$(./program)" 1820 "the new answer"
