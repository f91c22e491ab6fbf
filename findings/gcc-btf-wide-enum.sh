#!/bin/sh
# gcc 12.2 -gbtf: an enumerator that does not fit 32 bits is left out, silently.
#   One would guess a 64-bit enumeration (what pahole and clang write) or a value cut to 32 bits,
#   as pahole had it before there was one. Of "enum { FIRST = 1, HIGH = 1L << 40, LAST = 2 }" the
#   BTF has an enumeration of 8 bytes with FIRST and LAST.
# Matters: the kernel has such enumerations (64-bit flag words). A reader sees a complete type of
#   the right size, and prints a value with HIGH in it as an unknown number.
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
echo 'enum wide { FIRST = 1, HIGH = 1L << 40, LAST = 2 } value;' >enum.c
"$gcc" -gbtf -c enum.c
root/usr/sbin/bpftool btf dump file enum.o | tee dump
grep -q "ENUM 'wide' .*size=8 vlen=2" dump
grep -q "'FIRST' val=1" dump
grep -q "'LAST' val=2" dump
if grep -q HIGH dump; then exit 1; fi
