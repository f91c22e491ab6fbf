#!/bin/sh
# bpftool 7.1.0 (libbpf 1.1): "btf dump ... format c" never packs a union.
#   One would guess that a union is treated like a structure, which gets the packed attribute where
#   its size is no multiple of its members' alignment. A packed "union { int a; char b[5]; }" has a
#   size of 5 in BTF and of 8 where the dump is compiled; a structure of the same members (a size
#   of 9) is packed in the same dump.
# Matters: the structure around it is dumped as though the union were right: of "char x; union e;
#   char y" y is at byte 6, and at 12 in a program that was compiled with the header. It is
#   vmlinux.h from which layouts are taken where there is no DWARF.
# Needs: Debian 12 (apt-get, dpkg-deb), gcc, network. Exits 1 when it has changed.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
apt-get -qq -o APT::Sandbox::User=root download 'bpftool=7.1.0*' pahole=1.24-4.1 \
  libbpf1 libdw1 libelf1
for package in ./*.deb; do dpkg-deb -x "$package" root; done
LD_LIBRARY_PATH=$(dirname "$folder"/root/usr/lib/*/libbpf.so.1)
export LD_LIBRARY_PATH
cat >original.h <<'EOT'
struct record { int a; char b[5]; } __attribute__((packed));
union either { int a; char b[5]; } __attribute__((packed));
struct outer { char x; union either e; char y; struct record r; };
EOT
echo 'struct outer outer;' | cat original.h - >original.c
gcc -g -c original.c
root/usr/bin/pahole -J original.o
root/usr/sbin/bpftool version
root/usr/sbin/bpftool btf dump file original.o | grep -E "(UNION|STRUCT) '"
root/usr/sbin/bpftool btf dump file original.o format c | grep -v '^#pragma' >copy.h
cat copy.h
cat >print.c <<'EOT'
#include <stddef.h>
#include <stdio.h>
#include HEADER
int main(void) {
  printf("record %zu, either %zu, y at %zu, outer %zu\n", sizeof(struct record),
         sizeof(union either), offsetof(struct outer, y), sizeof(struct outer));
}
EOT
for name in original copy; do
  gcc -DHEADER="\"$name.h\"" print.c -o "$name"
  "./$name" | tee "$name.txt"
done
echo 'record 9, either 5, y at 6, outer 16' | cmp - original.txt
echo 'record 9, either 8, y at 12, outer 24' | cmp - copy.txt
