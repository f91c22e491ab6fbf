#!/bin/sh
# GNU readelf 2.40 (not 2.44): shows no mapped file of a 64-bit core, being "a 32-bit build".
#   One would guess a table of the NT_FILE note: this is Debian's readelf for x86-64, and the line
#   that it prints for the note says "mapped files". Under it stands "Cannot decode 64-bit note in
#   32-bit build", for cores of the kernel and of gdb alike. eu-readelf shows the files.
# Matters: the note is what says which file, at which offset, was at an address: the way from a
#   process's core to its debug information. The text makes one look for another readelf, or blame
#   the machine.
# Needs: Debian 12 on x86-64 (apt-get, dpkg-deb), python3, network. Exits 1 when it has changed.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
apt-get -qq -o APT::Sandbox::User=root download binutils-x86-64-linux-gnu=2.40-2 \
  libbinutils=2.40-2 libctf-nobfd0=2.40-2 elfutils=0.188-2.1 libelf1 libdw1 libasm1
for package in ./*.deb; do dpkg-deb -x "$package" root; done
LD_LIBRARY_PATH=$folder/root/usr/lib/x86_64-linux-gnu
export LD_LIBRARY_PATH
python3 - <<'EOT'
import struct

files = [(0x400000, 0x401000, 0, b"/bin/one"), (0x500000, 0x502000, 3, b"/lib/other")]
text = struct.pack("<QQ", len(files), 4096)
text += b"".join(struct.pack("<QQQ", *file[:3]) for file in files)
text += b"".join(file[3] + b"\0" for file in files)
note = struct.pack("<III8s", 5, len(text), 0x46494C45, b"CORE") + text
note += bytes(-len(note) % 4)
header = b"\x7fELF\2\1\1".ljust(16, b"\0")
header += struct.pack("<HHIQQQIHHHHHH", 4, 62, 1, 0, 64, 0, 0, 64, 56, 1, 0, 0, 0)
header += struct.pack("<IIQQQQQQ", 4, 0, 120, 0, 0, len(note), len(note), 4)
with open("core", "wb") as file:
    file.write(header + note)
EOT
root/usr/bin/x86_64-linux-gnu-readelf --version | head -n 1
root/usr/bin/eu-readelf -n core | tee elfutils
root/usr/bin/x86_64-linux-gnu-readelf -n core | tee binutils
grep -q '00500000-00502000 00003000 8192 */lib/other' elfutils
grep -q 'Cannot decode 64-bit note in 32-bit build' binutils
if grep -q /lib/other binutils; then exit 1; fi
