#!/bin/sh
# binutils 2.40 and libbpf: "ld -r" puts two .BTF sections one behind the other, and the readers
#   take the first one only, without a word.
#   One would guess that the linker merges them (it does for CTF), or that a reader refuses what
#   is left behind the end of the first. pahole 1.24 (1.30 and bpftool 7.5 too) lists the types of
#   the first object: what only the second defines is missing or a forward declaration.
# Matters: a kernel module of several files, each compiled with -gbtf, is linked so. Its .BTF
#   looks whole, and has the types of the file that came first. pahole -J on the linked module is
#   right.
# Needs: Debian 12 on x86-64 (apt-get, dpkg-deb), gcc 12, ld, network. Exits 1 when it has
#   changed.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
apt-get -qq -o APT::Sandbox::User=root download pahole=1.24-4.1 libbpf1 libdw1 libelf1
for package in ./*.deb; do dpkg-deb -x "$package" root; done
LD_LIBRARY_PATH=$(dirname "$folder"/root/usr/lib/*/libbpf.so.1)
export LD_LIBRARY_PATH
echo 'struct first { int a; struct second *p; } f;' >one.c
echo 'struct second { int b; } s;' >two.c
gcc -gbtf -c one.c two.c
ld -r -o forward.o one.o two.o
ld -r -o backward.o two.o one.o
for file in one.o two.o forward.o backward.o; do
  names=$(root/usr/bin/pahole -F btf "$file" | grep -E '^struct [a-z]+ \{' | tr '\n' ' ')
  size=$(objdump -h "$file" | awk '$2 == ".BTF" { print $3 }')
  echo "$file: .BTF of 0x$size bytes, $names"
  echo "$names" >"$file.names"
done
for pair in one:forward two:backward; do cmp "${pair%:*}.o.names" "${pair#*:}.o.names"; done
