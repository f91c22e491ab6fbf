#!/bin/sh
# gcc 12.2 -gbtf: a variable that is only declared ("extern int jiffies_like;") is in BTF a global
#   variable of .bss.
#   One would guess linkage "extern" and no section, or no entry: the object file has it as
#   undefined, with no byte in .bss. clang for BPF writes "extern".
# Matters: the section's record is what lists a module's own variables and where they are. By it
#   the module has a copy of each variable of the kernel that it uses.
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
echo 'extern int jiffies_like; int read_it(void) { return jiffies_like; }' >module.c
"$gcc" -gbtf -c module.c
nm module.o | tee symbols
root/usr/sbin/bpftool btf dump file module.o | grep -A 2 -E ' VAR |DATASEC' | tee dump
grep -q ' U jiffies_like' symbols
grep -q "VAR 'jiffies_like' .*linkage=global" dump
grep -A 1 "DATASEC '.bss'" dump | grep -q "(VAR 'jiffies_like')"
