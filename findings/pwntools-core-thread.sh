#!/bin/sh
# pwntools 4.15.0: Corefile shows the registers of the last thread of a core, not of the first.
#   One would guess the first NT_PRSTATUS note, which Linux writes for the thread that took the
#   signal; gdb starts there. Of notes for threads 5, 6 and 7, with program counters one apart,
#   Corefile.pid is 7 and Corefile.pc that of thread 7. It knows of no other thread.
# Matters: it is the Python way to "where did it crash", and right for one thread only. Of a
#   kernel's dump it shows the last CPU, where QEMU and kdump have a note for each.
# Needs: python3, pip, network. Exits 1 when it has changed.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m pip install -q --no-compile --target "$folder/lib" pwntools==4.15.0
cd "$folder"
PWNLIB_NOTERM=1 HOME="$folder" PYTHONPATH="$folder/lib" python3 - <<'EOT'
import struct

from pwnlib.context import context
from pwnlib.elf.corefile import Corefile

ADDRESS = 0x400000


def status(task, number):
    """Return an NT_PRSTATUS note of x86-64 with a thread id and a program counter."""
    registers = bytearray(336)
    struct.pack_into("<I", registers, 32, task)
    struct.pack_into("<Q", registers, 112 + 16 * 8, ADDRESS + number)
    return struct.pack("<III8s", 5, len(registers), 1, b"CORE") + registers


def first_seen(tasks):
    notes = b"".join(status(task, number) for number, task in enumerate(tasks))
    start = 64 + 2 * 56
    header = b"\x7fELF\2\1\1".ljust(16, b"\0")
    header += struct.pack("<HHIQQQIHHHHHH", 4, 62, 1, 0, 64, 0, 0, 64, 56, 2, 0, 0, 0)
    header += struct.pack("<IIQQQQQQ", 4, 0, start, 0, 0, len(notes), len(notes), 4)
    header += struct.pack("<IIQQQQQQ", 1, 7, start + len(notes), ADDRESS, 0, 4096, 4096, 0)
    with open("core", "wb") as file:
        file.write(header + notes + bytes(4096))
    core = Corefile("core")
    return core.pid, core.pc


context.log_level = "critical"
one, three = first_seen([5]), first_seen([5, 6, 7])
print("one thread   : pid %d, pc %#x" % one)
print("three threads: pid %d, pc %#x" % three)
assert one == (5, ADDRESS)
assert three == (7, ADDRESS + 2), "another thread is shown now"
EOT
