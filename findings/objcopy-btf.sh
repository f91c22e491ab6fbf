#!/bin/sh
# GNU objcopy 2.40 (2.44, llvm-objcopy 19 too): -O binary --only-section=.BTF of a module writes
#   an empty file and exits 0.
#   One would guess the section's bytes, which is what the same command gives for a vmlinux.
#   "binary" means the memory image: a module's .BTF is not loaded, a vmlinux's is (made so here
#   by a flag).
# Matters: that command is the usual way to take types out of a file. A folder of modules handled
#   with it is a folder of empty files. --dump-section .BTF=FILE works for both.
# Needs: Debian 12 on x86-64 (apt-get, dpkg-deb), gcc, network. Exits 1 when it has changed.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
apt-get -qq -o APT::Sandbox::User=root download binutils-x86-64-linux-gnu=2.40-2 \
  libbinutils=2.40-2 libctf0=2.40-2 libjansson4 pahole=1.24-4.1 libbpf1 libdw1 libelf1
for package in ./*.deb; do dpkg-deb -x "$package" root; done
LD_LIBRARY_PATH=$folder/root/usr/lib/x86_64-linux-gnu
export LD_LIBRARY_PATH
objcopy() { root/usr/bin/x86_64-linux-gnu-objcopy "$@"; }

echo 'struct first { int a; } f;' >module.c
gcc -g -c module.c
root/usr/bin/pahole -J module.o
objcopy -O binary --only-section=.BTF module.o plain
objcopy -O binary --only-section=.BTF --set-section-flags .BTF=alloc module.o loaded
objcopy --dump-section .BTF=dumped module.o copy.o
wc -c plain loaded dumped
[ ! -s plain ]
[ -s dumped ]
cmp loaded dumped
