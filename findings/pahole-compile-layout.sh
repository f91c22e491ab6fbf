#!/bin/sh
# pahole 1.24 (1.30 too): what --compile writes for a packed structure with an alignment compiles
#   to another layout.
#   One would guess the same layout or a compiler's error: the option exists to make a header for
#   the compiler, and the comments in it have the right offsets. A structure that is packed and
#   aligned(4) comes out as aligned(4) only: "long key" is at 1 in the comment, at 8 for the
#   compiler, and the size 16 instead of 12. (bpftool's header is right.)
# Matters: "__packed __aligned(2)" and the like is what headers of network packets and hardware
#   descriptors are declared with in the kernel. A program built on such a header reads them, and
#   all structures that contain them, wrong.
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
struct header { char kind; long key; } __attribute__((packed, aligned(4)));
struct header header;
EOT
gcc -g -c source.c
root/usr/bin/pahole -J source.o
root/usr/bin/pahole -F btf --compile source.o | tee pahole.h
root/usr/sbin/bpftool btf dump file source.o format c >bpftool.h
cat >print.c <<'EOT'
#include <stddef.h>
#include <stdio.h>
#include HEADER
int main(void) {
  printf("key at %zu of %zu\n", offsetof(struct header, key), sizeof(struct header));
}
EOT
head -n 1 source.c >source.h
for header in source bpftool pahole; do
  gcc -DHEADER="\"$header.h\"" -DBPF_NO_PRESERVE_ACCESS_INDEX print.c -o print
  echo "$header: $(./print)"
done | tee printed
printf 'source: key at 1 of 12\nbpftool: key at 1 of 12\npahole: key at 8 of 16\n' | cmp - printed
