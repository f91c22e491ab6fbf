#!/bin/sh
# volatility3 2.28.2: a scan of kernel memory at a kernel's address finds nothing, silently.
#   One would guess that scan(sections=[(address, size)]) takes the addresses that read() takes.
#   An x86-64 layer reads 0xffff888000000000 and, the upper bits being cut off, 0x888000000000
#   alike. Sections of a scan have to be of the second sort: of the first, nothing is scanned,
#   without an error. What a scan returns is of the second sort too.
# Matters: symbols, pointers and structures of a dump give the first sort, so that "scan this
#   slab, or this module" is an empty answer; and a match compared with a pointer is never equal.
#   Mask with layer.address_mask on the way in, canonicalize() on the way out.
# Needs: python3, pip, network. Exits 1 when it has changed.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m pip install -q --no-compile --target "$folder/lib" volatility3==2.28.2
PYTHONPATH="$folder/lib" python3 - <<'EOT'
import struct

from volatility3.framework import contexts
from volatility3.framework.layers import intel, physical, scanners

START, TEXT, TABLE, PLACE = 0xFFFF888000000000, b"A TEXT", 0x1000, 0x64
memory = bytearray(0x10000)
for table in range(TABLE, 0x5000, 0x1000):  # page tables of four levels, one after another
    index = START >> (39 - 9 * (table // 0x1000 - 1)) & 511
    struct.pack_into("<Q", memory, table + 8 * index, table + 0x1000 | 0x63)
memory[0x5000 + PLACE : 0x5000 + PLACE + len(TEXT)] = TEXT
context = contexts.Context()
context.add_layer(physical.BufferDataLayer(context, "c", "memory", bytes(memory)))
context.config["k.memory_layer"], context.config["k.page_map_offset"] = "memory", TABLE
layer = intel.Intel32e(context, "k", "kernel", metadata={"os": "Linux"})
context.add_layer(layer)
assert layer.read(START + PLACE, len(TEXT)) == TEXT
found = {}
for start in (START, START & layer.address_mask):
    scanner = scanners.BytesScanner(TEXT)
    found[start] = list(layer.scan(context, scanner, sections=[(start, 0x1000)]))
    print(f"scan of 4 KiB at {start:#x}:", [f"{match:#x}" for match in found[start]])
assert found == {START: [], 0x888000000000: [0x888000000000 + PLACE]}, "it is scanned now"
EOT
