#!/bin/sh
# gcc 12.2 -gbtf: each function is "static" in BTF: global ones, and ones that are only declared.
#   One would guess the linkage of the source, as BTF has static, global and extern for it, and as
#   the same compiler does for variables (static and global are told apart there).
# Matters: linkage is how a reader of BTF tells a function that is here from one that is called
#   elsewhere, and libbpf an entry point from a helper. By this BTF a module defines what it
#   imports. Static functions that were inlined everywhere are listed as well, without a symbol.
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
cat >module.c <<'EOT'
int imported(int a);
static int inlined(int a) { return a * 3; }
int entry(int a) { return imported(a) + inlined(a); }
int variable;
static int hidden;
int *pointer = &hidden;
EOT
"$gcc" -O1 -gbtf -c module.c
root/usr/sbin/bpftool btf dump file module.o | grep -E 'FUNC |VAR .*linkage' | tee dump
nm module.o
for name in imported inlined entry; do grep -q "FUNC '$name' .*linkage=static" dump; done
grep -q "VAR 'variable' .*linkage=global" dump
grep -q "VAR 'hidden' .*linkage=static" dump
