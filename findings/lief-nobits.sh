#!/bin/sh
# LIEF 1.0.0: the content of .bss is whatever stands in the file at its offset.
#   One would guess nothing, or zeros (pyelftools gives zeros): SHT_NOBITS has no bytes in the
#   file. Section.content returns sh_size bytes from sh_offset on, here GCC's version text of
#   .comment.
# Matters: most of a kernel's variables are in .bss. What looks up an initial value in a vmlinux
#   by symbol and section gets bytes of the next section, without an error.
# Needs: python3, pip, gcc, network. Exits 1 when it has changed.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m pip install -q --no-compile --target "$folder/lib" lief==1.0.0
cd "$folder"
echo 'int unset[100]; int main(void) { return unset[1]; }' >bss.c
gcc -o bss bss.c
PYTHONPATH="$folder/lib" python3 - <<'EOT'
import lief

section = lief.parse("bss").get_section(".bss")
content = bytes(section.content)
with open("bss", "rb") as file:
    there = file.read()[section.file_offset :][: section.size]
print(section.name, section.type, section.size, "bytes, content:", content[:40])
assert section.type == lief.ELF.Section.TYPE.NOBITS
assert content == there and any(content), "it is empty or zero now"
EOT
