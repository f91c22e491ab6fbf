#!/bin/sh
# pahole 1.24 with elfutils 0.188 (Debian 12): "pahole -J" on a module whose debug information is
#   compressed with zstd writes no BTF, says nothing and exits 0.
#   One would guess that it reads it, as it does with zlib, or an error: libdw has to decompress
#   each section, and tells pahole that it cannot. Without -J, "pahole" prints nothing and exits
#   0, and "pahole -C t5" says that there is no such type. objcopy of the same distribution (2.40)
#   makes such files, and gdb reads them.
# Matters: kernels are built so (CONFIG_DEBUG_INFO_COMPRESSED_ZSTD). A build step that adds BTF
#   succeeds and has added none, and "type not found" looks like a type that was renamed. objcopy
#   --decompress-debug-sections first.
# Needs: Debian 12 on x86-64 (apt-get, dpkg-deb), gcc, network. Exits 1 when it has changed.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
apt-get -qq -o APT::Sandbox::User=root download pahole=1.24-4.1 libbpf1 libdw1=0.188-2.1 \
  libelf1=0.188-2.1 binutils-x86-64-linux-gnu=2.40-2 libbinutils=2.40-2 libctf-nobfd0=2.40-2 \
  libctf0=2.40-2 libjansson4
for package in ./*.deb; do dpkg-deb -x "$package" root; done
LD_LIBRARY_PATH=$folder/root/usr/lib/x86_64-linux-gnu
export LD_LIBRARY_PATH
objcopy=root/usr/bin/x86_64-linux-gnu-objcopy
for i in $(seq 200); do # so much that compressing it makes it smaller
  echo "struct t$i { int member_$i; long other_$i; } v$i;"
done >module.c
gcc -g -c module.c
for kind in zlib zstd; do
  "$objcopy" --compress-debug-sections=$kind module.o $kind.o
  readelf -SW $kind.o | grep -q ' \.debug_info .* C '
  shown=$(root/usr/bin/pahole $kind.o | grep -c '^struct' || :)
  type=$(root/usr/bin/pahole -C t5 $kind.o 2>&1 | head -n 1)
  status=0
  root/usr/bin/pahole -J $kind.o >>said 2>&1 || status=$?
  encoded=$(readelf -SW $kind.o | grep -c ' \.BTF ' || :)
  echo "$kind: $shown structures; $type; -J exits $status, .BTF sections: $encoded"
done | tee printed
[ ! -s said ]
grep -qx 'zlib: 200 structures; struct t5 {; -J exits 0, .BTF sections: 1' printed
grep -qx "zstd: 0 structures; pahole: type 't5' not found; -J exits 0, .BTF sections: 0" printed
