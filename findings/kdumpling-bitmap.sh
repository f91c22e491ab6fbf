#!/bin/sh
# kdumpling 0.4.0, a library that exists to make kdump files: no page of its compressed files can
#   be read by libkdumpfile, and so by drgn 0.3.0.
#   One would guess that its KDUMP_COMPRESSED output opens where its ELF output does. drgn opens
#   it and finds VMCOREINFO, then each read is "Out-of-bounds PFN". A kdump file has two bitmaps
#   of equal size (pages that exist, pages that are dumped) and bitmap_blocks counts both;
#   kdumpling writes one, so that half of it is taken for the second one.
# Matters: test suites of dump readers are built on made-up dumps. Test with its ELF output.
# Needs: python3, pip, network. Exits 1 when it has changed.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m pip install -q --no-compile --target "$folder/lib" kdumpling==0.4.0 drgn==0.3.0
export DRGN_DISABLE_PLUGINS='*' PYTHONPATH="$folder/lib"
python3 - "$folder/dump" <<'EOT'
import struct
import sys

from drgn import FaultError, Program
from kdumpling import KdumpBuilder, OutputFormat

builder = KdumpBuilder("x86_64")
builder.set_vmcoreinfo(
    "OSRELEASE=6.12.0\nPAGESIZE=4096\nSYMBOL(swapper_pg_dir)=ffffffff82a10000\n"
    "NUMBER(pgtable_l5_enabled)=0\n"
)
builder.add_memory_segment(0x1000000, b"A" * 8192)
results = {}
for kind in (OutputFormat.ELF, OutputFormat.KDUMP_COMPRESSED):
    builder.write(sys.argv[1], format=kind)
    prog = Program()
    prog.set_core_dump(sys.argv[1])
    try:
        results[kind.name] = prog.read(0x1000000, 4, physical=True)
    except FaultError as error:
        results[kind.name] = str(error)
    print(f"{kind.name:16}", results[kind.name])
with open(sys.argv[1], "rb") as file:
    blocks, max_mapnr = struct.unpack_from("<II", file.read(4096), 436)
print("bitmap_blocks", blocks, "for", max_mapnr, "page frames (32,768 a block)")
assert results["ELF"] == b"AAAA"
assert "Out-of-bounds PFN" in str(results["KDUMP_COMPRESSED"]), "pages can be read now"
assert blocks == 1, "two bitmaps now"
EOT
