#!/bin/sh
# gdb 13.1: read from CTF, each member's offset is an eighth of what it is, and arrays have their
#   dimensions back to front.
#   One would guess that gdb says of a program with CTF what it says of the same one with DWARF.
#   Of "struct { int a[2][3]; long b; char c; }" it has b at 3 (24), c at 4 (32) and a as a[3][2],
#   while the size, 40, is right. "objdump --ctf" has the offsets right: gdb takes bits for bytes.
# Matters: CTF is the other compact type format beside BTF, and gdb the debugger that reads it.
#   A structure of a core is printed by these offsets: plausible members, each a wrong one.
# Needs: Debian 12 (apt-get, dpkg-deb), gcc 12, network. Exits 1 when it has changed.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
apt-get -qq -o APT::Sandbox::User=root download gdb-minimal=13.1-3 libmpfr6 libgmp10 libexpat1 \
  libreadline8 libtinfo6 libncursesw6 libdebuginfod1 libipt2 libxxhash0 libcurl3-gnutls
for package in ./*.deb; do dpkg-deb -x "$package" root; done
cat >program.c <<'EOT'
struct s { int a[2][3]; long b; char c; } value;
int main() { return 0; }
EOT
gcc -gctf -o ctf program.c
gcc -g -o dwarf program.c
objdump --ctf=.ctf ctf | grep -E '^ +\[0x[0-9a-f]*\] [abc]: ' | cut -c1-70
LD_LIBRARY_PATH=$(dirname "$folder"/root/usr/lib/*/libmpfr.so.6)
export LD_LIBRARY_PATH
root/usr/bin/gdb --version | head -n 1
for format in dwarf ctf; do
  root/usr/bin/gdb -nx -batch -ex 'ptype struct s' -ex 'p (int)(long)&((struct s *)0)->b' \
    -ex 'p (int)(long)&((struct s *)0)->c' -ex 'p sizeof(struct s)' "$format" |
    tr -s ' \n' ' ' | tee "$format.txt"
  echo
done
grep -q 'int a\[2\]\[3\].*\$1 = 24 \$2 = 32 \$3 = 40' dwarf.txt
grep -q 'int a\[3\]\[2\].*\$1 = 3 \$2 = 4 \$3 = 40' ctf.txt
