#!/bin/sh
# gdb 13.1: of the CPUs of a kernel core, all but one of the idle ones vanish.
#   One would guess a thread for each NT_PRSTATUS note, as with other cores. The note's task id is
#   what tells gdb threads apart, and on an idle CPU it is 0, so that CPUs share it. Of four notes
#   (tasks 0, 0, 0 and 7) "info threads" has two, the current one "has terminated", and only the
#   first of the idle CPUs can be seen. Nothing tells that there were more.
# Matters: gdb opens the ELF dumps of QEMU and kdump, and most CPUs of a hung machine are idle or
#   say so. What a missing CPU was doing is in no thread; its registers are in the file.
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

ADDRESS = 0xFFFFFFFF81000000


def status(task, number):
    """Return an NT_PRSTATUS note of x86-64 with a task id and a program counter."""
    registers = bytearray(336)
    struct.pack_into("<I", registers, 32, task)
    struct.pack_into("<Q", registers, 112 + 16 * 8, ADDRESS + number)
    return struct.pack("<III8s", 5, len(registers), 1, b"CORE") + registers


for name, tasks in (("busy", (5, 6, 8, 7)), ("idle", (0, 0, 0, 7))):
    notes = b"".join(status(task, number) for number, task in enumerate(tasks))
    start = 64 + 2 * 56
    header = b"\x7fELF\2\1\1".ljust(16, b"\0")
    header += struct.pack("<HHIQQQIHHHHHH", 4, 62, 1, 0, 64, 0, 0, 64, 56, 2, 0, 0, 0)
    header += struct.pack("<IIQQQQQQ", 4, 0, start, 0, 0, len(notes), len(notes), 4)
    header += struct.pack("<IIQQQQQQ", 1, 7, start + len(notes), ADDRESS, 0, 4096, 4096, 0)
    with open(name, "wb") as file:
        file.write(header + notes + bytes(4096))
EOT
root/usr/bin/gdb --version | head -n 1
for core in busy idle; do
  echo "$core:"
  root/usr/bin/gdb -nx -batch -ex "core $core" -ex 'info threads' >printed 2>&1
  grep -E '^[* ] +[0-9]|terminated' printed | tee "threads-$core"
done
[ "$(grep -c '0xffffffff8100000[0-3]' threads-busy)" = 4 ]
[ "$(grep -c '0xffffffff8100000[0-3]' threads-idle)" = 2 ]
grep -q 'terminated' threads-idle
