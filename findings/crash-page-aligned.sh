#!/bin/sh
# crash 8.0.2 (8.0.6 too): an ELF dump whose memory is page-aligned, and says so, has no
#   VMCOREINFO.
#   One would guess that p_align, which only a loader needs, does not matter to a reader of a
#   core. crash takes a first PT_LOAD with a p_align other than 0, at a page-aligned file offset,
#   for a netdump file, a format of 2002: "crash --osrelease" says "unknown", --log "no VMCOREINFO
#   data". The same file with a p_align of 0, or its memory moved by four bytes (which p_align
#   then forbids), has its release.
# Matters: the layout that the ELF specification asks for is the one that fails, and linkers and
#   ELF libraries write it by themselves. The kernel's and QEMU's dumps have 0 there: a converter
#   should too.
# Needs: Debian 12 (apt-get, dpkg-deb), python3, network. Exits 1 when it has changed.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
apt-get -qq -o APT::Sandbox::User=root download crash=8.0.2-1 liblzo2-2 libsnappy1v5 libzstd1 \
  libncursesw6 libtinfo6
for package in ./*.deb; do dpkg-deb -x "$package" root; done
python3 - <<'EOT'
import struct

info = b"OSRELEASE=6.12.0-made\nPAGESIZE=4096\n".ljust(40, b"\n")
notes = struct.pack("<III8s", 5, 336, 1, b"CORE") + bytes(336)
notes += struct.pack("<III12s", 11, len(info), 0, b"VMCOREINFO") + info
for name, align, offset in (("zero", 0, 4096), ("page", 4096, 4096), ("moved", 4096, 4100)):
    header = b"\x7fELF\2\1\1".ljust(16, b"\0")
    header += struct.pack("<HHIQQQIHHHHHH", 4, 62, 1, 0, 64, 0, 0, 64, 56, 2, 0, 0, 0)
    header += struct.pack("<IIQQQQQQ", 4, 0, 176, 0, 0, len(notes), len(notes), 0)
    place = (offset, 0xFFFFFFFF81000000, 0x1000000, 8192, 8192)
    header += struct.pack("<IIQQQQQQ", 1, 7, *place, align)
    with open(f"{name}.vmcore", "wb") as file:
        file.write((header + notes).ljust(offset, b"\0") + bytes(8192))
EOT
LD_LIBRARY_PATH=$(echo "$folder"/root/usr/lib/*-linux-gnu):$(echo "$folder"/root/lib/*-linux-gnu)
export LD_LIBRARY_PATH
root/usr/bin/crash --version | sed -n 2p
for name in zero page moved; do
  echo "$name: $(root/usr/bin/crash --osrelease "$name.vmcore" || :)" | tee -a printed
done
printf 'zero: 6.12.0-made\npage: unknown\nmoved: 6.12.0-made\n' >expected
cmp printed expected
