#!/bin/sh
# abidiff 2.2 (Debian 12): of two libraries whose debug information is compressed with zstd it
#   says that nothing has changed, and exits 0, whatever has.
#   One would guess the difference, or an error: a member of the structure that an exported
#   function takes has moved. Uncompressed, with zlib, and after dwz it is found, and the status
#   is 4. With zstd libdw 0.188 reads nothing, and abidiff goes on with symbols only, which it
#   does not say. abidw writes a description without one structure.
# Matters: the status is what build jobs go by, for libraries and for a kernel's list of stable
#   symbols alike. One compiler option, or objcopy of the same distribution, turns such a check
#   off. (2.6 of Debian 13 sees the change.)
# Needs: Debian 12 on x86-64 (apt-get, dpkg-deb), gcc, objcopy 2.40, network. Exits 1 when it has
#   changed.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
apt-get -qq -o APT::Sandbox::User=root download abigail-tools=2.2-2 libabigail0=2.2-2 libxml2 \
  libctf0=2.40-2 libbinutils=2.40-2 libjansson4 libicu72 libdw1=0.188-2.1 libelf1=0.188-2.1
for package in ./*.deb; do dpkg-deb -x "$package" root; done
tool() {
  name=$1
  shift
  LD_LIBRARY_PATH=$folder/root/usr/lib/x86_64-linux-gnu "root/usr/bin/$name" "$@"
}
for order in 'int a; int b' 'int b; int a'; do
  echo "struct api { $order; long c[3]; }; int use(struct api *p) { return p->b; }"
  for i in $(seq 60); do # so much that compressing it makes it smaller
    echo "struct t$i { int member_$i; long other_$i; } v$i;"
  done
done >source.c
split -l 61 source.c part.
for part in part.aa part.ab; do
  gcc -x c -g -shared -fPIC "$part" -o "none.$part"
  for kind in zlib zstd; do
    objcopy --compress-debug-sections=$kind "none.$part" "$kind.$part"
    readelf -SW "$kind.$part" | grep -q ' \.debug_info .* C '
  done
done
for kind in none zlib zstd; do
  status=0
  tool abidiff "$kind.part.aa" "$kind.part.ab" >said 2>&1 || status=$?
  structures=$(tool abidw "$kind.part.aa" | grep -c '<class-decl' || :)
  found=$(grep -c "'int b' offset changed" said || :)
  echo "$kind: status $status, $(wc -l <said) lines, moved members: $found, abidw: $structures"
done | tee printed
for kind in none zlib; do
  grep -q "^$kind: status 4, [1-9][0-9]* lines, moved members: 1, abidw: [1-9]" printed
done
grep -qx 'zstd: status 0, 0 lines, moved members: 0, abidw: 0' printed
