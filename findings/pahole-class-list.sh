#!/bin/sh
# pahole 1.24 (1.30 and 1.32 too): "-C a,b" looks for b only from where it found a.
#   One would guess that a list is a set. On DWARF of several compilation units, "-C
#   later,earlier" says "type 'earlier' not found" though the file has it, "-C earlier,later"
#   prints both, and "-C later,same" prints another definition of "same" than "-C same" does.
# Matters: a kernel's vmlinux is thousands of units and has many structures of one name. A script
#   that asks for a list gets "not found" for types that exist, or the layout of the wrong
#   driver's.
# Needs: Debian 12 (apt-get, dpkg-deb), gcc, ld, network. Exits 1 when it has changed.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
apt-get -qq -o APT::Sandbox::User=root download pahole=1.24-4.1 libbpf1 libdw1 libelf1
for package in ./*.deb; do dpkg-deb -x "$package" root; done
LD_LIBRARY_PATH=$(dirname "$folder"/root/usr/lib/*/libbpf.so.1)
export LD_LIBRARY_PATH
pahole() {
  root/usr/bin/pahole -C "$1" both.o 2>&1 | grep -E '^struct|not found|int ' | tr -s '\t\n ' ' '
}

echo 'struct same { int small; } s; struct earlier { int x; } e;' >one.c
echo 'struct later { int x; } l; struct same { long int big; } t;' >two.c
gcc -g -c one.c two.c
ld -r -o both.o one.o two.o
for list in later,earlier earlier,later same later,same; do echo "-C $list: $(pahole $list)"; done
pahole later,earlier | grep -q "'earlier' not found"
pahole earlier,later | grep -q 'struct earlier.*struct later'
pahole same | grep -q small
pahole later,same | grep -q big
