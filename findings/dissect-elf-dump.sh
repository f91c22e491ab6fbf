#!/bin/sh
# dissect.executable 1.11: ELF.dump() of a core or of a module's file has no ELF header.
#   One would guess the same bytes, as nothing was changed, and that is what an executable gives.
#   What is written are segments, sections and their tables. An executable's first segment begins
#   with the header; in a core or a relocatable file nothing covers it, and the 64 bytes are zeros.
# Matters: dump() is for a file whose segments or sections were patched. The length is right, the
#   memory is there, and no reader opens it: neither readelf nor ELF() itself.
# Needs: python3, pip, gcc, network. Exits 1 when it has changed.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m pip install -q --no-compile --target "$folder/lib" dissect.executable==1.11 \
  dissect.cstruct==4.7
cd "$folder"
echo 'int main(void) { return 0; }' >program.c
gcc -o program program.c
gcc -c -o object program.c
PYTHONPATH="$folder/lib" python3 - <<'EOT'
import struct
from io import BytesIO

from dissect.executable import ELF

text = b"OSRELEASE=6.12.10\nPAGESIZE=4096\n"
note = struct.pack("<III12s", 11, len(text), 0, b"VMCOREINFO") + text
header = b"\x7fELF\2\1\1".ljust(16, b"\0")
header += struct.pack("<HHIQQQIHHHHHH", 4, 62, 1, 0, 64, 0, 0, 64, 56, 2, 0, 0, 0)
header += struct.pack("<IIQQQQQQ", 4, 0, 176, 0, 0, len(note), len(note), 4)
place = (4096, 0xFFFFFFFF81000000, 0x1000000, 4096, 4096, 4096)
header += struct.pack("<IIQQQQQQ", 1, 7, *place)
with open("core", "wb") as file:
    file.write((header + note).ljust(4096, b"\0") + b"M" * 4096)
for name in ("program", "object", "core"):
    with open(name, "rb") as file:
        data = file.read()
    copy = ELF(BytesIO(data)).dump()
    print(f"{name:8} {len(data)} {len(copy)} {copy[:4]!r} header kept: {copy[:64] == data[:64]}")
    assert len(copy) == len(data)
    if name == "program":
        assert copy[:64] == data[:64]
    else:
        assert copy[:64] == bytes(64), "the header is kept now"
        assert copy[64:] == data[64:]
EOT
