#!/bin/sh
# volatility3 2.28.2: a scan of virtual memory misses each match that lies across two pages whose
#   frames are not neighbours.
#   One would guess that a scan finds what read() shows: the scanner's chunks are 16 MiB with an
#   overlap, and made to be joined over several mappings. The eight bytes across a page border are
#   found if the two frames follow each other in physical memory and not if they do not. Two
#   segments of an ELF core that meet are such a border too.
# Matters: each process's memory and all that the kernel has from vmalloc() (stacks and modules
#   are) is made of scattered frames. A pattern in it, of whatever scanner or YARA rule, is missed
#   by chance of allocation, and "not found" looks the same.
# Needs: python3, pip, network. Exits 1 when it has changed.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m pip install -q --no-compile --target "$folder/lib" volatility3==2.28.2
PYTHONPATH="$folder/lib" python3 - <<'EOT'
import struct

from volatility3.framework import contexts
from volatility3.framework.layers import intel, physical, scanners

START, TEXT, TABLE = 0xFFFF888000000000, b"ACROSS-2", 0x1000
found = {}
for frames in ((0x8000, 0x9000), (0x8000, 0x6000)):
    memory = bytearray(0x10000)
    for table in range(TABLE, 0x4000, 0x1000):  # page tables of three levels, one after another
        index = START >> (39 - 9 * (table // 0x1000 - 1)) & 511
        struct.pack_into("<Q", memory, table + 8 * index, table + 0x1000 | 0x63)
    struct.pack_into("<QQ", memory, 0x4000, *(frame | 0x63 for frame in frames))
    memory[frames[0] + 0xFFC : frames[0] + 0x1000] = TEXT[:4]
    memory[frames[1] : frames[1] + 4] = TEXT[4:]
    context = contexts.Context()
    context.add_layer(physical.BufferDataLayer(context, "c", "memory", bytes(memory)))
    context.config["k.memory_layer"], context.config["k.page_map_offset"] = "memory", TABLE
    layer = intel.Intel32e(context, "k", "kernel", metadata={"os": "Linux"})
    context.add_layer(layer)
    assert layer.read(START + 0xFFC, 8) == TEXT
    matches = list(layer.scan(context, scanners.BytesScanner(TEXT)))
    print(f"frames {frames[0]:#x} and {frames[1]:#x}: read finds it, scan {len(matches)} time(s)")
    found[frames] = len(matches)
assert list(found.values()) == [1, 0], "scattered frames are scanned as one now"
EOT
