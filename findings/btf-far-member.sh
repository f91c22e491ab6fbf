#!/bin/sh
# pahole 1.24 (1.30 too) and gcc 12.2 -gbtf: in a structure with a bit field, each member from
#   2 MiB on is written to BTF as a bit field at another place.
#   One would guess a right offset, or an error: the structure's size and its members before that
#   are right, and without the bit field all are. Where one member is a bit field, BTF keeps 24
#   bits for each member's offset (in bits) and 8 for its width. Neither writer looks whether 24
#   are enough: an int at byte 3145732 is an "int : 1" at 1048580. bpftool and pahole show it so.
# Matters: the BTF is valid, and nothing tells this member from a true bit field but that it lies
#   inside the one before. Reading a dump by it gives bit 0 of another member's memory. Drivers'
#   private structures with large tables in them are that long.
# Needs: Debian 12 (apt-get, dpkg-deb), gcc 12, network. Exits 1 when it has changed.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
apt-get -qq -o APT::Sandbox::User=root download pahole=1.24-4.1 bpftool=7.1.0* libbpf1 \
  libdw1 libelf1
for package in ./*.deb; do dpkg-deb -x "$package" root; done
LD_LIBRARY_PATH=$(dirname "$folder"/root/usr/lib/*/libbpf.so.1)
export LD_LIBRARY_PATH
gcc=$(command -v gcc-12 || command -v gcc)
"$gcc" -dumpfullversion | tee version
grep -q '^12\.' version
cat >far.c <<'EOT'
struct far { unsigned flag : 1; char table[3 << 20]; int behind; } far;
struct plain { unsigned flag; char table[3 << 20]; int behind; } plain;
_Static_assert(__builtin_offsetof(struct far, behind) == 3145732, "offset");
EOT
"$gcc" -g -c far.c -o pahole.o
root/usr/bin/pahole -J pahole.o
"$gcc" -gbtf -c far.c -o gcc.o
for writer in pahole gcc; do
  root/usr/sbin/bpftool btf dump file "$writer.o" | grep -A3 '^\[.*STRUCT' | tee "$writer"
  grep -q "'behind' .* bits_offset=8388640 bitfield_size=1$" "$writer"
  grep -q "'behind' .* bits_offset=25165856$" "$writer"
done
