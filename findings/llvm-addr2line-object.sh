#!/bin/sh
# llvm-addr2line 14 (19 too): on an object file it may pair one function's name with another's
#   line.
#   One would guess an answer for .text, as addr2line, eu-addr2line and gdb give it, for an
#   address that several sections have. The line comes from .text, the name from another section.
# Matters: a kernel module is such a file, with .text, .init.text and .exit.text that all begin at
#   0. An offset of a trace in a module then reads as its exit function, at a plausible line.
# Needs: Debian 12 on x86-64 (apt-get, dpkg-deb), gcc, addr2line, network. Exits 1 when it has
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

cat >module.c <<'EOT'
int value;
int work(int a) { return a + value; }
__attribute__((section(".exit.text"))) int leave(int a) { return a * 5 + value; }
EOT
gcc -g -O1 -c module.c
gnu=$(addr2line -f -e module.o 0 | sed 's|.*/||' | tr '\n' ' ')
llvm=$(llvm addr2line -f -e module.o 0 | sed 's|.*/||' | tr '\n' ' ')
echo "addr2line: $gnu llvm-addr2line: $llvm"
[ "$gnu" = "work module.c:2 " ]
[ "$llvm" = "leave module.c:2 " ]
