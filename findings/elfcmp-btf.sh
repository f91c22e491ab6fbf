#!/bin/sh
# elfutils 0.188: eu-elfcmp calls two modules equal whose .BTF differs.
#   One would guess a difference: eu-elfcmp looks at what matters at run time, and the kernel
#   reads a module's .BTF when it loads it. Neither its bytes nor its length count. (One module
#   with and one without .BTF do differ, in their number of sections.)
# Matters: it is the tool to tell whether two builds are the same. Two modules with other types
#   (an enum value changed, say, or a member renamed) are "equal", and their dumps read
#   differently. In a vmlinux .BTF is loaded and does count.
# Needs: Debian 12 (apt-get, dpkg-deb), gcc, objcopy, network. Exits 1 when it has changed.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
apt-get -qq -o APT::Sandbox::User=root download elfutils=0.188-2.1 pahole=1.24-4.1 \
  libbpf1 libdw1 libelf1 libasm1
for package in ./*.deb; do dpkg-deb -x "$package" root; done
LD_LIBRARY_PATH=$(dirname "$folder"/root/usr/lib/*/libbpf.so.1)
export LD_LIBRARY_PATH
build() {
  echo "enum state { IDLE = 1, $2 = $3 }; enum state s; struct t { int $4; } t;" >module.c
  gcc -g -c module.c -o full.o
  root/usr/bin/pahole -J full.o
  strip -g full.o -o "$1.o"
}
compare() {
  status=0
  root/usr/bin/eu-elfcmp one.o "$1.o" || status=$?
  echo "one.o and $1.o: $status"
}
build one RUNNING 2 first
build other STOPPED 7 later
build longer RUNNING 2 firstmember
objcopy --remove-section .BTF one.o without.o
for name in other longer; do
  objcopy -O binary -j .BTF --set-section-flags .BTF=alloc one.o one.btf
  objcopy -O binary -j .BTF --set-section-flags .BTF=alloc "$name.o" "$name.btf"
  if cmp one.btf "$name.btf"; then exit 1; fi
  compare "$name"
  [ "$status" = 0 ]
done
compare without
[ "$status" = 1 ]
