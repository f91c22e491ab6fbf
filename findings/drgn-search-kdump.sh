#!/bin/sh
# drgn 0.3.0: a search of memory goes round what an ELF dump lacks, and ends with a FaultError at
#   the first page that a kdump file lacks.
#   One would guess that search_memory() goes on behind a hole, as it does in the ELF dump of the
#   same pages. In the kdump file pages 16 and 17 are searched or not as page 18 is in the range
#   or not; with it not even their matches are given, and page 40 is never reached. Without a
#   range it fails at address 0.
# Matters: makedumpfile's compressed files are what most crash dumps are, and all of them lack
#   pages. "Who holds this pointer" has no answer there, though its page was dumped. Search page
#   by page, by set_address_range().
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
PAGE = b"found".ljust(BLOCK, b".")
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
    return head + bitmaps + descriptors + PAGE * len(dumped)


def matches(kind):
    """Frames with a match: of all, of 16 to 40, of 16 and 17; or the address of the fault."""
    prog = Program()
    prog.set_core_dump(sys.argv[1] + kind)
    found = []
    for limits in ((None, None), (16 * BLOCK, 41 * BLOCK - 1), (16 * BLOCK, 18 * BLOCK - 1)):
        search = prog.search_memory(b"found").set_address_range(*limits, physical=True)
        frames = []
        try:
            frames.extend(address // BLOCK for address in search)
        except FaultError as error:
            frames.append(f"fault at {error.address:#x}")
        found.append(frames)
    print(f"{kind:5}", *found)
    return found


frames = (16, 17, 40)
with open(sys.argv[1] + "kdump", "wb") as file:
    file.write(kdump(existing=(16, 17, 18, 40), dumped=frames))
header = b"\x7fELF\2\1\1".ljust(16, b"\0")
header += struct.pack("<HHIQQQIHHHHHH", 4, 62, 1, 0, 64, 0, 0, 64, 56, 4, 0, 0, 0)
note = struct.pack("<III", 11, len(INFO), 0) + b"VMCOREINFO\0\0" + INFO + bytes(-len(INFO) % 4)
header += struct.pack("<IIQQQQQQ", 4, 0, 288, 0, 0, len(note), len(note), 4)
for number, frame in enumerate(frames):
    place = (BLOCK * (1 + number), 2**64 - 2**30 + frame * BLOCK, frame * BLOCK, BLOCK, BLOCK, 0)
    header += struct.pack("<IIQQQQQQ", 1, 7, *place)
with open(sys.argv[1] + "elf", "wb") as file:
    file.write((header + note).ljust(BLOCK, b"\0") + PAGE * len(frames))
assert matches("elf") == [[16, 17, 40], [16, 17, 40], [16, 17]]
assert matches("kdump") == [["fault at 0x0"], ["fault at 0x10000"], [16, 17]], "it goes on now"
EOT
