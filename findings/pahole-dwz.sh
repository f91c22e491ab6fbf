#!/bin/sh
# pahole 1.24 and dwz 0.15: of a program that dwz has been over, not one type is left, and "pahole
#   -J" writes no BTF; both exit 0 without a word.
#   One would guess the same types: dwz only moves what several compilation units share into units
#   of its own, which is plain DWARF, and gdb sees all of it. Even structures that stayed in their
#   own unit are gone, and codiff calls each function removed. (1.30 shows none either; its -J
#   says "Invalid argument".)
# Matters: distributions run dwz over what they package debug information of. "The kernel of the
#   package has no types" may be dwz's work, and a step that adds BTF behind it adds none.
# Needs: Debian 12 (apt-get, dpkg-deb), gcc, network. Exits 1 when it has changed.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
apt-get -qq -o APT::Sandbox::User=root download pahole=1.24-4.1 dwarves=1.24-4.1 libbpf1 libdw1 \
  libelf1 dwz=0.15-1 libxxhash0
for package in ./*.deb; do dpkg-deb -x "$package" root; done
LD_LIBRARY_PATH=$(dirname "$folder"/root/usr/lib/*/libbpf.so.1)
export LD_LIBRARY_PATH
echo 'struct shared { int a; long b[4]; struct { char c; short d; } e; const char *name; };' >shared.h
for i in 1 2 3 4 5; do
  {
    echo '#include "shared.h"'
    echo "struct own$i { struct shared s; int x; } v$i;"
    echo "int f$i(struct own$i *p, struct shared *s) { return s->a + p->x; }"
  } >"unit$i.c"
done
echo 'int main(void) { return 0; }' >main.c
gcc -g unit?.c main.c -o plain
root/usr/bin/dwz -o small plain
readelf --debug-dump=info small 2>/dev/null | grep -q DW_TAG_partial_unit
for file in plain small; do
  status=0
  root/usr/bin/pahole "$file" >types 2>said || status=$?
  shown=$(grep -c '^struct' types || :)
  root/usr/bin/pahole -J "$file" 2>>said || status=$?
  encoded=$(readelf -SW "$file" | grep -c ' \.BTF ' || :)
  echo "$file: $shown structures, .BTF sections: $encoded, status $status, $(wc -c <said) bytes said"
done | tee printed
printf 'plain: 6 structures, .BTF sections: 1, status 0, 0 bytes said\n' >expected
printf 'small: 0 structures, .BTF sections: 0, status 0, 0 bytes said\n' >>expected
cmp printed expected
root/usr/bin/codiff plain small | grep -q 'functions changed'
