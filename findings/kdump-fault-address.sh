#!/bin/sh
# drgn 0.3.0: the address in a FaultError is where memory is missing in an ELF dump, and where the
#   read began in a kdump file.
#   One would guess the former for both: FaultError.address is for the address that cannot be
#   accessed. A read of two pages of which the second is missing names the first one, which is
#   there.
# Matters: what retries from error.address, or skips to the page behind it, loses a good page or
#   goes round in circles; what prints it names memory that can be read. Read page by page.
# Needs: python3, pip, network. Exits 1 when it has changed.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m pip install -q --no-compile --target "$folder/lib" drgn==0.3.0
DRGN_DISABLE_PLUGINS='*' PYTHONPATH="$folder/lib" python3 - "$folder/dump" <<'EOT'
import struct
import sys

from drgn import FaultError, Program

BLOCK = 4096
INFO = (
    b"OSRELEASE=6.12.0\nPAGESIZE=4096\nSYMBOL(swapper_pg_dir)=ffffffff82a10000\n"
    b"NUMBER(pgtable_l5_enabled)=0\nNUMBER(phys_base)=0\n\n"
)


def kdump(existing, dumped):
    """Return a kdump file, version 6, that holds the page frames *dumped* as they are."""
    top = max(existing) + 1
    names = (b"Linux", b"node", b"6.12.0", b"#1", b"x86_64", b"")
    header = b"KDUMP   " + struct.pack("<i", 6) + b"".join(name.ljust(65, b"\0") for name in names)
    header = header.ljust(408, b"\0")
    header += struct.pack("<qqIiiIIIIII", 0, 0, 1, BLOCK, 1, 2, top, 0, 0, 0, 1)
    note = struct.pack("<III", 11, len(INFO), 0) + b"VMCOREINFO\0\0" + INFO
    info, notes = BLOCK + 512 + 24, BLOCK + 512
    sizes = (0, 0, info, len(INFO), notes, len(note), 0, 0, 0, 0, top)
    sub_header = struct.pack("<qii11Q", 0, 31, 0, *sizes).ljust(512, b"\0") + note
    bitmaps = b"".join(
        sum(1 << frame for frame in frames).to_bytes(BLOCK, "little")
        for frames in (existing, dumped)
    )
    start = 4 * BLOCK + 24 * len(dumped)
    descriptors = b"".join(
        struct.pack("<QIIQ", start + BLOCK * i, BLOCK, 0, 0) for i in range(len(dumped))
    )
    head = header.ljust(BLOCK, b"\0") + sub_header.ljust(BLOCK, b"\0")
    return head + bitmaps + descriptors + b"A" * BLOCK * len(dumped)


def fault(prog, address, size):
    try:
        return prog.read(address, size, physical=True)
    except FaultError as error:
        return str(error), error.address


with open(sys.argv[1], "wb") as file:
    file.write(kdump(existing=(16, 17, 18, 40), dumped=(16, 17, 40)))
prog = Program()
prog.set_core_dump(sys.argv[1])
assert prog.read(17 * BLOCK, 4, physical=True) == b"AAAA"
text, address = fault(prog, 17 * BLOCK, 2 * BLOCK)
print(f"kdump: a read from {17 * BLOCK:#x} on, {18 * BLOCK:#x} is missing: {text}")
assert address == 17 * BLOCK, "the missing page is named now"

header = b"\x7fELF\2\1\1".ljust(16, b"\0")
header += struct.pack("<HHIQQQIHHHHHH", 4, 62, 1, 0, 64, 0, 0, 64, 56, 2, 0, 0, 0)
note = struct.pack("<III", 11, len(INFO), 0) + b"VMCOREINFO\0\0" + INFO + bytes(-len(INFO) % 4)
segments = struct.pack("<IIQQQQQQ", 4, 0, 176, 0, 0, len(note), len(note), 4) + struct.pack(
    "<IIQQQQQQ", 1, 7, 176 + len(note), 2**64 - 2**30, 17 * BLOCK, BLOCK, BLOCK, 0
)
with open(sys.argv[1], "wb") as file:
    file.write(header + segments + note + b"A" * BLOCK)
prog = Program()
prog.set_core_dump(sys.argv[1])
text, address = fault(prog, 17 * BLOCK, 2 * BLOCK)
print(f"ELF  : the same: {text}")
assert address == 18 * BLOCK, "an ELF dump has changed"
EOT
