#!/bin/sh
# pahole 1.24: --reorganize may put a member at an address that is not aligned for it, and count
#   that as saved.
#   One would guess an order of the members in which each has its natural alignment: the option is
#   there "to kill holes", and what it prints is what one puts into the source. Of three longs with
#   chars and a short between them, the short is put at byte 3 of a structure that is __packed__
#   now, "saved 24 bytes", though with the short in front the same 32 bytes need no packing. With a
#   fourth long there is no attribute, and the short is said to be at byte 3 all the same: a
#   compiler puts it at 4.
# Matters: packed makes each access to the structure one of unknown alignment, and a pointer to the
#   short is what alignment checks complain of. The attribute stands behind the last brace, and
#   it is not said that it is new; offsets that no compiler gives are not told from right ones.
# Needs: Debian 12 (apt-get, dpkg-deb), gcc, network. Exits 1 when it has changed.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
apt-get -qq -o APT::Sandbox::User=root download pahole=1.24-4.1 libbpf1 libdw1 libelf1
for package in ./*.deb; do dpkg-deb -x "$package" root; done
LD_LIBRARY_PATH=$(dirname "$folder"/root/usr/lib/*/libbpf.so.1)
export LD_LIBRARY_PATH
cat >spread.c <<'EOT'
struct three { char a; long u; char b; long t; char c; long v; char d[3]; short e; } three;
struct four { char a; long u; char b; long t; char c; long v; char d[3]; short e; long w; } four;
EOT
gcc -g -c spread.c
root/usr/bin/pahole --version
root/usr/bin/pahole spread.o >before
if grep -q packed before; then exit 1; fi
for name in three four; do
  root/usr/bin/pahole --reorganize -C "$name" spread.o | tee "$name"
  grep -qE 'short int +e; +/\* +3 +2 \*/' "$name"
done
grep -qE '} __attribute__\(\(__packed__\)\);.*saved 24 bytes' three
if grep -q packed four; then exit 1; fi
cat >orders.c <<'EOT'
#include <stddef.h>
#include <stdio.h>
struct three { char a, b, c; short e; char d[3]; long u, t, v; };
struct better { short e; char a, b, c, d[3]; long u, t, v; };
struct four { char a, b, c; short e; char d[3]; long u, t, v, w; };
#define T struct
#define SHOW(type) printf(#type ": e at %zu of %zu\n", offsetof(T type, e), sizeof(T type))
int main(void) { SHOW(three); SHOW(better); SHOW(four); }
EOT
gcc -o orders orders.c
./orders | tee seen
printf '%s: e at %s of %s\n' three 4 40 better 0 32 four 4 48 | cmp - seen
