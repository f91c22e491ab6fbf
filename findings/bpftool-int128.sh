#!/bin/sh
# bpftool 7.1.0 (libbpf 1.1): "btf dump ... format c" takes the alignment of a 16-byte integer for
#   8, and loses the packing of a structure that needs it.
#   One would guess 16, which is what compilers for x86-64 and arm64 have for __int128. libbpf takes
#   no type's alignment for more than a pointer's. A packed "long a; __int128 b" has b at byte 8 and
#   a size of 24: both look natural to it, no attribute is written, and compiled from the dump b is
#   at 16 and the size is 32. (With an int in place of the long, it is packed.) The same becomes of
#   a structure whose member's type is an __int128 that is aligned to 8.
# Matters: arm64's saved vector registers and 16-byte compare-and-exchange fields are such integers.
#   Nothing in the header tells that it is not the layout that the BTF has.
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
struct wide { long a; __int128 b; } __attribute__((packed));
struct narrow { int a; __int128 b; } __attribute__((packed));
typedef __int128 by8 __attribute__((aligned(8)));
struct named { long a; by8 b; };
EOT
echo 'struct wide w; struct narrow n; struct named d;' | cat original.h - >original.c
gcc -g -c original.c
root/usr/bin/pahole -J original.o
root/usr/sbin/bpftool version
root/usr/sbin/bpftool btf dump file original.o format c | grep -v '^#pragma' >copy.h
cat copy.h
cat >print.c <<'EOT'
#include <stddef.h>
#include <stdio.h>
#include HEADER
#define SHOW(type) printf(#type " b at %zu of %zu\n", offsetof(struct type, b), sizeof(struct type))
int main(void) { SHOW(wide); SHOW(narrow); SHOW(named); }
EOT
for name in original copy; do
  gcc -DHEADER="\"$name.h\"" print.c -o "$name"
  "./$name" | tee "$name.txt"
done
printf '%s\n' 'wide b at 8 of 24' 'narrow b at 4 of 20' 'named b at 8 of 24' | cmp - original.txt
printf '%s\n' 'wide b at 16 of 32' 'narrow b at 4 of 20' 'named b at 16 of 32' | cmp - copy.txt
