#!/bin/sh
# GNU objcopy and strip 2.40: a core file is copied without its memory and its notes.
#   One would guess the same bytes again (which is what llvm-objcopy 19 writes), or a refusal: a
#   core has no sections to work on. Both exit 0. The copy is an ELF core with the same segments,
#   of which each has a length of 0 in the file and in memory; "allocated section not in segment"
#   is a warning, and the bytes lie in sections that a core has not.
# Matters: a sweep with strip over a folder, or objcopy to compress or convert, leaves a vmcore
#   that every reader opens and that holds nothing.
# Needs: GNU objcopy and strip, readelf, python3. Exits 1 when it has changed.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 - <<'EOT'
import struct

text = b"OSRELEASE=6.12.10\nPAGESIZE=4096\n"
note = struct.pack("<III12s", 11, len(text), 0, b"VMCOREINFO") + text
start = 64 + 2 * 56
header = b"\x7fELF\2\1\1".ljust(16, b"\0")
header += struct.pack("<HHIQQQIHHHHHH", 4, 62, 1, 0, 64, 0, 0, 64, 56, 2, 0, 0, 0)
header += struct.pack("<IIQQQQQQ", 4, 0, start, 0, 0, len(note), len(note), 4)
place = (start + len(note), 0xFFFFFFFF81000000, 0x1000000)
header += struct.pack("<IIQQQQQQ", 1, 7, *place, 4096, 4096, 0)
with open("vmcore", "wb") as file:
    file.write(header + note + b"M" * 4096)
EOT
segments() {
  readelf -lW "$1" | awk '$1 == "NOTE" || $1 == "LOAD" { print $1, $3, $5, $6 }'
}
objcopy --version | head -n 1
segments vmcore | tee before
[ "$(cut -d ' ' -f 4 before | tr '\n' ' ')" = "0x000038 0x001000 " ]
objcopy vmcore copied
strip -o stripped vmcore
for copy in copied stripped; do
  echo "$copy:"
  readelf -h "$copy" | grep 'Type:.*CORE'
  segments "$copy" | tee after
  [ "$(cut -d ' ' -f 3,4 after | sort -u)" = "0x000000 0x000000" ]
done
