#!/bin/sh
# GNU objdump 2.40 (2.44 too): --disassemble=NAME prints nothing, and exits 0, if another symbol
#   of the same address is the one that objdump would show.
#   One would guess that each function symbol works (gdb and llvm-objdump do so). Of two names of
#   one address only one does, and the other looks like a name that does not exist.
# Matters: kernels are full of aliases (memcpy and __memcpy, __x64_sys_* and __se_sys_*), and a
#   trace or kallsyms may have either. "No output" is no proof that a vmlinux lacks the function.
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

cat >code.s <<'EOT'
.text
.macro function name
.globl \name
.type \name,@function
\name:
.endm
function first
  cli
  ret
.size first,.-first
.globl second
.type second,@function
.set second,first
.size second,2
EOT
gcc -c code.s
ld -e first -o linked code.o
for name in first second missing; do echo "$name: $(code $name)"; done
shown=$(code first)$(code second)
[ "$shown" = "cli ret " ]
[ -z "$(code missing)" ]
