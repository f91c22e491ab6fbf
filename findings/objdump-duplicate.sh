#!/bin/sh
# GNU objdump 2.40 (2.44 too): of two functions of one name, --disassemble=NAME shows the first
#   only.
#   One would guess both (llvm-objdump shows both), as they are two functions. Nothing tells that
#   there is a second one.
# Matters: a kernel has some 750 names of static functions that occur more than once. Code read so
#   may be another file's function than the one in the trace: give the address range instead.
# Needs: Debian 12 on x86-64 (apt-get, dpkg-deb), gcc, ld, network. Exits 1 when it has changed.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
apt-get -qq -o APT::Sandbox::User=root download binutils-x86-64-linux-gnu=2.40-2 \
  libbinutils=2.40-2 libctf0=2.40-2 libjansson4
for package in ./*.deb; do dpkg-deb -x "$package" root; done
LD_LIBRARY_PATH=$folder/root/usr/lib/x86_64-linux-gnu
export LD_LIBRARY_PATH
code() {
  root/usr/bin/x86_64-linux-gnu-objdump -d --disassemble="$1" linked >printed
  grep -E '^ +[0-9a-f]+:' printed | cut -f 3 | tr -s ' \n' ' ' || true
}

for instruction in cli sti; do
  printf '.type twice,@function\ntwice: %s; ret\n.size twice,.-twice\n' $instruction >$instruction.s
  gcc -c $instruction.s
done
ld -e 0 -o linked cli.o sti.o
nm linked | grep ' twice'
echo "twice: $(code twice)"
[ "$(nm linked | grep -c ' twice')" = 2 ]
[ "$(code twice)" = "cli ret " ]
