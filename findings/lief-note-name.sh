#!/bin/sh
# LIEF 1.0.0: the name of a note of a type it does not know ends in a NUL byte.
#   One would guess that Note.name is "VMCOREINFO": a "CORE" note of the same file has no NUL. But
#   it is "VMCOREINFO\0", so that note.name == "VMCOREINFO" is never true.
# Matters: that note is what names the kernel of an ELF dump. A look-up by name finds it missing.
# Needs: python3, pip, network. Exits 1 when it has changed.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m pip install -q --no-compile --target "$folder/lib" lief==1.0.0
PYTHONPATH="$folder/lib" python3 - "$folder/core" <<'EOT'
import struct
import sys

import lief


def note(name, kind, data):
    header = struct.pack("<III", len(name) + 1, len(data), kind)
    return header + name + b"\0" * (4 - len(name) % 4) + data + b"\0" * (-len(data) % 4)


notes = note(b"CORE", 1, bytes(336)) + note(b"VMCOREINFO", 0, b"OSRELEASE=6.12.0\nPAGESIZE=4096\n")
header = b"\x7fELF\2\1\1".ljust(16, b"\0")
header += struct.pack("<HHIQQQIHHHHHH", 4, 62, 1, 0, 64, 0, 0, 64, 56, 1, 0, 0, 0)
segment = struct.pack("<IIQQQQQQ", 4, 0, 120, 0, 0, len(notes), len(notes), 4)
with open(sys.argv[1], "wb") as file:
    file.write(header + segment + notes)
core = lief.parse(sys.argv[1])
names = [note.name for note in core.notes]
print("names:", names)
assert names == ["CORE", "VMCOREINFO\0"], "the names have changed"
EOT
