#!/bin/sh
# codiff of dwarves 1.24: exits 0 whether the two files' structures and functions differ or not.
#   One would guess 1 for a difference, as with diff, cmp and eu-elfcmp: a structure whose member
#   moved is found and printed ("1 struct changed"), and the status is that of equal files, 0.
# Matters: it is the tool to guard a kernel's or module's structures between two builds. In a
#   build job "codiff old new" is always content; test whether it printed something.
# Needs: Debian 12 (apt-get, dpkg-deb), gcc, network. Exits 1 when it has changed.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
apt-get -qq -o APT::Sandbox::User=root download dwarves=1.24-4.1 pahole=1.24-4.1 libbpf1 libdw1 \
  libelf1
for package in ./*.deb; do dpkg-deb -x "$package" root; done
LD_LIBRARY_PATH=$(dirname "$folder"/root/usr/lib/*/libbpf.so.1)
export LD_LIBRARY_PATH
build() {
  echo "struct state { $2 long last; } s; long f(struct state *p) { return p->last; }" >module.c
  gcc -g -O1 -c module.c -o "$1.o"
}
build old 'int first;'
build same 'int first;'
build new 'int first; long second;'
for name in same new; do
  status=0
  root/usr/bin/codiff old.o "$name.o" >"$name.txt" || status=$?
  echo "old and $name: status $status"
  cat "$name.txt"
  [ "$status" = 0 ]
done
[ ! -s same.txt ]
grep -q '1 struct changed' new.txt
