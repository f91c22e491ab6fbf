#!/bin/sh
# pahole 1.24 (1.30 too, not 1.32): reads the dimensions of an array in BTF back to front. BTF has
#   "int a[2][3]" as an array of 2 arrays of 3: clang, GCC 14 for BPF, libbpf and bpftool agree on
#   that. One would guess that the tool which writes most of the world's BTF does too: it prints
#   a[3][2]. It went unseen as pahole itself flattened arrays to a[6] until lately; 1.32 writes
#   them as they are, and reads them right.
# Matters: BTF of a kernel built with a new pahole, looked at with a distribution's older one, has
#   matrices transposed: the size is right, every index is wrong.
# Needs: Debian 12 (apt-get, dpkg-deb), python3, network. Exits 1 when it has changed.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
apt-get -qq -o APT::Sandbox::User=root download pahole=1.24-4.1 libbpf1 libdw1 libelf1
for package in ./*.deb; do dpkg-deb -x "$package" root; done
LD_LIBRARY_PATH=$(dirname "$folder"/root/usr/lib/*/libbpf.so.1)
export LD_LIBRARY_PATH
python3 - <<'EOT'
import struct

INT, ARRAY, STRUCT = (kind << 24 for kind in (1, 3, 4))
strings = b"\0int\0matrix\0a\0"
types = struct.pack("<4I", 1, INT, 4, 1 << 24 | 32)  # [1] int
types += struct.pack("<6I", 0, ARRAY, 0, 1, 1, 3)  # [2] int [3]
types += struct.pack("<6I", 0, ARRAY, 0, 2, 1, 2)  # [3] int [2][3]
types += struct.pack("<6I", 5, STRUCT | 1, 24, 12, 3, 0)  # struct matrix { int a[2][3]; }
header = struct.pack("<HBBIIIII", 0xEB9F, 1, 0, 24, 0, len(types), len(types), len(strings))
with open("matrix.btf", "wb") as file:
    file.write(header + types + strings)
EOT
echo "BTF: an array of 2 arrays of 3 int"
root/usr/bin/pahole -F btf -C matrix matrix.btf | tee printed
grep -q 'a\[3\]\[2\]' printed
