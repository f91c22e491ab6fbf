#!/bin/sh
# pahole 1.24: --prettify prints each integer as signed, each bit field as unsigned, and a float
#   as an integer, from DWARF and BTF alike.
#   One would guess that the type decides, which is in the same debug information: an unsigned int
#   of 4294967294 is printed as -2, an unsigned char of 254 as -2, "int f : 3" of -1 as 7, and a
#   float of 1.5 as 1069547520. (Enumerations and pointers are printed byte by byte.)
# Matters: it is the way to see raw memory through a kernel structure without a debugger. Sizes
#   and flags with the top bit set, and small signed fields, are exactly what it shows wrong.
# Needs: Debian 12 (apt-get, dpkg-deb), gcc, objcopy, network. Exits 1 when it has changed.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
apt-get -qq -o APT::Sandbox::User=root download pahole=1.24-4.1 libbpf1 libdw1 libelf1
for package in ./*.deb; do dpkg-deb -x "$package" root; done
LD_LIBRARY_PATH=$(dirname "$folder"/root/usr/lib/*/libbpf.so.1)
export LD_LIBRARY_PATH
cat >values.c <<'EOT'
struct values {
  unsigned int wide; unsigned char narrow; int negative;
  unsigned int flags : 3; int f : 3; float real;
} values = { 0xfffffffe, 254, -2, 7, -1, 1.5 };
EOT
gcc -g -c values.c
objcopy -O binary -j .data values.o memory
root/usr/bin/pahole -J values.o
for format in dwarf btf; do
  root/usr/bin/pahole -F "$format" -C values --prettify=memory values.o | tr -s ' \t\n' ' ' |
    tee printed
  echo
  grep -q '\.wide = -2, \.narrow = -2, \.negative = -2, \.flags = 7, \.f = 7, ' printed
  grep -q '\.real = 1069547520,' printed
done
