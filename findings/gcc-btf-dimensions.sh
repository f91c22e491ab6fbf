#!/bin/sh
# gcc 12.2 -gbtf: writes "int a[2][3]" to BTF as an array of 3 arrays of 2, which is a[3][2].
#   One would guess the nesting of the language and of the BTF documentation: an array of 2
#   elements of type int [3]. GCC 14 has it so. (pahole of that time reads it back to front and
#   shows a[2][3], which hides it: see pahole-btf-dimensions.sh.)
# Matters: the BTF of a module built with -gbtf and that of its kernel, which pahole made, differ
#   on one structure; whoever reads memory by the one finds the wrong element.
# Needs: gcc 12, objcopy, python3. Exits 1 when it has changed.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
gcc=$(command -v gcc-12 || command -v gcc)
"$gcc" -dumpfullversion | tee version
grep -q '^12\.2' version
echo 'int a[2][3];' >matrix.c
"$gcc" -gbtf -c matrix.c
objcopy -O binary --only-section=.BTF --set-section-flags .BTF=alloc matrix.o matrix.btf
python3 - <<'EOT'
import struct

with open("matrix.btf", "rb") as file:
    btf = file.read()
header_length, type_offset, type_length = struct.unpack_from("<3I", btf, 4)
words = struct.unpack_from(f"<{type_length // 4}I", btf, header_length + type_offset)
types, at = [()], 0
while at < len(words):
    kind = words[at + 1] >> 24 & 0x1F
    length = {1: 4, 3: 6, 14: 4, 15: 3 + 3 * (words[at + 1] & 0xFFFF)}[kind]
    types.append(words[at : at + length])
    at += length
variable = next(record for record in types[1:] if record[1] >> 24 == 14)
outer = types[variable[2]]
inner = types[outer[3]]
print(f"int a[2][3] in BTF: an array of {outer[5]} arrays of {inner[5]}")
assert (outer[5], inner[5]) == (3, 2), "the order has changed"
EOT
