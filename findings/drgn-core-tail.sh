#!/bin/sh
# drgn 0.3.0: what lies in a PT_LOAD between p_filesz and p_memsz is zeros in one core and a fault
#   in another; the only difference is a VMCOREINFO note.
#   One would guess one rule (ELF's own is zeros, and gdb 16 shows them). In a kernel core
#   the tail reads as zeros; in the same file with the note's name spoilt it is "memory not
#   saved".
# Matters: a dump writer that leaves pages out may end a segment's file part there (makedumpfile
#   -E does, zero pages or filtered ones alike). A filtered page is then zeros to drgn, with no
#   FaultError: an empty list or a NULL pointer in it may be neither.
# Needs: python3, pip, network. Exits 1 when it has changed.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m pip install -q --no-compile --target "$folder/lib" drgn==0.3.0
DRGN_DISABLE_PLUGINS='*' PYTHONPATH="$folder/lib" python3 - "$folder" <<'EOT'
import struct
import sys

from drgn import FaultError, Program

ADDRESS = 0xFFFFFFFF81000000


def core(note_name):
    """Return an ELF core of one 4,096-byte segment, of which 256 bytes are in the file."""
    text = b"OSRELEASE=6.12.0\nPAGESIZE=4096\nSYMBOL(swapper_pg_dir)=ffffffff82a10000\n"
    text += b"\n" * (-len(text) % 4)
    note = struct.pack("<III", 11, len(text), 0) + note_name.ljust(12, b"\0") + text
    start = 64 + 2 * 56
    header = b"\x7fELF\2\1\1".ljust(16, b"\0")
    header += struct.pack("<HHIQQQIHHHHHH", 4, 62, 1, 0, 64, 0, 0, 64, 56, 2, 0, 0, 0)
    pt_note = struct.pack("<IIQQQQQQ", 4, 0, start, 0, 0, len(note), len(note), 4)
    data = start + len(note)
    pt_load = struct.pack("<IIQQQQQQ", 1, 7, data, ADDRESS, 0x1000000, 256, 4096, 0)
    return header + pt_note + pt_load + note + b"C" * 256


def tail(name):
    path = f"{sys.argv[1]}/core"
    with open(path, "wb") as file:
        file.write(core(name))
    prog = Program()
    prog.set_core_dump(path)
    try:
        return prog.read(ADDRESS + 1024, 4)
    except FaultError as error:
        return f"FaultError: {error}"


kernel, other = tail(b"VMCOREINFO"), tail(b"VMCOREINFX")
print("kernel core:", kernel)
print("other core :", other)
assert kernel == bytes(4), "a kernel core's tail is not zeros any more"
assert str(other).startswith("FaultError: memory not saved"), "another core's tail reads now"
EOT
