#!/bin/sh
# libkdumpfile, as in drgn 0.3.0: an address where the machine has no memory is an "Excluded
#   page".
#   One would guess that the two are told apart: a kdump file has a bitmap of the page frames that
#   exist and a second one of those that were dumped. Only the second is looked at.
# Matters: "excluded" makes one blame makedumpfile's dump level and ask for a fuller dump. A wild
#   pointer into a hole of the memory map gets the same text; read the first bitmap to know.
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
excluded, hole = (fault(prog, frame * BLOCK, 4)[0] for frame in (18, 30))
print("page that exists, not dumped:", excluded)
print("page that does not exist    :", hole)
assert "Excluded page" in excluded
assert "Excluded page" in hole, "a hole has its own text now"
EOT
