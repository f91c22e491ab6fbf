#!/bin/sh
# llvm-objdump 14 (19 too): --disassemble-symbols=NAME ends at the next label inside the function.
#   One would guess that the symbol's size counts, as with GNU objdump and gdb, which show all of
#   it.
# Matters: the kernel's assembler functions (system call entry, copy_to_user(), the memory
#   routines) have global labels inside, for exception tables and stack traces. What is shown
#   looks like a short function that falls through.
# Needs: Debian 12 on x86-64 (apt-get, dpkg-deb), gcc, ld, objdump, network. Exits 1 when it has
#   changed.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
apt-get -qq -o APT::Sandbox::User=root download llvm-14=1:14.0.6-12 libllvm14=1:14.0.6-12 \
  libedit2 libtinfo6 libxml2 libz3-4 libbsd0
for package in ./*.deb; do dpkg-deb -x "$package" root; done
llvm() {
  tool=$1
  shift
  LD_LIBRARY_PATH=root/usr/lib/x86_64-linux-gnu "root/usr/lib/llvm-14/bin/llvm-$tool" "$@"
}

cat >code.s <<'EOT'
.text
.globl outer
.type outer,@function
outer:
  cli
.globl label
label:
  sti
  ret
.size outer,.-outer
EOT
gcc -c code.s
ld -e outer -o linked code.o
instructions() { grep -oE '(cli|sti|ret)q? *$' | tr -s ' \n' ' '; }
gnu=$(objdump -d --disassemble=outer linked | instructions)
llvm=$(llvm objdump --disassemble-symbols=outer linked | instructions)
echo "objdump: $gnu; llvm-objdump: $llvm"
[ "$gnu" = "cli sti ret " ]
[ "$llvm" = "cli " ]
