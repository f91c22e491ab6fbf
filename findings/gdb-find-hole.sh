#!/bin/sh
# gdb 13.1 (16.3 too): "find" does not find what lies before memory that is missing.
#   One would guess the matches up to the hole: the warning says that there the search was halted.
#   Memory is taken in pieces of 16,000 bytes, and a piece with one missing byte is given up
#   whole: of two pages of a core with three matches, none is found if the range goes on over the
#   next page, which is not in the core. The same range without that page has all three. The
#   warning's address is the start of the piece, which can be read.
# Matters: a dump is full of holes, and "search from here on" is how one looks for a pointer or a
#   magic number in it. "Pattern not found" is the answer for memory that is there and has it.
#   Search in ranges that end where the core's segments do.
# Needs: Debian 12 (apt-get, dpkg-deb), python3, network. Exits 1 when it has changed.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
apt-get -qq -o APT::Sandbox::User=root download gdb-minimal=13.1-3 libmpfr6 libgmp10 libexpat1 \
  libreadline8 libtinfo6 libncursesw6 libdebuginfod1 libipt2 libxxhash0 libcurl3-gnutls
for package in ./*.deb; do dpkg-deb -x "$package" root; done
LD_LIBRARY_PATH=$(dirname "$folder"/root/usr/lib/*/libmpfr.so.6)
export LD_LIBRARY_PATH
python3 - <<'EOT'
import struct

pages = [b"x".ljust(4096, b"."), b"xx".ljust(4096, b"."), b"x".ljust(4096, b".")]
addresses = [0xFFFF888000000000 + offset for offset in (0, 0x1000, 0x3000)]
note = struct.pack("<III8s", 5, 336, 1, b"CORE") + bytes(336)
header = b"\x7fELF\2\1\1".ljust(16, b"\0")
header += struct.pack("<HHIQQQIHHHHHH", 4, 62, 1, 0, 64, 0, 0, 64, 56, 4, 0, 0, 0)
header += struct.pack("<IIQQQQQQ", 4, 0, 288, 0, 0, len(note), len(note), 4)
for number, address in enumerate(addresses):
    place = (4096 * (number + 1), address, 0, 4096, 4096, 4096)
    header += struct.pack("<IIQQQQQQ", 1, 6, *place)
with open("core", "wb") as file:
    file.write((header + note).ljust(4096, b"\0") + b"".join(pages))
EOT
search() {
  root/usr/bin/gdb -nx -batch -ex "find /b 0xffff888000000000, +$1, 'x'" -c core 2>&1 |
    grep -E '^(0xffff|warning: Unable|.*found)' | tee "found.$1"
}
root/usr/bin/gdb --version | head -n 1
search 0x2000
search 0x3000
search 0x4000
tail -n 1 found.0x2000 | grep -qx '3 patterns found.'
for range in 0x3000 0x4000; do
  grep -q 'at 0xffff888000000000, halting search' "found.$range"
  tail -n 1 "found.$range" | grep -qx 'Pattern not found.'
done
