#!/bin/sh
# elfutils 0.188: eu-strip takes .BTF out of a module, which GNU strip (binutils 2.40) keeps even
#   with --strip-all.
#   One would guess that all of them keep it, as with "-g": its name is not .debug_*, and the
#   kernel needs it to be there at run time. eu-strip without -g drops each section that is not
#   loaded, and in a module .BTF is not. (llvm-strip 19 --strip-all is on eu-strip's side.)
# Matters: packaging tools run eu-strip. A module packaged so loads and works, and has no types in
#   a dump, nor for BPF. Use -g, or --keep-section.
# Needs: Debian 12 (apt-get, dpkg-deb), gcc, strip, network. Exits 1 when it has changed.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
apt-get -qq -o APT::Sandbox::User=root download elfutils=0.188-2.1 pahole=1.24-4.1 \
  libbpf1 libdw1 libelf1 libasm1
for package in ./*.deb; do dpkg-deb -x "$package" root; done
LD_LIBRARY_PATH=$(dirname "$folder"/root/usr/lib/*/libbpf.so.1)
export LD_LIBRARY_PATH
echo 'struct first { int a; } f; int g(struct first *p) { return p->a; }' >module.c
gcc -g -c module.c
root/usr/bin/pahole -J module.o
PATH=$PATH:$folder/root/usr/bin
check() {
  expected=$1
  shift
  cp module.o stripped.o
  "$@" stripped.o
  found=$(objdump -h stripped.o | grep -c ' \.BTF ' || true)
  echo "$*: $found .BTF"
  [ "$found" = "$expected" ]
}
check 1 strip --strip-all
check 1 strip -g
check 1 eu-strip -g
check 0 eu-strip
