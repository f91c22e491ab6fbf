#!/bin/sh
# llvm-objcopy 14 (19 too): --add-section .BTF=FILE on a file that has a .BTF adds a second one,
#   and exits 0.
#   One would guess a refusal, which is what GNU objcopy has, or that the new content replaces the
#   old. Both are in the file, and readers differ: bpftool (libbpf) and pahole show the last one,
#   "readelf -x" both, the kernel's module loader takes the first of a name.
# Matters: --add-section is how BTF gets into a file that has none; done again, to mend it, tools
#   show the new types and the kernel runs with the old ones. --update-section replaces.
# Needs: Debian 12 (apt-get, dpkg-deb), gcc, objcopy, readelf, network. Exits 1 when it has
#   changed.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
apt-get -qq -o APT::Sandbox::User=root download llvm-14=1:14.0.6-12 libllvm14=1:14.0.6-12 \
  libedit2 libtinfo6 libxml2 libz3-4 libbsd0 pahole=1.24-4.1 libbpf1 libdw1 libelf1
for package in ./*.deb; do dpkg-deb -x "$package" root; done
LD_LIBRARY_PATH=$(dirname "$folder"/root/usr/lib/*/libbpf.so.1)
export LD_LIBRARY_PATH
for name in old_type new_type; do
  echo "struct $name { int a; } v;" >"$name.c"
  gcc -g -c "$name.c"
  root/usr/bin/pahole -J "$name.o"
  strip -g "$name.o"
done
objcopy -O binary -j .BTF --set-section-flags .BTF=alloc new_type.o new.btf
if objcopy --add-section .BTF=new.btf old_type.o gnu.o; then exit 1; fi
root/usr/lib/llvm-14/bin/llvm-objcopy --version | grep 'LLVM version'
root/usr/lib/llvm-14/bin/llvm-objcopy --add-section .BTF=new.btf old_type.o both.o
readelf -SW both.o | grep '\.BTF' | tee sections
[ "$(wc -l <sections)" = 2 ]
root/usr/bin/pahole -F btf both.o | grep struct | tee shown
grep -q new_type shown
if grep -q old_type shown; then exit 1; fi
