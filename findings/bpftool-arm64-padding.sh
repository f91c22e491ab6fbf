#!/bin/sh
# bpftool 7.1.0 (libbpf 1.1; 7.5.0 with 1.5 does the same): "btf dump ... format c" closes gaps
#   with unnamed bit-fields ("long: 0;"), and those align the structure that they are in on arm64.
#   One would guess that a header which gives the right layout to x86-64 and to BPF gives it to every
#   64-bit machine. A structure of 28 bytes, aligned to 4, has 32 and is aligned to 8 in what
#   aarch64 compiles from the dump; from the original it has 28 there, too. Nothing is said.
# Matters: arrays of it, and whatever embeds it, are laid out otherwise than in memory. In a
#   vmlinux.h of Linux 6.12 for x86-64 struct compat_fs_quota_stat is one (72 bytes for 68).
# Needs: Debian 12 (apt-get, dpkg-deb), gcc, network. Exits 1 when it has changed.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
apt-get -qq -o APT::Sandbox::User=root download 'bpftool=7.1.0*' pahole=1.24-4.1 \
  libbpf1 libdw1 libelf1 clang-14=1:14.0.6-12 libclang-cpp14=1:14.0.6-12 libllvm14=1:14.0.6-12
for package in ./*.deb; do dpkg-deb -x "$package" root; done
LD_LIBRARY_PATH=$(dirname "$folder"/root/usr/lib/*/libbpf.so.1)
export LD_LIBRARY_PATH
cat >original.h <<'EOT'
typedef unsigned int u32;
typedef unsigned long long u64;
struct in { u64 a; u32 b; } __attribute__((packed));
struct out { u32 c; unsigned char d; struct in x __attribute__((aligned(4))); u32 y, z; };
EOT
echo 'struct out out;' | cat original.h - >original.c
gcc -g -c original.c
root/usr/bin/pahole -J original.o
root/usr/sbin/bpftool version
root/usr/sbin/bpftool btf dump file original.o format c | grep -v '^#pragma' >copy.h
grep -A 7 '^struct out {' copy.h
for name in original copy; do
  for target in x86_64-linux-gnu bpf aarch64-linux-gnu; do
    for size in 28 32; do
      printf '#include "%s.h"\n_Static_assert(sizeof(struct out) == %s, "");\n' "$name" "$size" >size.c
      if root/usr/lib/llvm-14/bin/clang -target "$target" -fsyntax-only size.c 2>/dev/null; then
        echo "$name $target $size"
      fi
    done
  done
done | tee sizes
cat >expected <<'EOT'
original x86_64-linux-gnu 28
original bpf 28
original aarch64-linux-gnu 28
copy x86_64-linux-gnu 28
copy bpf 28
copy aarch64-linux-gnu 32
EOT
cmp sizes expected
