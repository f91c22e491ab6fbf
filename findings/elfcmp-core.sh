#!/bin/sh
# elfutils 0.188: eu-elfcmp calls two core files equal whose memory, registers and notes' text
#   differ.
#   One would guess a difference, or a refusal: it takes cores, and says where their program
#   headers differ. What it compares are sections, of which a core has none. Of segments only the
#   headers count, so that a note more is a difference and another note of the same length is none.
# Matters: it is the tool that tells whether two ELF files are the same to those who use them, with
#   a status for scripts. Two dumps of one machine are "equal", of whatever minute they are, and so
#   is a copy whose memory was damaged on its way.
# Needs: Debian 12 (apt-get, dpkg-deb), python3, network. Exits 1 when it has changed.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
apt-get -qq -o APT::Sandbox::User=root download elfutils=0.188-2.1 libdw1 libelf1 libasm1
for package in ./*.deb; do dpkg-deb -x "$package" root; done
LD_LIBRARY_PATH=$(dirname "$folder"/root/usr/lib/*/libelf.so.1)
export LD_LIBRARY_PATH
python3 - <<'EOT'
import struct


def write(path, memory=b"M" * 4096, tasks=(5, 6), release=b"6.12.10"):
    notes = b""
    for task in tasks:
        status = bytearray(336)
        struct.pack_into("<I", status, 32, task)  # pr_pid
        struct.pack_into("<Q", status, 112 + 8 * 16, 0xFFFFFFFF81000000 + task)  # rip
        notes += struct.pack("<III8s", 5, len(status), 1, b"CORE") + status
    text = b"OSRELEASE=" + release + b"\nPAGESIZE=4096\n\n"
    text += b"\n" * (-len(text) % 4)
    notes += struct.pack("<III12s", 11, len(text), 0, b"VMCOREINFO") + text
    header = b"\x7fELF\2\1\1".ljust(16, b"\0")
    header += struct.pack("<HHIQQQIHHHHHH", 4, 62, 1, 0, 64, 0, 0, 64, 56, 2, 0, 0, 0)
    header += struct.pack("<IIQQQQQQ", 4, 0, 0x1000, 0, 0, len(notes), len(notes), 4)
    place = (0x2000, 0xFFFFFFFF81000000, 0x1000000, len(memory), len(memory), 4096)
    header += struct.pack("<IIQQQQQQ", 1, 7, *place)
    with open(path, "wb") as file:
        file.write(header.ljust(0x1000, b"\0") + notes.ljust(0x1000, b"\0") + memory)


write("first")
write("memory", memory=b"N" * 4096)
write("registers", tasks=(7, 8))
write("release", release=b"6.12.11")
write("more", tasks=(5, 6, 7))
EOT
root/usr/bin/eu-elfcmp --version | head -n 1
for name in memory registers release more; do
  if cmp -s first "$name"; then exit 1; fi
  status=0
  root/usr/bin/eu-elfcmp first "$name" || status=$?
  echo "first and $name: $status"
done | tee seen
printf 'first and %s: %s\n' memory 0 registers 0 release 0 more 1 | cmp - seen
