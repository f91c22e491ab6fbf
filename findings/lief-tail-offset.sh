#!/bin/sh
# LIEF 1.0.0: virtual_address_to_offset() answers for memory that is not in the file.
#   One would guess an error for an address between p_filesz and p_memsz, as for one in no
#   segment. It returns the offset where the bytes would be, and there the file has the next
#   segment's.
# Matters: a vmlinux has its .bss there, a filtered ELF dump its left-out pages. What seeks to
#   that offset reads another page's data as this one's. (get_content_from_virtual_address() is
#   right: it returns nothing.)
# Needs: python3, pip, network. Exits 1 when it has changed.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m pip install -q --no-compile --target "$folder/lib" lief==1.0.0
PYTHONPATH="$folder/lib" python3 - "$folder/core" <<'EOT'
import struct
import sys

import lief

BASE = 0xFFFFFFFF81000000
header = b"\x7fELF\2\1\1".ljust(16, b"\0")
header += struct.pack("<HHIQQQIHHHHHH", 4, 62, 1, 0, 64, 0, 0, 64, 56, 2, 0, 0, 0)
half = struct.pack("<IIQQQQQQ", 1, 7, 176, BASE, 0x1000000, 256, 4096, 0)
full = struct.pack("<IIQQQQQQ", 1, 7, 432, BASE + 65536, 0x3000000, 4096, 4096, 0)
data = header + half + full + b"A" * 256 + b"C" * 4096
with open(sys.argv[1], "wb") as file:
    file.write(data)
core = lief.parse(sys.argv[1])
tail, hole = (core.virtual_address_to_offset(BASE + distance) for distance in (512, 8192))
content = bytes(core.get_content_from_virtual_address(BASE + 512, 4))
print("in p_memsz only: offset", tail, "where the file has", data[tail : tail + 4], end="; ")
print("content:", content)
print("in no segment  :", hole)
assert data[tail : tail + 4] == b"CCCC", "there is no offset now"
assert content == b"" and not isinstance(hole, int)
EOT
