#!/bin/sh
# obj2yaml and yaml2obj of LLVM 14 (19 too): a core file comes back without its memory and notes.
#   One would guess that a text which yaml2obj accepts holds what the file held, as it does for an
#   object file (contents in hexadecimal). What is in no section is left out, and a core has no
#   sections: only the program headers come through. Both exit 0, without a word.
# Matters: YAML is how test data for ELF readers is kept and passed round. The copy of a dump has
#   the right segments, and a size of a few hundred bytes.
# Needs: Debian 12 (apt-get, dpkg-deb), python3, network. Exits 1 when it has changed.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
apt-get -qq -o APT::Sandbox::User=root download llvm-14=1:14.0.6-12 libllvm14=1:14.0.6-12 \
  libedit2 libtinfo6 libxml2 libz3-4 libbsd0
for package in ./*.deb; do dpkg-deb -x "$package" root; done
LD_LIBRARY_PATH=$(dirname "$folder"/root/usr/lib/*/libLLVM-14.so.1)
export LD_LIBRARY_PATH
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
root/usr/lib/llvm-14/bin/obj2yaml vmcore >vmcore.yaml
root/usr/lib/llvm-14/bin/yaml2obj vmcore.yaml -o copy
grep -E 'Type:|Address|VAddr|Addr:' vmcore.yaml
wc -c vmcore copy
grep -q 'Type: .*PT_LOAD' vmcore.yaml
grep -q MMMM vmcore
grep -q OSRELEASE vmcore
if grep -qE 'MMMM|OSRELEASE' copy; then exit 1; fi
