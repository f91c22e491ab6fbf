#!/bin/sh
# volatility3 2.28.2: the value of a pointer depends on the size of the memory that it was read
#   from.
#   One would guess the eight bytes that are there. A pointer is cut to the width of its layer's
#   highest address: 0xffffffff81000010, read from a physical layer of 4 KiB, is 0x10, from one of
#   1 MiB 0x10 too, from one of 2 GiB 0x1000010. An unsigned long of the same bytes is whole.
# Matters: a structure can be laid over physical memory before page tables are known (that is how
#   a kernel is searched for), and a pointer in it then equals no address of the symbol table and
#   is "valid" memory at a wrong place. Compare after reading it as an integer.
# Needs: python3, pip, network. Exits 1 when it has changed.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m pip install -q --no-compile --target "$folder/lib" volatility3==2.28.2
PYTHONPATH="$folder/lib" python3 - "$folder" <<'EOT'
import json
import sys

from volatility3.framework import contexts
from volatility3.framework.layers import physical
from volatility3.framework.symbols import intermed

POINTER = 0xFFFFFFFF81000010
number = {"size": 8, "signed": False, "kind": "int", "endian": "little"}
to_long = {"kind": "pointer", "subtype": {"kind": "base", "name": "long"}}
members = {
    "pointer": {"offset": 0, "type": to_long},
    "number": {"offset": 0, "type": {"kind": "base", "name": "long"}},
}
table = {
    "metadata": {"format": "6.2.0", "producer": {"name": "by hand", "version": "1"}},
    "base_types": {"long": number, "pointer": number},
    "user_types": {"s": {"kind": "struct", "size": 8, "fields": members}},
    "enums": {},
    "symbols": {},
}
with open(f"{sys.argv[1]}/types.json", "w") as file:
    json.dump(table, file)


def read(size):
    """Return the pointer, and the number, at the start of a sparse file of that size."""
    path = f"{sys.argv[1]}/memory"
    with open(path, "wb") as file:
        file.write(POINTER.to_bytes(8, "little"))
        file.truncate(size)
    context = contexts.Context()
    context.config["memory.location"] = f"file://{path}"
    context.add_layer(physical.FileLayer(context, "memory", "memory"))
    types = intermed.IntermediateSymbolTable(
        context, "types", "types", f"file://{sys.argv[1]}/types.json"
    )
    context.symbol_space.append(types)
    value = context.object("types!s", "memory", 0)
    return int(value.pointer), int(value.number)


expected = {4096: 0x10, 1 << 20: 0x10, 1 << 31: 0x1000010}
for size, pointer in expected.items():
    found = read(size)
    print(f"{size:>10} bytes of memory: pointer {found[0]:#x}, number {found[1]:#x}")
    assert found == (pointer, POINTER), "pointers have changed"
EOT
