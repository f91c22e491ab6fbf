#!/bin/sh
# gcc 12.2 -gbtf: one structure with a member of a vector type makes the BTF of the whole file
#   invalid.
#   One would guess an array, which is how pahole writes it, or that the member is left out. The
#   member's type is a number that no type has: libbpf and bpftool refuse the file ("Invalid
#   argument"), gcc says nothing. Without that one member, everything loads. (Behind a typedef,
#   the typedef is one of void.)
# Matters: vector types are in the kernel's cryptographic and RAID code, and each file that
#   includes such a header would lose all of its types, not that one.
# Needs: Debian 12 (apt-get, dpkg-deb), gcc 12, network. Exits 1 when it has changed.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
apt-get -qq -o APT::Sandbox::User=root download bpftool=7.1.0+6.1.176-1 libbpf1 libelf1
for package in ./*.deb; do dpkg-deb -x "$package" root; done
LD_LIBRARY_PATH=$(dirname "$folder"/root/usr/lib/*/libbpf.so.1)
export LD_LIBRARY_PATH
gcc=$(command -v gcc-12 || command -v gcc)
"$gcc" -dumpfullversion | tee version
grep -q "^12\.2" version
cat >types.c <<'EOT'
#ifdef VECTOR
#define KEY int key __attribute__((vector_size(16)))
#else
#define KEY int key[4]
#endif
struct state { long rounds; KEY; } state;
struct other { int value; } other;
EOT
"$gcc" -gbtf -c types.c -o array.o
"$gcc" -gbtf -DVECTOR -c types.c -o vector.o
root/usr/sbin/bpftool btf dump file array.o | grep STRUCT
status=0
root/usr/sbin/bpftool btf dump file vector.o >dump 2>&1 || status=$?
cat dump
[ "$status" != 0 ]
grep -q 'failed to load BTF from vector.o: Invalid argument' dump
