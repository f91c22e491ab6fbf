#!/bin/sh
# bpftool 7.1.0 (libbpf 1.1): "btf dump ... format c" writes an enumeration of one byte as an
#   ordinary one, which a compiler makes four bytes.
#   One would guess a packed attribute or a mode, as the size is in BTF and the dump takes care to
#   pad and pack each structure for it. Of "enum hint h; char c; int d" with a packed enum, c is at
#   byte 1 and the size is 8; compiled from the dump c is at 4 and the size is 12. No comment tells.
# Matters: the kernel has such enums since 6.9 (enum rw_hint, "__packed"), in struct inode and
#   struct bio. In a vmlinux.h of 6.12 that this bpftool wrote, struct inode is 632 bytes and not
#   624, and all that embed one (ext4, sockets, proc) have their members moved.
# Needs: Debian 12 (apt-get, dpkg-deb), gcc, network. Exits 1 when it has changed.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
apt-get -qq -o APT::Sandbox::User=root download 'bpftool=7.1.0*' pahole=1.24-4.1 \
  libbpf1 libdw1 libelf1
for package in ./*.deb; do dpkg-deb -x "$package" root; done
LD_LIBRARY_PATH=$(dirname "$folder"/root/usr/lib/*/libbpf.so.1)
export LD_LIBRARY_PATH
cat >original.h <<'EOT'
enum __attribute__((packed)) hint { NONE, SHORT_LIFE = 2, LONG_LIFE = 200 };
struct file { enum hint h; char c; int d; };
EOT
echo 'struct file file;' | cat original.h - >original.c
gcc -g -c original.c
root/usr/bin/pahole -J original.o
root/usr/sbin/bpftool version
root/usr/sbin/bpftool btf dump file original.o | grep "ENUM 'hint'.* size=1 "
root/usr/sbin/bpftool btf dump file original.o format c | grep -v '^#pragma' >copy.h
cat copy.h
cat >print.c <<'EOT'
#include <stddef.h>
#include <stdio.h>
#include HEADER
int main(void) {
  printf("enum %zu, c at %zu, d at %zu, size %zu\n", sizeof(enum hint), offsetof(struct file, c),
         offsetof(struct file, d), sizeof(struct file));
}
EOT
for name in original copy; do
  gcc -DHEADER="\"$name.h\"" print.c -o "$name"
  "./$name" | tee "$name.txt"
done
echo 'enum 1, c at 1, d at 4, size 8' | cmp - original.txt
echo 'enum 4, c at 4, d at 8, size 12' | cmp - copy.txt
