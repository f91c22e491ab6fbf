#!/bin/sh
# GNU objcopy 2.40: --update-section with longer content, in a linked file, writes a file whose
#   next sections are not where they are loaded from, and exits 0.
#   One would guess a refusal, which is what llvm-objcopy has ("cannot fit data"): the addresses
#   behind are taken. objcopy moves the following sections in the file, keeps their addresses and
#   the segment, and says "lma adjusted". The address of each such section now has other bytes.
# Matters: a vmlinux's .BTF is such a section, and --update-section is how one would put a better
#   one in. The section tables look right, and readers by section find everything; a loader, and
#   each reader by address, gets BTF where the following data was.
# Needs: gcc, GNU objcopy, python3. Exits 1 when it has changed.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
objcopy --version | head -n 1
cat >program.c <<'EOT'
__attribute__((section(".BTF"), aligned(16))) const char types[16] = "0123456789abcde";
__attribute__((section(".data_behind"), aligned(16))) const char behind[16] = "behind";
int main(void) { return types[0] + behind[0]; }
EOT
gcc -no-pie -o program program.c 2>/dev/null
printf '%064d' 0 >longer
objcopy --update-section .BTF=longer program updated 2>said
grep 'section .data_behind lma .* adjusted' said
python3 - <<'EOT'
import struct


def read(path):
    """Return where .data_behind is by section and what is there by section and by segment."""
    with open(path, "rb") as file:
        image = file.read()
    (phoff, shoff) = struct.unpack_from("<QQ", image, 32)
    (phnum, _, shnum, strings) = struct.unpack_from("<4H", image, 56)
    headers = [struct.unpack_from("<IIQQQQ", image, shoff + 64 * i) for i in range(shnum)]
    names = headers[strings][4]
    for header in headers:
        start = names + header[0]
        if image[start : image.index(b"\0", start)] == b".data_behind":
            _, _, _, address, offset, size = header
    for i in range(phnum):
        kind, _, start, virtual, _, length = struct.unpack_from("<IIQQQQ", image, phoff + 56 * i)
        if kind == 1 and virtual <= address < virtual + length:
            loaded = start + address - virtual
    return address, image[offset : offset + 6], image[loaded : loaded + 6]


before, after = read("program"), read("updated")
print("before: address, by section, by segment:", hex(before[0]), *before[1:])
print("after :", hex(after[0]), *after[1:])
assert before[1:] == (b"behind", b"behind")
assert after == (before[0], b"behind", b"000000"), "the rest of the file has changed"
EOT
