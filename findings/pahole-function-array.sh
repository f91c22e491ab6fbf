#!/bin/sh
# pahole 1.24 (1.30 too): prints an array of function pointers as a function that returns an
#   array, which no compiler takes, and a pointer to an array as a pointer to its element.
#   One would guess C, which the rest of the text is, the more so with --compile. "int
#   (*handlers[4])(int)" is printed as "int (*handlers)(int)[4]", and "int (*row)[3]" as a
#   parameter as "int *". (bpftool, from the same BTF, is right about both.)
# Matters: one structure with such a member (tables of handlers are all over drivers) and the
#   header that --compile made of a vmlinux does not compile. Of a pointer to rows one row is
#   lost: p[1] is 4 bytes on, not 12.
# Needs: Debian 12 (apt-get, dpkg-deb), gcc, network. Exits 1 when it has changed.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
apt-get -qq -o APT::Sandbox::User=root download pahole=1.24-4.1 bpftool=7.1.0* libbpf1 libdw1 \
  libelf1
for package in ./*.deb; do dpkg-deb -x "$package" root; done
LD_LIBRARY_PATH=$(dirname "$folder"/root/usr/lib/*/libbpf.so.1)
export LD_LIBRARY_PATH
cat >source.c <<'EOT'
struct table { int (*handlers[4])(int); void (*set)(int (*row)[3]); } table;
EOT
gcc -g -c source.c
root/usr/bin/pahole -J source.o
root/usr/bin/pahole -F btf --compile source.o | tee pahole.h
root/usr/sbin/bpftool btf dump file source.o format c | tee bpftool.h
for header in bpftool pahole; do
  if gcc -fsyntax-only -DBPF_NO_PRESERVE_ACCESS_INDEX -x c "$header.h" 2>"$header.errors"; then
    echo "$header: compiles"
  else
    echo "$header: $(grep -o -m 1 'declared as.*' "$header.errors")"
  fi
done | tee printed
grep -qx 'bpftool: compiles' printed
grep -q '^pahole: .*declared as function returning an array' printed
grep -q '(\*handlers)(int)\[4\];' pahole.h
grep -q '(\*set)(int \*);' pahole.h
grep -q '(\*handlers\[4\])(int);' bpftool.h
