#!/bin/sh
# LIEF 1.0.0: of an ELF file with more than 10,000 segments only the first 10,000 exist, silently.
#   One would guess all of them, or 65,535 where the count is in section 0 (PN_XNUM), or an error.
#   Here a core has 12,000 (an ordinary e_phnum): len(segments) is 10,000, parse() reports
#   success, and an address of the last segment has no content.
# Matters: a dump of a machine with much or scattered memory, or one written with paging on, has
#   that many PT_LOADs. Memory that is in the file is then taken for not dumped.
# Needs: python3, pip, network. Exits 1 when it has changed.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m pip install -q --no-compile --target "$folder/lib" lief==1.0.0
PYTHONPATH="$folder/lib" python3 - "$folder/core" <<'EOT'
import struct
import sys

import lief

COUNT, BASE = 12_000, 0xFFFF888000000000
header = b"\x7fELF\2\1\1".ljust(16, b"\0")
header += struct.pack("<HHIQQQIHHHHHH", 4, 62, 1, 0, 64, 0, 0, 64, 56, COUNT, 0, 0, 0)
data = 64 + 56 * COUNT
segments = (
    struct.pack("<IIQQQQQQ", 1, 7, data + 16 * i, BASE + 4096 * i, 4096 * i, 16, 16, 0)
    for i in range(COUNT)
)
with open(sys.argv[1], "wb") as file:
    file.write(header + b"".join(segments) + b"A" * 16 * COUNT)
core = lief.parse(sys.argv[1])
found = len(core.segments)
contents = [
    bytes(core.get_content_from_virtual_address(BASE + 4096 * i, 4)) for i in (0, COUNT - 1)
]
print("segments:", core.header.numberof_segments, "in the header,", found, "found")
print("content of the first and the last:", contents)
assert (core.header.numberof_segments, found) == (COUNT, 10_000), "the limit has changed"
assert contents == [b"AAAA", b""], "the last segment is found now"
EOT
