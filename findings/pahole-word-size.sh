#!/bin/sh
# pahole 1.24: --word_size=4 puts the second pointer of a structure at byte 4294901768.
#   One would guess the layout of a 32-bit machine: both pointers of "void *first; void *second"
#   with 4 bytes, the second at 4, a size of 8. The first is shown with its 8 bytes, and the size is
#   -65524. With -C the option does nothing at all: 8 and 16, as without it. The exit status is 0.
# Matters: it is the option that says what a structure would be on another machine ("change the arch
#   word size"), for dumps of which there is no debug information. What is wrong by 4 GiB is easily
#   seen; that -C ignores it is not.
# Needs: Debian 12 (apt-get, dpkg-deb), gcc, network. Exits 1 when it has changed.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
apt-get -qq -o APT::Sandbox::User=root download pahole=1.24-4.1 libbpf1 libdw1 libelf1
for package in ./*.deb; do dpkg-deb -x "$package" root; done
LD_LIBRARY_PATH=$(dirname "$folder"/root/usr/lib/*/libbpf.so.1)
export LD_LIBRARY_PATH
echo 'struct pair { void *first; void *second; } pair;' >pair.c
gcc -g -c pair.c
root/usr/bin/pahole --version
root/usr/bin/pahole pair.o >plain
root/usr/bin/pahole --word_size=4 pair.o | tee all
root/usr/bin/pahole --word_size=4 -C pair pair.o | tee one
grep -qE 'second; +/\* +8 +8 \*/' plain
grep -qE 'first; +/\* +0 +8 \*/' all
grep -qE 'second; +/\* 4294901768 +8 \*/' all
grep -q 'size: -65524,' all
cmp plain one
