#!/bin/sh
# gdb 13.1: "ptype/o" shows padding in a union that has none, if the union is not at the beginning
#   of the structure.
#   One would guess no padding where the largest member is as long as the union. What is shown is
#   the union's size less the place where it begins: of "int x; union { int a; int b[2]; }" it is
#   "4-byte padding" of 8 bytes that b fills. At offset 8 the same union has none. One of 8 bytes
#   that really has 3 of padding is shown with 4 at offset 4, and with none at offset 8.
# Matters: sizes and offsets beside it are right, so that the comment is believed. It is used to
#   tell which bytes of a kernel structure hold nothing, and what stands there is then a member's.
# Needs: Debian 12 (apt-get, dpkg-deb), gcc, network. Exits 1 when it has changed.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
apt-get -qq -o APT::Sandbox::User=root download gdb-minimal=13.1-3 libmpfr6 libgmp10 libexpat1 \
  libreadline8 libtinfo6 libncursesw6 libdebuginfod1 libipt2 libxxhash0 libcurl3-gnutls
for package in ./*.deb; do dpkg-deb -x "$package" root; done
LD_LIBRARY_PATH=$(dirname "$folder"/root/usr/lib/*/libmpfr.so.6)
export LD_LIBRARY_PATH
cat >unions.c <<'EOT'
struct at4 { int x; union { int a; int b[2]; } u; int y; } at4;
struct at8 { int x, z; union { int a; int b[2]; } u; } at8;
struct padded4 { int x; union { int a; char b[5]; } u; } padded4;
struct padded8 { int x, z; union { int a; char b[5]; } u; } padded8;
EOT
gcc -g -c unions.c
root/usr/bin/gdb --version | head -n 1
for name in at4 at8 padded4 padded8; do
  root/usr/bin/gdb -nx -q -batch -ex "ptype/o struct $name" unions.o | tee text
  echo "$name: $(grep -o '[0-9]*-byte padding' text || echo none)" >>seen
done
cat seen
cmp - seen <<'EOT'
at4: 4-byte padding
at8: none
padded4: 4-byte padding
padded8: none
EOT
